"""What is inside documents decides before a drop is taken (F9), and a doubt about it holds the drop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from exchanged.config import ScannerConfig
from exchanged.errors import WorkerDiedError
from exchanged.inspecting import inspect_documents
from exchanged.pool import InlinePool, ProcessWorkPool
from exchanged.states import DropState
from packet_spec.errors import ValidatorError
from packet_spec.limits import MIB
from tests.support.outbox import LARGE, SMALL, SendingFrontend, acceptance_xml, names_in, packet_xml
from tests.support.papers import index, package, pdf
from tests.support.scanners import BREAKS, INFECTED, names_seen, scanner
from tests.support.sending import Open, states

BROKEN = {"补充材料.pdf": pdf(pages=3, size=20_000)[:-1024]}
BROKEN_LARGE = {**SMALL, "卷宗.pdf": pdf(pages=3, size=2 * MIB)[:-1024]}


@pytest.mark.parametrize("files", [BROKEN, BROKEN_LARGE])
def test_f9_a_damaged_pdf_is_refused_with_a_finding(
    frontend: SendingFrontend, files: Mapping[str, bytes]
) -> None:
    frontend.drop_folder("A", files)
    frontend.run()
    assert frontend.codes() == ["document-unreadable"]
    assert frontend.status()["state"] == "refused"
    assert names_in(frontend.folders.refused) == ["A", "A.findings.txt", "A.findings.xml"]
    assert "重新导出" in (frontend.folders.refused / "A.findings.txt").read_text("utf-8-sig")
    assert frontend.packets() == []
    assert frontend.blobs.files_on_disk() == {}
    assert list(frontend.blobs.incoming.iterdir()) == []


def test_the_same_drop_whole_is_taken_afterwards(frontend: SendingFrontend) -> None:
    frontend.drop_folder("A", BROKEN)
    frontend.run()
    frontend.drop_folder("A", {"补充材料.pdf": pdf(pages=3, size=20_000)})
    frontend.run()
    assert states(frontend) == [DropState.REFUSED, DropState.TAKEN]


def test_pages_and_indexes_are_compared(frontend: SendingFrontend) -> None:
    files = {"补充材料.pdf": pdf(pages=2), "卷宗.zip": package({"index.xml": index(), "v/a.pdf": pdf()})}
    frontend.drop_folder("A", files, document=packet_xml(files, listed={"补充材料.pdf": {"pages": "3"}}))
    frontend.run()
    assert sorted(frontend.codes()) == ["document-pages-differ", "index-file-unlisted"]


def test_an_index_in_another_vocabulary_travels_with_a_warning(frontend: SendingFrontend) -> None:
    files = {**SMALL, "卷宗.zip": package({"index.xml": b"<other/>", "v/a.pdf": pdf()})}
    frontend.drop_folder("A", files)
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]
    assert frontend.codes() == ["index-not-checked"]


class _Failing(InlinePool):
    """The check of documents fails by itself so many times."""

    def __init__(self, error: Exception, times: int) -> None:
        self.error = error
        self.times = times

    def run(self, function: Callable[[Any], Any], works: Sequence[Any]) -> list[Any]:
        if function is inspect_documents and self.times:
            self.times -= 1
            return [self.error for _ in works]
        return super().run(function, works)


@pytest.mark.parametrize("error", [ValidatorError("memory ended"), WorkerDiedError("it died")])
def test_what_nobody_can_judge_is_held_and_tried_again(start: Open, error: Exception) -> None:
    frontend = start(pool=_Failing(error, 1))
    frontend.drop_folder("A", {**SMALL, **LARGE})
    frontend.run()
    (row,) = frontend.rows()
    assert (row.state, row.reason) == (DropState.HELD, error.reference)  # type: ignore[attr-defined]
    frontend.clock.advance(60)
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]
    assert frontend.open(frontend.packets()[0])[2] == {**SMALL, **LARGE}
    assert list(frontend.blobs.incoming.iterdir()) == []


def incoming(frontend: SendingFrontend) -> list[str]:
    return sorted(entry.name for entry in frontend.blobs.incoming.iterdir())


def test_a_held_drop_is_not_copied_again_until_it_changes(start: Open) -> None:
    frontend = start(pool=_Failing(ValidatorError("memory ended"), 99))
    path = frontend.drop_folder("A", {**SMALL, **LARGE})
    frontend.run()
    (copy,) = incoming(frontend)
    frontend.clock.advance(60)
    frontend.run()
    assert incoming(frontend) == [copy]
    # Another document under the same name: the old copy goes, a new one is made.
    other = {**SMALL, "卷宗.pdf": pdf("another", size=2 * MIB)}
    (path / "卷宗.pdf").write_bytes(other["卷宗.pdf"])
    (path / "packet.xml").write_bytes(packet_xml(other))
    frontend.clock.advance(60)
    frontend.settle()
    frontend.run()
    assert len(incoming(frontend)) == 1
    assert incoming(frontend) != [copy]
    # The case software takes it back.
    path.rename(frontend.root / "taken back")
    frontend.run()
    assert incoming(frontend) == []


def test_few_copies_are_kept_and_none_without_digests(start: Open) -> None:
    frontend = start(pool=_Failing(ValidatorError("memory ended"), 99), optional_sha256=True)
    for number in range(10):
        files = {"补充材料.pdf": pdf(str(number), size=2 * MIB)}
        frontend.drop_folder(str(number), files, document=packet_xml(files, senderRef=f"R-{number}"))
    frontend.run()
    assert len(incoming(frontend)) == 8
    for number in range(10):
        files = {"补充材料.pdf": pdf(str(number), size=2 * MIB)}
        listed = {"补充材料.pdf": {"sha256": None}}
        document = packet_xml(files, listed=listed, senderRef=f"R-{number}")
        (frontend.outbox / str(number) / "packet.xml").write_bytes(document)
    frontend.clock.advance(60)
    frontend.settle()
    assert incoming(frontend) == []


def test_what_a_stop_left_is_copied_anew(start: Open) -> None:
    frontend = start(pool=_Failing(ValidatorError("memory ended"), 1))
    frontend.drop_folder("A", {**SMALL, **LARGE})
    frontend.run()
    assert len(incoming(frontend)) == 1
    frontend = start(clock=frontend.clock)
    frontend.clock.advance(60)
    frontend.run()
    assert (states(frontend), incoming(frontend)) == ([DropState.TAKEN], [])


def test_a_document_that_ends_its_worker_three_times_is_left_alone(start: Open) -> None:
    frontend = start(pool=_Failing(WorkerDiedError("it died"), 99))
    frontend.drop_folder()
    for _ in range(6):
        frontend.run()
        frontend.clock.advance(60)
    (row,) = frontend.rows()
    assert (row.state, row.reason) == (DropState.HELD, "poison")


def test_a_drop_without_documents_asks_no_worker_for_them(start: Open) -> None:
    pool = _Failing(WorkerDiedError("it died"), 99)
    frontend = start(pool=pool)
    frontend.drop_xml(document=acceptance_xml())
    frontend.run()
    assert (states(frontend), pool.times) == ([DropState.TAKEN], 99)


@pytest.mark.process
def test_workers_of_their_own_come_to_the_same_verdicts(start: Open, tmp_path: Path) -> None:
    pool = ProcessWorkPool(1, 60.0)
    try:
        frontend = start(pool=pool, scanner=scanner(tmp_path))
        frontend.drop_folder("A", {**SMALL, **LARGE})
        frontend.run()
        frontend.drop_folder("B", BROKEN_LARGE, document=packet_xml(BROKEN_LARGE, senderRef="B"))
        frontend.run()
    finally:
        pool.close()
    assert states(frontend) == [DropState.TAKEN, DropState.REFUSED]
    assert names_seen(tmp_path) == ["补充材料.pdf", "卷宗.pdf", "补充材料.pdf"]


# --- the scanner --------------------------------------------------------------------------------


def test_a_clean_drop_passes_the_scanner_with_every_name(start: Open, tmp_path: Path) -> None:
    frontend = start(scanner=scanner(tmp_path))
    frontend.drop_folder("A", {**SMALL, **LARGE})
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]
    assert names_seen(tmp_path) == ["补充材料.pdf", "卷宗.pdf"]


@pytest.mark.parametrize("size", [0, 2 * MIB])
def test_an_infected_document_is_refused_by_name(start: Open, tmp_path: Path, size: int) -> None:
    frontend = start(scanner=scanner(tmp_path))
    frontend.drop_folder("A", {**SMALL, "卷宗.pdf": pdf(INFECTED, size=size)})
    frontend.run()
    assert frontend.codes() == ["document-infected"]
    (finding,) = frontend.status()["finding"]  # type: ignore[misc]
    assert "卷宗.pdf" in str(finding)
    assert frontend.packets() == []


@pytest.mark.parametrize(
    "make",
    [
        scanner,
        lambda folder: scanner(folder, "sleep 60", timeout_seconds=0.2),
        lambda folder: scanner(folder, "kill -9 $$"),
        lambda folder: scanner(folder, "exit 127"),
        lambda _: ScannerConfig(("/nonexistent/scanner",), 5.0),
        lambda _: ScannerConfig(("/",), 5.0),
    ],
)
def test_a_scanner_without_a_clear_answer_holds(
    start: Open, tmp_path: Path, make: Callable[[Path], ScannerConfig]
) -> None:
    frontend = start(scanner=make(tmp_path))
    frontend.drop_folder("A", {"补充材料.pdf": pdf(BREAKS)})
    for _ in range(3):
        frontend.run()
        frontend.clock.advance(60)
    (row,) = frontend.rows()
    assert (row.state, row.reason) == (DropState.HELD, "scanner-failed")
    assert frontend.packets() == []
    assert "安全扫描" in str(frontend.status()["message"])


def test_what_is_refused_already_is_not_scanned(start: Open, tmp_path: Path) -> None:
    frontend = start(scanner=scanner(tmp_path, "exit 2"))
    frontend.drop_folder("A", BROKEN)
    frontend.run()
    assert frontend.codes() == ["document-unreadable"]
