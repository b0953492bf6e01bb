from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exchanged.errors import ForeignVolumeError
from frontend_server.counts import encode_counts
from packet_spec.model import Disposition, ReceiptKind
from tests.support.documents import NOW
from tests.support.inbox import Arrival, ReceivingFrontend


@pytest.fixture
def frontend(tmp_path: Path) -> Iterator[ReceivingFrontend]:
    made = ReceivingFrontend(tmp_path)
    yield made
    made.close()


def shown(frontend: ReceivingFrontend) -> dict[str, object]:
    """What counts.json says after it was written."""
    total = frontend.counts.write_counts()
    value: dict[str, object] = json.loads((frontend.inbox / "counts.json").read_bytes())
    assert value["total"] == total
    return value


def test_it_counts_by_business_type(frontend):
    for number in (1, 2):
        frontend.deliver(Arrival(number))
    frontend.deliver(Arrival(3, business_type="trial.indict"))
    assert shown(frontend) == {
        "updatedAt": "2026-07-15T01:30:00Z",
        "waiting": {"prosecution.transfer": 2, "trial.indict": 1},
        "total": 3,
    }


def test_an_empty_inbox_shows_nothing_waiting(frontend):
    assert shown(frontend)["waiting"] == {}


def test_what_was_marked_removed_signed_or_refused_waits_no_more(frontend):
    marked, removed, signed, refused, waiting = [frontend.deliver(Arrival(number)) for number in range(1, 6)]
    (frontend.folder(marked) / "collected").touch()
    shutil.rmtree(frontend.folder(removed))
    for key, kind in ((signed, ReceiptKind.SIGNED), (refused, ReceiptKind.REFUSED)):
        answer = Disposition(key, kind, "虚构丙", NOW, ())
        frontend.ledger.write(lambda tx, answer=answer: frontend.dispositions.take(tx, answer))
    assert shown(frontend)["total"] == 1
    shutil.rmtree(frontend.folder(waiting))
    assert shown(frontend)["total"] == 0


def test_folders_of_strangers_are_not_counted(frontend):
    frontend.deliver()
    (frontend.inbox / "prosecution.transfer" / "my own notes").mkdir()
    assert shown(frontend)["total"] == 1


def test_the_file_is_replaced_whole_and_readable_for_the_group_only(frontend):
    shown(frontend)
    path = frontend.inbox / "counts.json"
    first = path.stat().st_ino
    shown(frontend)
    assert path.stat().st_ino != first
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(entry.name for entry in frontend.inbox.iterdir()) == [".exchanged-marker", "counts.json"]


def test_without_a_good_marker_nothing_is_written(frontend):
    (frontend.inbox / ".exchanged-marker").unlink()
    with pytest.raises(ForeignVolumeError):
        frontend.counts.write_counts()
    assert list(frontend.inbox.iterdir()) == []


def test_the_document_is_stable():
    at = datetime(2026, 7, 15, tzinfo=UTC)
    assert encode_counts(at, {"b": 1, "a": 2}) == encode_counts(at, {"a": 2, "b": 1})
    assert encode_counts(at, {}).endswith(b"}\n")
