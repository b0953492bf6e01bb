"""A drop that is not all there waits; one that stays so is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from exchanged.ledger.questions_find import find
from exchanged.places import LEDGER_FILE
from exchanged.states import DropState
from tests.support.asking import make_node, operator
from tests.support.outbox import SETTLE, SMALL, SendingFrontend, names_in, packet_xml
from tests.support.papers import pdf
from tests.support.sending import MeddlingPool, Open, states


def test_a_half_written_folder_is_incomplete_until_all_is_there(frontend: SendingFrontend) -> None:
    files = {name: pdf(name) for name in ("a.pdf", "b.pdf", "c.pdf")}
    path = frontend.drop_folder("A", files, leave_out=("a.pdf", "c.pdf"))
    frontend.run()
    status = frontend.status()
    assert (status["state"], status["final"], status["missing"]) == ("incomplete", False, ["a.pdf", "c.pdf"])
    assert status["senderRef"] == "A620199-0007"
    (path / "a.pdf").write_bytes(files["a.pdf"])
    frontend.run()
    assert frontend.status()["missing"] == ["c.pdf"]
    (path / "c.pdf").write_bytes(files["c.pdf"])
    frontend.run()
    assert frontend.status()["state"] == "queued"
    assert frontend.open(frontend.packets()[0])[2] == files
    # One event for the state, not one for every file.
    assert len(frontend.events("drop-incomplete")) == 1


def test_an_incomplete_drop_that_stands_still_is_neither_judged_nor_told_again(start: Open) -> None:
    pool = MeddlingPool()
    frontend = start(pool=pool)
    frontend.drop_folder(leave_out=tuple(SMALL))
    frontend.run()
    before = (frontend.folders.status / "A.status.json").stat().st_ino
    for _ in range(5):
        frontend.clock.advance(60)
        frontend.run()
    assert pool.works == 1
    assert (frontend.folders.status / "A.status.json").stat().st_ino == before


def test_a_folder_without_packet_xml_waits_for_it(frontend: SendingFrontend) -> None:
    path = frontend.outbox / "A"
    path.mkdir()
    frontend.run()
    assert frontend.status()["missing"] == ["packet.xml"]
    (path / "packet.xml").write_bytes(packet_xml({}, **_ACCEPT))
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]


_ACCEPT = {
    "businessType": "common.accept",
    "fields": "<case_name>虚构</case_name><handling_dept>虚构</handling_dept>"
    "<decision_date>2026-07-15</decision_date>",
}


def test_a_file_still_growing_is_not_taken(frontend: SendingFrontend) -> None:
    """F7."""
    data = pdf(size=1000)
    path = frontend.drop_folder("A", {"a.pdf": data})
    for size in (10, 400, 999):
        (path / "a.pdf").write_bytes(data[:size])
        frontend.clock.advance(SETTLE - 1)
        frontend.run()
        assert (frontend.status()["state"], frontend.status()["missing"]) == ("incomplete", ["a.pdf"])
    (path / "a.pdf").write_bytes(data)
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]


def test_a_file_that_stays_short_is_refused(frontend: SendingFrontend) -> None:
    path = frontend.drop_folder("A", {"a.pdf": b"x" * 1000})
    (path / "a.pdf").write_bytes(b"x" * 999)
    assert frontend.intake.step() == SETTLE
    frontend.settle()
    assert frontend.codes() == ["attachment-size-differs"]
    assert names_in(frontend.folders.refused) == ["A", "A.findings.txt", "A.findings.xml"]


@pytest.mark.parametrize("kind", ["folder", "xml", "zip"])
def test_an_empty_document_is_incomplete_then_refused(frontend: SendingFrontend, kind: str) -> None:
    name = {"folder": "A", "xml": "A.xml", "zip": "A.zip"}[kind]
    if kind == "folder":
        frontend.drop_folder(document=b"")
    else:
        (frontend.outbox / name).touch()
    frontend.run()
    assert frontend.status(name)["state"] == "incomplete"
    frontend.settle()
    assert frontend.status(name)["state"] == "refused"
    assert frontend.codes(name) == ["zip-damaged" if kind == "zip" else "packet-xml-empty"]


@pytest.mark.parametrize("kind", ["xml", "zip"])
def test_a_document_without_its_end_is_incomplete_then_refused(frontend: SendingFrontend, kind: str) -> None:
    path = frontend.drop_xml() if kind == "xml" else frontend.drop_zip()
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    frontend.run()
    status = frontend.status(path.name)
    assert (status["state"], status["missing"]) == ("incomplete", [path.name])
    frontend.settle()
    assert frontend.codes(path.name) == ["xml-not-wellformed" if kind == "xml" else "zip-damaged"]


def test_an_operator_sees_what_is_missing(
    frontend: SendingFrontend, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the outbox to the screen: queue list names the files, and packet find the drop."""
    root = tmp_path / "desk"
    root.mkdir()
    config = make_node(root)
    files = {"起诉意见书.pdf": b"1", "b.pdf": b"22"}
    frontend.drop_folder("A620199-0007 材料", files, leave_out=("起诉意见书.pdf",))
    frontend.run()
    frontend.close()
    shutil.copy(frontend.ledger.path, root / "data" / LEDGER_FILE)
    desk = operator(config, capsys)
    said = desk.table("queue", "list", "--state", "incomplete")
    assert "missing: 起诉意见书.pdf" in " ".join(said.split())
    (entry,) = desk.json("queue", "list", "--state", "incomplete")["waiting"]
    assert (entry["subject"], entry["missing"]) == ("A620199-0007 材料", ["起诉意见书.pdf"])
    (found,) = desk.json("packet", "find", "a620199-0007材料")["found"]
    assert (found["by"], found["drop"]["missing"]) == (["drop-name"], ["起诉意见书.pdf"])


def test_what_was_taken_is_found_by_drop_reference_and_every_case_number(frontend: SendingFrontend) -> None:
    police, court = "A6201990000002026070001", "（2026）甘0102刑初123号"
    case = (
        f'<case kind="dangerous_driving"><number kind="police">{police}</number>'
        f'<number kind="court">{court}</number></case>'
    )
    after = b"<secrecy>none</secrecy>"
    frontend.drop_folder("A", document=packet_xml().replace(after, after + case.encode()))
    frontend.run()
    (row,) = frontend.packets()
    for text in ("A", "a620199-0007", police.lower(), "[2026]甘0102刑初123号", row.key.packet_id[:13]):
        (found,) = find(frontend.ledger.read(), text)
        assert found.key == row.key
