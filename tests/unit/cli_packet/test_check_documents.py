"""``exchangectl packet check`` looks into documents as every node does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.packet_check import Rules, check_path
from packet_spec.errors import ValidatorError
from packet_spec.findings import Outcome, Severity
from packet_spec.limits import MIB
from tests.support.documents import NOW, POLICE
from tests.support.outbox import SendingFrontend, packet_xml
from tests.support.papers import index, package, pdf

RULES = Rules(None, "none", optional_sha256=True, now=NOW)
WHOLE = {"补充材料.pdf": pdf(pages=3, size=20_000)}
BROKEN = {"补充材料.pdf": WHOLE["补充材料.pdf"][:-1024]}


@pytest.fixture
def desk(tmp_path: Path) -> SendingFrontend:
    return SendingFrontend(tmp_path / "front-end")


def test_a_damaged_document_is_refused_in_folder_and_zip(desk: SendingFrontend) -> None:
    for path in (desk.drop_folder("A", BROKEN), desk.drop_zip("B.zip", BROKEN, top="案卷/")):
        checked = check_path(path, RULES)
        assert (checked.outcome, [each.code for each in checked.findings]) == (
            Outcome.REFUSED, ["document-unreadable"],
        )  # fmt: skip
    assert check_path(desk.drop_zip("C.zip", WHOLE), RULES).outcome is Outcome.VALID
    large = {**WHOLE, "卷宗.pdf": pdf(size=12 * MIB)}
    assert check_path(desk.drop_zip("D.zip", large), RULES).outcome is Outcome.VALID


def test_the_desk_and_the_front_end_say_the_same(desk: SendingFrontend) -> None:
    files = {**BROKEN, "卷宗.zip": package({"index.xml": index(), "a.exe": b"x"}), "目录.csv": b"a"}
    document = packet_xml(files, listed={"目录.csv": {"documentType": "EVD-016"}})
    path = desk.drop_folder("A", files, document=document)
    said = [(each.code, each.file) for each in check_path(path, RULES).findings]
    desk.run()
    findings = json.loads((desk.folders.status / "A.status.json").read_text("utf-8"))["finding"]
    assert [(each["code"], each["file"]) for each in findings] == said
    assert {code for code, _ in said} == {
        "document-unreadable", "document-executable", "document-format-not-allowed"
    }  # fmt: skip


def test_all_findings_come_at_once(desk: SendingFrontend) -> None:
    path = desk.drop_folder("A", BROKEN, document=packet_xml(BROKEN, receiver=POLICE))
    codes = {finding.code for finding in check_path(path, RULES).findings}
    assert codes == {"document-unreadable", "recipient-is-sender"}


def test_a_warning_does_not_refuse(desk: SendingFrontend) -> None:
    files = {**WHOLE, "卷宗.zip": package({"index.xml": b"<other/>", "v/a.pdf": pdf()})}
    checked = check_path(desk.drop_folder("A", files), RULES)
    assert checked.outcome is Outcome.VALID
    assert [(each.code, each.severity) for each in checked.findings] == [("index-not-checked", Severity.WARN)]


def test_what_nobody_can_judge_holds(desk: SendingFrontend, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValidatorError("memory ended")

    monkeypatch.setattr("cli.packet_documents.check_document", fail)
    checked = check_path(desk.drop_folder("A", WHOLE), RULES)
    assert (checked.outcome, checked.held_because) == (Outcome.HELD, "validator-failed")


def test_a_sealed_packet_is_looked_into(
    desk: SendingFrontend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a tampered front-end sealed is refused wherever it is looked at."""
    monkeypatch.setattr("frontend_server.checking.inspect_copies", lambda *_: [()])
    desk.drop_folder("A", BROKEN)
    desk.run()
    (packet,) = desk.packets()
    assert packet.bytes_at is not None
    path = tmp_path / "one.packet"
    with desk.spool.open_range(packet.bytes_at) as source:
        path.write_bytes(b"".join(source.blocks()))
    rules = Rules(desk.trust.directory, "proved", optional_sha256=False, now=desk.clock.now())
    checked = check_path(path, rules)
    assert (checked.outcome, [each.code for each in checked.findings]) == (
        Outcome.REFUSED, ["document-unreadable"],
    )  # fmt: skip
