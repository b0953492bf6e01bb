"""What is refused, with findings, and what is reported and left alone."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from exchanged.ledger.drops import Original
from exchanged.states import DropState
from tests.support.documents import COURT, POLICE
from tests.support.outbox import LARGE, SMALL, SendingFrontend, acceptance_xml, names_in, packet_xml
from tests.support.papers import pdf
from tests.support.sending import REFUSED, states
from tests.unit.test_frontend_server_drops import STRANGE, make_strange

SAME_SIZE = b"x" * len(SMALL["补充材料.pdf"])


@pytest.mark.parametrize(
    ("document", "codes"),
    [
        (acceptance_xml(sender=COURT), ["agency-not-own"]),
        (acceptance_xml(receiver="990000-03-00"), ["receiver-unknown"]),
        (acceptance_xml(receiver=POLICE), ["recipient-is-sender"]),
        (acceptance_xml(businessType="no.such"), None),
        (b"<!DOCTYPE x><packet></packet>", ["doctype-refused"]),
        (b"<other></packet>", ["xml-not-wellformed"]),
        (acceptance_xml(secrecy="secret"), ["secrecy-refused"]),
    ],
)
def test_a_wrong_document_is_refused_with_findings(
    frontend: SendingFrontend, document: bytes, codes: list[str] | None
) -> None:
    frontend.drop_xml(document=document)
    frontend.run()
    assert states(frontend) == [DropState.REFUSED]
    if codes is not None:
        assert frontend.codes("A.xml") == codes
    assert frontend.packets() == []
    assert names_in(frontend.outbox) == []
    assert names_in(frontend.folders.refused) == ["A.xml", "A.xml.findings.txt", "A.xml.findings.xml"]
    assert (frontend.folders.refused / "A.xml").read_bytes() == document
    assert frontend.status("A.xml")["final"] is True


@pytest.mark.parametrize(
    ("spoil", "codes"),
    [
        (lambda path: (path / "extra.pdf").write_bytes(b"x"), ["attachment-unlisted"]),
        (lambda path: (path / "补充材料.pdf").write_bytes(SAME_SIZE), ["attachment-digest-differs"]),
        (lambda path: (path / "补充材料.pdf").write_bytes(b"x" * 9999), ["attachment-size-differs"]),
    ],
)
def test_files_that_are_not_those_listed_are_refused(
    frontend: SendingFrontend, spoil: Callable[[Path], object], codes: list[str]
) -> None:
    spoil(frontend.drop_folder())
    frontend.run()
    assert frontend.codes() == codes
    assert names_in(frontend.folders.refused)[0] == "A"
    assert list(frontend.blobs.incoming.iterdir()) == []


def test_a_large_file_with_a_wrong_digest_leaves_nothing_behind(frontend: SendingFrontend) -> None:
    path = frontend.drop_folder("A", LARGE)
    (path / "卷宗.pdf").write_bytes(b"x" * len(LARGE["卷宗.pdf"]))
    frontend.run()
    assert frontend.codes() == ["attachment-digest-differs"]
    assert frontend.blobs.files_on_disk() == {}
    assert list(frontend.blobs.incoming.iterdir()) == []


def test_a_zip_slip_is_refused_and_nothing_is_written(frontend: SendingFrontend) -> None:
    with zipfile.ZipFile(frontend.root / "hidden", "w") as archive:
        archive.writestr("packet.xml", packet_xml())
        archive.writestr("../../补充材料.pdf", SMALL["补充材料.pdf"])
    before = {path.name for path in frontend.root.rglob("*")}
    (frontend.root / "hidden").rename(frontend.outbox / "A.zip")
    frontend.run()
    assert frontend.codes("A.zip") == ["zip-entry-refused"]
    after = {path.name for path in frontend.root.rglob("*")} - before
    assert not any("补充" in name for name in after)


@pytest.mark.parametrize("kind", STRANGE)
def test_what_is_no_plain_file_is_reported_once_and_left_alone(frontend: SendingFrontend, kind: str) -> None:
    path = frontend.outbox / "A.xml"
    make_strange(kind, path)
    found = path.lstat()
    frontend.run()
    assert DropState.REFUSED not in states(frontend)
    for _ in range(5):
        frontend.settle()
    reported = {row.name: row for row in frontend.rows()}[b"A.xml"]
    assert (reported.state, reported.original) == (DropState.REFUSED, Original.KEPT)
    assert frontend.codes("A.xml") == ["drop-not-plain"]
    assert os.path.samestat(path.lstat(), found)
    assert names_in(frontend.folders.refused) == []
    assert len([row for row in frontend.rows() if row.name == b"A.xml"]) == 1


def test_what_is_no_drop_and_keeps_changing_is_reported_once(frontend: SendingFrontend) -> None:
    """A log file that some program keeps beside the drops."""
    path = frontend.outbox / "export.log"
    for number in range(5):
        path.write_bytes(b"a line\n" * (number + 1))
        frontend.run()
        frontend.settle()
    assert [row.original for row in frontend.rows()] == [Original.KEPT]
    assert frontend.codes("export.log") == ["drop-kind-unknown"]
    assert frontend.events("original-replaced") == []


def test_what_is_no_drop_for_another_reason_is_reported_again(frontend: SendingFrontend) -> None:
    path = frontend.drop_folder()
    for name in ("first", "second"):
        (path / name).mkdir()
        frontend.run()
        frontend.settle()
        assert name in str(frontend.status()["finding"])
        (path / name).rmdir()
    frontend.run()
    assert states(frontend)[-1] is DropState.TAKEN


def test_findings_that_a_clerk_puts_back_are_no_drop(frontend: SendingFrontend) -> None:
    """Refused in their turn they would lie where the findings of the next A go, and be replaced by them."""
    frontend.drop_folder(document=REFUSED)
    frontend.run()
    names = ["A.findings.txt", "A.findings.xml"]
    for name in names:
        (frontend.folders.refused / name).rename(frontend.outbox / name)
    frontend.run()
    frontend.settle()
    assert {row.name for row in frontend.rows()} == {b"A"}
    assert names_in(frontend.outbox) == names
    frontend.drop_folder(document=REFUSED)
    frontend.run()
    assert names_in(frontend.folders.refused) == ["A", "A~2", "A~2.findings.txt", "A~2.findings.xml"]


def test_an_attachment_may_be_called_as_our_findings_are(frontend: SendingFrontend) -> None:
    files = {"A.findings.pdf": pdf(), **SMALL}
    path = frontend.drop_folder("A", files)
    (path / "A.findings.txt").write_bytes(b"x")
    frontend.run()
    assert frontend.codes() == ["attachment-unlisted"]


def test_a_link_inside_a_folder_reads_nothing_from_elsewhere(frontend: SendingFrontend) -> None:
    secret = frontend.root / "secret"
    secret.write_bytes(pdf("secret"))
    path = frontend.drop_folder("A", {"a.pdf": pdf("secret")}, leave_out=("a.pdf",))
    (path / "a.pdf").symlink_to(secret)
    frontend.settle()
    frontend.settle()
    assert frontend.codes() == ["drop-not-plain"]
    (path / "a.pdf").unlink()
    (path / "a.pdf").write_bytes(pdf("secret"))
    frontend.run()
    assert frontend.rows()[-1].state is DropState.TAKEN
    assert frontend.rows()[0].original is Original.REPLACED


def test_strangers_that_go_away_are_forgotten(frontend: SendingFrontend) -> None:
    (frontend.outbox / "note.txt").touch()
    frontend.settle()
    frontend.settle()
    assert frontend.codes("note.txt") == ["drop-kind-unknown"]
    (frontend.outbox / "note.txt").unlink()
    frontend.run()
    assert [row.original for row in frontend.rows()] == [Original.GONE]
