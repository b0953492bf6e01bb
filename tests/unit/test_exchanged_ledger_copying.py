"""A stopped node's ledger is read and copied as of one moment, also when the daemon starts meanwhile."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from cli.exit_codes import ExitCode, exit_code_of
from exchanged.errors import FileOperationError, LedgerBusyError
from exchanged.ledger import Connection, Ledger, Transaction, copying, open_read_only
from exchanged.ledger.copying import copy_ledger
from exchanged.ledger.verify import Verified, examine_ledger
from tests.support.clock import FakeClock

EVENTS = 400


def work(path: Path, *, commits: int = 1) -> None:
    """A daemon that starts, writes, and stops: what it wrote is in the ledger's file then."""

    def write(transaction: Transaction) -> None:
        for number in range(EVENTS):
            transaction.event("mark", detail={"number": number, "text": "fictional " * 50})

    with closing(Ledger(path, FakeClock(), on_wake=lambda _: None, threaded=False)) as ledger:
        for _ in range(commits):
            ledger.write(write)


def examined(path: Path) -> Verified:
    with closing(open_read_only(path)) as connection:
        return examine_ledger(connection)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "ledger.sqlite3"
    work(found, commits=3)
    return found


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """It happens between the opening of a ledger and its copying."""
    opening = copying.open_to_read

    def opened(source: Path) -> tuple[Connection, bool]:
        found = opening(source)
        happens()
        return found

    monkeypatch.setattr(copying, "open_to_read", opened)


def without_side_files(path: Path) -> None:
    """As on a read-only medium: they can be neither used nor made (as root everything else could be)."""
    path.with_name(f"{path.name}-shm").symlink_to("nowhere")


def test_a_copy_is_whole_when_the_daemon_starts_meanwhile(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, lambda: work(path, commits=2))
    copy_ledger(path, tmp_path / "copy")
    found = examined(tmp_path / "copy")
    assert (found.is_sound, found.events) == (True, 5 * EVENTS)


def test_a_transaction_sees_nothing_of_a_daemon_that_starts_meanwhile(path: Path) -> None:
    with closing(open_read_only(path)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM event LIMIT 1").fetchone()
        work(path, commits=2)
        found = examine_ledger(connection)
    assert (found.is_sound, found.events) == (True, 3 * EVENTS)
    assert examined(path).events == 5 * EVENTS


def test_a_ledger_without_side_files_is_read_and_copied(path: Path, tmp_path: Path) -> None:
    without_side_files(path)
    assert examined(path).is_sound
    copy_ledger(path, tmp_path / "copy")
    assert examined(tmp_path / "copy").events == 3 * EVENTS


def test_a_copy_that_nothing_guards_is_not_called_made_when_the_daemon_starts(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As somebody who may read the data directory and not write it: better none than a torn one."""
    shutil.copyfile(path, tmp_path / "newer")
    work(tmp_path / "newer", commits=2)
    without_side_files(path)
    meanwhile(monkeypatch, lambda: path.write_bytes((tmp_path / "newer").read_bytes()))
    with pytest.raises(LedgerBusyError, match="written while it was copied") as caught:
        copy_ledger(path, tmp_path / "copy")
    assert exit_code_of(caught.value) is ExitCode.TEMPORARY


def test_a_medium_that_does_not_take_the_copy_is_no_damage_to_the_ledger(path: Path, tmp_path: Path) -> None:
    """Pulled out, and one that refuses a write."""
    target = tmp_path / "medium" / "copy"
    target.parent.mkdir()

    def pulled_out(_connection: Connection) -> bool:
        shutil.rmtree(target.parent)
        return True

    with pytest.raises(FileOperationError, match="copy of the ledger cannot be written") as caught:
        copy_ledger(path, target, pulled_out)
    assert exit_code_of(caught.value) is ExitCode.TEMPORARY
    target.parent.mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def takes_little(_connection: Connection) -> bool:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
        return True

    try:
        with pytest.raises(FileOperationError) as caught:
            copy_ledger(path, target, takes_little)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.where == str(target)
