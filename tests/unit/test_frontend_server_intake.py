"""The outbox from case software's point of view: scan, profiles, hostile drops, C13, held, withdrawn."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exchanged.config import DropProfile
from exchanged.errors import LedgerDamagedError, NoSpaceError, StaleStateError, WorkerDiedError
from exchanged.ledger import batches, packets
from exchanged.ledger.drops import Original
from exchanged.pool import InlinePool
from exchanged.routing import Route, RouteKind
from exchanged.states import DestinationState, DropState, Event, PacketState
from exchanged.station import NOW
from frontend_server import taking
from frontend_server.folders import MARKER_NAME
from frontend_server.outbox import OutboxListing
from packet_spec.check import check_packet
from packet_spec.directory import encode_directory, sign_directory
from packet_spec.errors import ExchangeError
from packet_spec.findings import verdict_of
from packet_spec.identity import sha256_hex
from packet_spec.model import ItemKind, ReceiptKind
from packet_spec.sentences import make_finding
from tests.support.clock import FakeClock
from tests.support.documents import COURT, KEY, POLICE, PROCURATORATE, ROOTS, make_directory
from tests.support.documents import NOW as START
from tests.support.outbox import (
    LARGE,
    LINK,
    SETTLE,
    SMALL,
    SendingFrontend,
    acceptance_xml,
    names_in,
    packet_xml,
)
from tests.unit.test_frontend_server_drops import STRANGE, make_strange
from tests.unit.test_frontend_server_zip_drop import RawName

Open = Callable[..., SendingFrontend]
DISPOSITION = f"""<?xml version="1.0" encoding="UTF-8"?>
<disposition xmlns="urn:exchanged:disposition:1" packetId="{KEY.packet_id}"
 sender="{KEY.sender}" kind="signed" by="虚构丙" at="2026-07-15T09:30:00+08:00"/>
""".encode()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Open]:
    opened: list[SendingFrontend] = []

    def open_frontend(**settings: Any) -> SendingFrontend:
        for frontend in opened:
            frontend.close()
        opened.append(SendingFrontend(tmp_path / "front-end", **settings))
        return opened[-1]

    yield open_frontend
    for frontend in opened:
        frontend.close()


@pytest.fixture
def frontend(start: Open) -> SendingFrontend:
    return start()


def states(frontend: SendingFrontend) -> list[DropState]:
    return [row.state for row in frontend.rows()]


class MeddlingPool(InlinePool):
    """Something happens in the outbox while a drop is being judged."""

    def __init__(self, *acts: Callable[[], object]) -> None:
        self.acts = list(acts)
        self.works = 0

    def run(self, function: Callable[[Any], Any], works: Sequence[Any]) -> list[Any]:
        if works and self.acts:
            self.acts.pop(0)()
        self.works += len(works)
        return super().run(function, works)


class DyingPool(InlinePool):
    """Every worker dies on packets with this senderRef."""

    def __init__(self, sender_ref: bytes) -> None:
        self.sender_ref = sender_ref

    def run(self, function: Callable[[Any], Any], works: Sequence[Any]) -> list[Any]:
        return [
            WorkerDiedError("a worker process died on a check")
            if self.sender_ref in work.packet_xml
            else super(DyingPool, self).run(function, [work])[0]
            for work in works
        ]


# --- a drop becomes a packet ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["folder", "zip", "zip with a top folder", "xml"])
def test_a_drop_becomes_a_sealed_packet(frontend: SendingFrontend, kind: str) -> None:
    files = {} if kind == "xml" else {**SMALL, **LARGE}
    document = acceptance_xml() if kind == "xml" else packet_xml(files)
    if kind == "xml":
        name = frontend.drop_xml().name
    elif kind == "folder":
        name = frontend.drop_folder("A", files).name
    else:
        name = frontend.drop_zip("A.zip", files, top="案件/" if "top" in kind else "").name
    frontend.run()
    (row,), (packet,) = frontend.rows(), frontend.packets()
    assert (row.state, row.packet, row.attempt) == (DropState.TAKEN, packet.id, 1)
    assert row.original is Original.SENT
    assert (packet.state, packet.own, packet.came_by) == (PacketState.ACTIVE, True, "")
    assert packet.key.sender == POLICE
    seal, sealed_document, parts = frontend.open(packet)
    assert sealed_document == document
    assert parts == files
    assert (seal.incarnation, seal.sequence, seal.attempt) == ("5f3a", 1, 1)
    assert (seal.key, seal.content_digest) == (packet.key, packet.content_digest)
    assert frontend.destination_states(packet) == {PROCURATORATE: DestinationState.QUEUED}
    (waiting,) = batches.due(frontend.ledger.read(), LINK, 10)
    assert waiting.reference == packet.id
    assert names_in(frontend.outbox) == []
    assert names_in(frontend.folders.sent) == [name]
    assert frontend.status(name)["state"] == "queued"
    assert frontend.effects_left() == 0
    assert list(frontend.blobs.incoming.iterdir()) == []
    assert f"link:{LINK}" in frontend.wakes
    (event,) = frontend.events("sealed")
    assert (event["drop"], event["content"]) == (row.id, packet.content_digest)


def test_the_original_waits_for_the_ledger(frontend: SendingFrontend) -> None:
    """C13: committed before the original is touched."""
    frontend.drop_folder()
    frontend.intake.step()
    assert states(frontend) == [DropState.TAKEN]
    assert names_in(frontend.outbox) == ["A"]
    for _ in range(3):
        frontend.intake.step()
    assert len(frontend.packets()) == 1
    frontend.effects.step()
    assert names_in(frontend.outbox) == []


@pytest.fixture
def any_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simple business types of these tests allow no copies; the check shall."""

    def check(*args: Any, **settings: Any) -> Any:
        result = check_packet(*args, **settings)
        findings = tuple(each for each in result.verdict.findings if each.code != "copy-kind")
        return replace(result, verdict=verdict_of(findings))

    monkeypatch.setattr("frontend_server.judging.check_packet", check)


def test_copies_priority_and_relations_reach_the_ledger(frontend: SendingFrontend, any_copies: None) -> None:
    case = b'<case kind="dangerous_driving"><number kind="police">A6201990000002026070001</number></case>'
    document = acceptance_xml(copyTo=COURT, priority="urgent").replace(b"<handler", case + b"<handler")
    answered = f'<inReplyTo sender="{PROCURATORATE}">{KEY.packet_id}</inReplyTo><createdAt>'.encode()
    frontend.drop_xml(document=_ordered(document).replace(b"<createdAt>", answered))
    frontend.run()
    (packet,) = frontend.packets()
    assert (packet.copies, packet.in_reply_to) == ((COURT,), KEY.packet_id)
    assert packet.case_key == "police:A6201990000002026070001"
    assert set(frontend.destination_states(packet)) == {PROCURATORATE, COURT}
    row = frontend.ledger.read().execute("SELECT link, priority FROM outgoing").fetchall()
    assert [tuple(each) for each in row] == [(LINK, 0)]


def _ordered(document: bytes) -> bytes:
    """copyTo where the schema wants it."""
    copy = f"<copyTo>{COURT}</copyTo>".encode()
    return document.replace(copy, b"").replace(b"<createdAt>", copy + b"<createdAt>")


def test_many_drops_share_one_group_file_in_the_order_of_their_times(frontend: SendingFrontend) -> None:
    for number in range(5):
        path = frontend.drop_xml(f"{9 - number}.xml", acceptance_xml(senderRef=f"R-{number}"))
        os.utime(path, ns=(0, 1_000_000_000 * number))
    frontend.run()
    assert [packet.sender_ref for packet in frontend.packets()] == [f"R-{number}" for number in range(5)]
    assert [packet.sequence for packet in frontend.packets()] == [1, 2, 3, 4, 5]
    assert len(frontend.spool.names()) == 1
    for packet in frontend.packets():
        assert frontend.open(packet)[0].key == packet.key


def test_an_outbox_full_of_drops_is_worked_off_in_groups(frontend: SendingFrontend) -> None:
    for number in range(70):
        frontend.drop_xml(f"{number}.xml", acceptance_xml(senderRef=f"R-{number}"))
    assert frontend.intake.step() != NOW
    assert len(frontend.packets()) == 70
    assert len(frontend.spool.names()) == 2


@pytest.mark.parametrize(
    "name", ["案件".encode("gb18030"), b"\xff\xfe", b"x" * 255, b"a\nb", "案".encode() * 85]
)
def test_names_are_bytes(frontend: SendingFrontend, name: bytes) -> None:
    frontend.drop_folder(name)
    frontend.run()
    assert [row.name for row in frontend.rows()] == [name]
    assert states(frontend) == [DropState.TAKEN]
    assert [os.fsencode(each) for each in names_in(frontend.folders.sent)] == [name]
    assert len(names_in(frontend.folders.status)) == 3


def test_gbk_names_and_a_wrong_declaration_are_read_right(frontend: SendingFrontend) -> None:
    files = {"起诉意见书.pdf": b"1"}
    document = packet_xml(files).replace(b'encoding="utf-8"', b'encoding="GBK"')
    path = frontend.drop_folder("A", files, document=document)
    raw = "起诉意见书.pdf".encode("gb18030")
    (path / "起诉意见书.pdf").rename(path / os.fsdecode(raw))
    frontend.run()
    seal, _, _ = frontend.open(frontend.packets()[0])
    assert [part.name for part in seal.parts] == [raw]
    assert seal.encoding == "utf-8"
    assert frontend.codes() == ["encoding-misdeclared"]


def test_old_zip_tools_are_understood(frontend: SendingFrontend) -> None:
    """F6: GBK names without the flag, back-slashes, a top folder; packet.xml in GBK."""
    files = {"起诉意见书.pdf": b"1"}
    with zipfile.ZipFile(frontend.outbox / "A.zip.tmp", "w") as archive:
        archive.writestr(RawName("案卷\\packet.xml".encode("gb18030")), packet_xml(files, encoding="GBK"))
        archive.writestr(RawName("案卷\\起诉意见书.pdf".encode("gb18030")), b"1")
    (frontend.outbox / "A.zip.tmp").rename(frontend.outbox / "A.zip")
    frontend.run()
    seal, _, _ = frontend.open(frontend.packets()[0])
    assert (seal.encoding, seal.parts[0].name) == ("gb18030", "起诉意见书.pdf".encode("gb18030"))


# --- incomplete ------------------------------------------------------------------------------------------


def test_a_half_written_folder_is_incomplete_until_all_is_there(frontend: SendingFrontend) -> None:
    files = {"a.pdf": b"1", "b.pdf": b"22", "c.pdf": b"333"}
    path = frontend.drop_folder("A", files, leave_out=("a.pdf", "c.pdf"))
    frontend.run()
    status = frontend.status()
    assert (status["state"], status["final"], status["missing"]) == ("incomplete", False, ["a.pdf", "c.pdf"])
    assert status["senderRef"] == "A620199-0007"
    (path / "a.pdf").write_bytes(b"1")
    frontend.run()
    assert frontend.status()["missing"] == ["c.pdf"]
    (path / "c.pdf").write_bytes(b"333")
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
    data = b"x" * 1000
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


# --- profiles --------------------------------------------------------------------------------------------


def test_with_markers_nothing_is_read_before_its_marker(start: Open) -> None:
    frontend = start(profile=DropProfile.MARKER)
    frontend.drop_folder()
    frontend.run()
    assert (frontend.status()["state"], frontend.status()["missing"]) == ("incomplete", ["A.ok"])
    (frontend.outbox / "A.ok").touch()
    frontend.run()
    assert frontend.status()["state"] == "queued"
    assert names_in(frontend.outbox) == []
    assert names_in(frontend.folders.sent) == ["A", "A.ok"]


@pytest.mark.parametrize("statement", ["size", "digest"])
@pytest.mark.parametrize("kind", ["folder", "xml", "zip"])
def test_a_marker_may_state_size_and_digest(start: Open, kind: str, statement: str) -> None:
    frontend = start(profile=DropProfile.MARKER)
    path = {"folder": frontend.drop_folder, "xml": frontend.drop_xml, "zip": frontend.drop_zip}[kind]()
    document = (path / "packet.xml" if kind == "folder" else path).read_bytes()
    stated = str(len(document)) if statement == "size" else sha256_hex(document)
    wrong = str(len(document) + 1) if statement == "size" else sha256_hex(b"x")
    marker = frontend.outbox / "A.ok"
    marker.write_text(wrong)
    frontend.run()
    assert states(frontend) == [DropState.INCOMPLETE]
    marker.write_text(stated)
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]


def test_a_marker_that_stays_wrong_refuses(start: Open) -> None:
    frontend = start(profile=DropProfile.MARKER)
    frontend.drop_xml()
    (frontend.outbox / "A.ok").write_text("17")
    frontend.run()
    frontend.settle()
    assert frontend.codes("A.xml") == ["marker-differs"]


@pytest.mark.parametrize("kind", ["link", "folder", "hard link", "fifo"])
def test_a_marker_that_is_no_plain_file_marks_nothing_and_the_status_says_so(start: Open, kind: str) -> None:
    frontend = start(profile=DropProfile.MARKER)
    frontend.drop_xml()
    marker = frontend.outbox / "A.xml.ok"
    if kind == "link":
        marker.symlink_to(frontend.outbox / "A.xml")
    elif kind == "folder":
        marker.mkdir()
    elif kind == "fifo":
        os.mkfifo(marker)
    else:
        (frontend.root / "template").write_text("ok")
        marker.hardlink_to(frontend.root / "template")
    for _ in range(3):
        frontend.settle()
    status = frontend.status("A.xml")
    assert (status["state"], status["missing"]) == ("incomplete", ["A.xml.ok"])
    marker.rmdir() if kind == "folder" else marker.unlink()
    marker.touch()
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]


def test_a_drop_that_never_comes_to_rest_has_a_status_of_its_own(start: Open) -> None:
    """An earlier drop of that name was refused for good: that is not the answer to this one."""
    times = iter(range(1, 100))

    def write_on() -> None:
        os.utime(frontend.outbox / "A" / next(iter(SMALL)), ns=(0, next(times)))

    frontend = start(pool=MeddlingPool(lambda: None, *[write_on] * 3))
    frontend.drop_folder(document=b"<packet></packet>")
    frontend.run()
    assert frontend.status()["state"] == "refused"
    frontend.drop_folder()
    for _ in range(3):
        frontend.settle()
        status = frontend.status()
        assert (status["state"], status["final"], status["missing"]) == ("incomplete", False, ["packet.xml"])
    frontend.settle()
    assert frontend.status()["state"] == "queued"


def test_a_drop_that_is_given_its_time_is_not_told_as_the_one_before_it(start: Open) -> None:
    frontend = start(profile=DropProfile.SETTLED)
    frontend.drop_xml(document=b"<packet></packet>")
    frontend.run()
    frontend.settle()
    assert frontend.status("A.xml")["final"] is True
    frontend.drop_xml()
    frontend.run()
    status = frontend.status("A.xml")
    assert (status["state"], status["final"]) == ("seen", False)


def test_software_that_only_stands_still_is_given_its_time(start: Open) -> None:
    frontend = start(profile=DropProfile.SETTLED)
    path = frontend.outbox / "A.xml"
    whole = acceptance_xml()
    for size in (1, 100, len(whole) - 1, len(whole)):
        path.write_bytes(whole[:size])
        assert frontend.intake.step() == SETTLE
        frontend.clock.advance(SETTLE - 0.5)
        frontend.run()
        assert states(frontend) == [DropState.SEEN]
    frontend.clock.advance(0.5)
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]


@pytest.mark.parametrize("kind", ["xml", "zip"])
def test_standing_still_without_an_end_never_blames(start: Open, kind: str) -> None:
    frontend = start(profile=DropProfile.SETTLED)
    path = frontend.drop_xml() if kind == "xml" else frontend.drop_zip()
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    for _ in range(10):
        frontend.settle()
    assert states(frontend) == [DropState.INCOMPLETE]
    path.write_bytes(whole)
    frontend.run()
    frontend.settle()
    assert states(frontend) == [DropState.TAKEN]


def test_without_digests_two_equal_readings_are_needed(start: Open) -> None:
    """Preallocated files have their size before their bytes."""
    frontend = start(profile=DropProfile.SETTLED, optional_sha256=True)
    document = packet_xml({"a.pdf": b"12345"}, listed={"a.pdf": {"sha256": None}})
    path = frontend.drop_folder("A", {"a.pdf": bytes(5)}, document=document)
    times = (path / "a.pdf").stat()
    frontend.run()
    frontend.settle()
    assert states(frontend) == [DropState.SEEN]
    # The bytes arrive, and a tool that lies sets the time back.
    (path / "a.pdf").write_bytes(b"12345")
    os.utime(path / "a.pdf", ns=(times.st_atime_ns, times.st_mtime_ns))
    frontend.settle()
    assert states(frontend) == [DropState.SEEN]
    frontend.settle()
    assert states(frontend) == [DropState.TAKEN]
    assert frontend.open(frontend.packets()[0])[2] == {"a.pdf": b"12345"}


def test_a_digest_is_required_unless_the_profile_says_otherwise(start: Open) -> None:
    document = packet_xml(SMALL, listed={name: {"sha256": None} for name in SMALL})
    frontend = start()
    frontend.drop_folder(document=document)
    frontend.run()
    assert frontend.codes() == ["attachment-digest-missing"]
    frontend = start(optional_sha256=True)
    frontend.drop_folder(document=document)
    frontend.run()
    assert frontend.status()["state"] == "queued"


# --- refused ---------------------------------------------------------------------------------------------


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
        (lambda path: (path / "extra.pdf").touch(), ["attachment-unlisted"]),
        (lambda path: (path / "补充材料.pdf").write_bytes(b"x" * 25), ["attachment-digest-differs"]),
        (lambda path: (path / "补充材料.pdf").write_bytes(b"x" * 26), ["attachment-size-differs"]),
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
    (path / "卷宗.zip").write_bytes(b"x" * len(LARGE["卷宗.zip"]))
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


def test_a_link_inside_a_folder_reads_nothing_from_elsewhere(frontend: SendingFrontend) -> None:
    secret = frontend.root / "secret"
    secret.write_bytes(b"secret")
    path = frontend.drop_folder("A", {"a.pdf": b"secret"}, leave_out=("a.pdf",))
    (path / "a.pdf").symlink_to(secret)
    frontend.settle()
    frontend.settle()
    assert frontend.codes() == ["drop-not-plain"]
    (path / "a.pdf").unlink()
    (path / "a.pdf").write_bytes(b"secret")
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


# --- C13: sent before ------------------------------------------------------------------------------------


@pytest.mark.parametrize("packet_id", ["", KEY.packet_id])
def test_the_same_content_is_sent_once(frontend: SendingFrontend, packet_id: str) -> None:
    """F8."""
    document = acceptance_xml(packetId=packet_id)
    frontend.drop_xml("A.xml", document)
    frontend.run()
    for name in ("B.xml", "A.xml"):
        frontend.drop_xml(name, document)
        frontend.run()
    (packet,) = frontend.packets()
    assert states(frontend) == [DropState.TAKEN, DropState.DUPLICATE, DropState.DUPLICATE]
    assert frontend.status("B.xml")["duplicateOf"] == packet.key.packet_id
    assert frontend.status("B.xml")["final"] is True
    assert names_in(frontend.folders.sent) == ["A.xml", "A~2.xml", "B.xml"]
    # The first one's status is not lost to the second of its name.
    assert frontend.status("A.xml")["state"] == "queued"
    assert frontend.status("A.xml~2")["state"] == "duplicate"


def test_two_drops_of_one_content_in_one_scan_are_a_packet_and_a_duplicate(frontend: SendingFrontend) -> None:
    for name in ("A.xml", "B.xml"):
        frontend.drop_xml(name)
    frontend.run()
    (packet,) = frontend.packets()
    assert sorted(states(frontend)) == [DropState.DUPLICATE, DropState.TAKEN]
    assert frontend.open(packet)[0].key == packet.key
    needed = frontend.ledger.read().execute("SELECT needed FROM spool").fetchone()["needed"]
    assert needed == 1


def test_a_folder_and_a_zip_of_one_content_are_one_packet(frontend: SendingFrontend) -> None:
    frontend.drop_folder()
    frontend.run()
    frontend.drop_zip()
    frontend.run()
    assert states(frontend) == [DropState.TAKEN, DropState.DUPLICATE]


@pytest.mark.parametrize("packet_id", ["", KEY.packet_id])
@pytest.mark.parametrize(
    "events", [(Event.OFFER, Event.RECEIPT_REFUSED), (Event.CANCEL,), (Event.RECEIPT_EXPIRED,)]
)
def test_what_failed_may_be_sent_again(
    frontend: SendingFrontend, packet_id: str, events: tuple[Event, ...]
) -> None:
    document = acceptance_xml(packetId=packet_id)
    frontend.drop_xml("A.xml", document)
    frontend.run()
    (first,) = frontend.packets()
    frontend.end_packet(first, *events)
    frontend.drop_xml("A.xml", document)
    frontend.run()
    (again,) = frontend.packets()
    assert (again.id, again.key, again.attempt) == (first.id, first.key, 2)
    assert (again.state, again.sequence) == (PacketState.ACTIVE, 2)
    assert frontend.destination_states(again) == {PROCURATORATE: DestinationState.QUEUED}
    assert frontend.open(again)[0].attempt == 2
    assert frontend.status("A.xml")["attempt"] == 2
    assert len(batches.due(frontend.ledger.read(), LINK, 10)) == 1


def test_a_delivered_packet_is_not_sent_again(frontend: SendingFrontend) -> None:
    frontend.drop_xml()
    frontend.run()
    (packet,) = frontend.packets()
    frontend.end_packet(packet, Event.OFFER, Event.ACKNOWLEDGE, Event.RECEIPT_DELIVERED)
    frontend.drop_xml()
    frontend.run()
    assert states(frontend) == [DropState.TAKEN, DropState.DUPLICATE]


def test_one_packet_id_does_not_stand_for_two_contents(frontend: SendingFrontend) -> None:
    frontend.drop_xml("A.xml", acceptance_xml(packetId=KEY.packet_id))
    frontend.run()
    frontend.drop_xml("B.xml", acceptance_xml(packetId=KEY.packet_id, senderRef="R-2"))
    frontend.run()
    assert frontend.codes("B.xml") == ["packet-id-reused"]
    frontend.end_packet(frontend.packets()[0], Event.OFFER, Event.RECEIPT_REFUSED)
    frontend.drop_xml("B.xml", acceptance_xml(packetId=KEY.packet_id, senderRef="R-2"))
    frontend.run()
    (packet,) = frontend.packets()
    assert (packet.attempt, packet.sender_ref, packet.key.packet_id) == (2, "R-2", KEY.packet_id)


def test_a_packet_that_one_recipient_refused_is_not_sent_again_to_all(
    frontend: SendingFrontend, any_copies: None
) -> None:
    document = _ordered(acceptance_xml(copyTo=COURT))
    frontend.drop_xml(document=document)
    frontend.run()
    (packet,) = frontend.packets()

    def end(tx: Any) -> None:
        refused, delivered = packets.destinations(tx.connection, packet.id)
        batches.withdraw(tx, LINK, ItemKind.PACKET, packet.id)
        packets.move(tx, packet, refused, Event.RECEIPT_REFUSED)
        packets.move(tx, packet, delivered, Event.RECEIPT_DELIVERED)

    frontend.ledger.write(end)
    frontend.drop_xml(document=document)
    frontend.run()
    assert states(frontend) == [DropState.TAKEN, DropState.DUPLICATE]


def test_a_new_attempt_waits_until_the_earlier_batch_is_disposed_of(frontend: SendingFrontend) -> None:
    frontend.drop_xml()
    frontend.run()
    (packet,) = frontend.packets()

    def refused_too_soon(tx: Any) -> None:
        (row,) = packets.destinations(tx.connection, packet.id)
        packets.move(tx, packet, row, Event.RECEIPT_REFUSED)

    frontend.ledger.write(refused_too_soon)
    frontend.drop_xml()
    frontend.run()
    assert frontend.rows()[-1].reason == "earlier-attempt-open"
    assert frontend.packets()[0].attempt == 1
    frontend.end_packet(packet)
    frontend.clock.advance(1.0)
    frontend.run()
    assert frontend.packets()[0].attempt == 2


# --- held ------------------------------------------------------------------------------------------------


def test_an_expired_directory_holds_everything_and_a_new_one_releases_it(start: Open) -> None:
    frontend = start(clock=FakeClock(make_directory().expires_at))
    frontend.drop_xml()
    frontend.run()
    (row,) = frontend.rows()
    assert (row.state, row.reason) == (DropState.HELD, "directory-not-current")
    assert frontend.status("A.xml")["state"] == "held"
    for _ in range(3):
        frontend.clock.advance(600)
        frontend.run()
    assert frontend.rows() == [row]
    directory = make_directory()
    newer = replace(
        directory,
        version=4,
        expires_at=frontend.clock.now().replace(year=2030),
        agencies=tuple(replace(agency, business_types=(), case_kinds=()) for agency in directory.agencies),
    )
    frontend.trust.offer(sign_directory(encode_directory(newer), ROOTS[:2]))
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]


class _OnceTemporary(InlinePool):
    def __init__(self) -> None:
        self.failures = 3

    def run(self, function: Callable[[Any], Any], works: Sequence[Any]) -> list[Any]:
        if works and self.failures:
            self.failures -= 1
            return [StaleStateError("not now") for _ in works]
        return super().run(function, works)


def test_what_could_not_be_told_is_tried_again_with_growing_delays(start: Open) -> None:
    frontend = start(pool=_OnceTemporary())
    frontend.drop_xml()
    delays = []
    for _ in range(3):
        frontend.run()
        (row,) = frontend.rows()
        assert (row.state, row.reason) == (DropState.HELD, "stale-state")
        assert row.retry_at is not None
        delays.append((row.retry_at - frontend.clock.now()).total_seconds())
        assert frontend.intake.step() == delays[-1]
        frontend.clock.advance(delays[-1])
    assert delays == [1.0, 2.0, 4.0]
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]


def test_poison_is_left_alone_after_three_deaths_and_others_go_on(start: Open) -> None:
    frontend = start(pool=DyingPool(b"POISON"))
    frontend.drop_xml("A.xml", acceptance_xml(senderRef="POISON"))
    frontend.drop_xml("B.xml")
    frontend.run()
    assert states(frontend) == [DropState.HELD, DropState.TAKEN]
    for _ in range(6):
        frontend.clock.advance(60)
        frontend.run()
    row = frontend.rows()[0]
    assert (row.state, row.reason, row.crashes, row.tries) == (DropState.HELD, "poison", 3, 3)
    assert "poison" in str(frontend.status("A.xml")["message"])
    # Something else under that name starts afresh.
    (frontend.outbox / "A.xml").write_bytes(acceptance_xml(senderRef="R-9"))
    frontend.run()
    assert frontend.rows()[0].state is DropState.TAKEN


def test_work_that_ends_the_process_is_done_alone_and_is_poison_at_the_third_time(start: Open) -> None:
    class Killed(BaseException):
        pass

    class KillingPool(DyingPool):
        groups: list[int] = []  # noqa: RUF012 - shared by the restarts of one test

        def run(self, function: Callable[[Any], Any], works: Sequence[Any]) -> list[Any]:
            self.groups.append(len(works))
            if any(self.sender_ref in work.packet_xml for work in works):
                raise Killed
            return InlinePool.run(self, function, works)

    clock = FakeClock()
    frontend = start(pool=KillingPool(b"POISON"), clock=clock)
    for name in "ABC":
        frontend.drop_xml(f"{name}.xml", acceptance_xml(senderRef="POISON" if name == "A" else name))
        os.utime(frontend.outbox / f"{name}.xml", ns=(0, ord(name)))
    for _ in range(2):
        with pytest.raises(Killed):
            frontend.run()
        frontend = start(pool=KillingPool(b"POISON"), clock=clock)
    # Together, alone; now it is held for a while, and the others go on.
    frontend.run()
    assert (KillingPool.groups, states(frontend)[1:]) == ([3, 1, 2], [DropState.TAKEN] * 2)
    for _ in range(2):
        clock.advance(60)
        with pytest.raises(Killed):
            frontend.run()
        frontend = start(pool=KillingPool(b"POISON"), clock=clock)
        frontend.run()
    assert KillingPool.groups == [3, 1, 2, 1, 1]
    clock.advance(3600)
    frontend.run()
    row = frontend.rows()[0]
    assert (row.state, row.reason, row.crashes) == (DropState.HELD, "poison", 3)


def test_a_bug_that_one_drop_meets_stops_that_drop_only(start: Open) -> None:
    class BuggyPool(DyingPool):
        def run(self, function: Callable[[Any], Any], works: Sequence[Any]) -> list[Any]:
            if any(self.sender_ref in work.packet_xml for work in works):
                raise ZeroDivisionError
            return InlinePool.run(self, function, works)

    frontend = start(pool=BuggyPool(b"POISON"))
    for name in "ABC":
        frontend.drop_xml(f"{name}.xml", acceptance_xml(senderRef="POISON" if name == "A" else name))
        os.utime(frontend.outbox / f"{name}.xml", ns=(0, ord(name)))
    raised = 0
    for _ in range(10):
        try:
            frontend.intake.step()
        except ZeroDivisionError:
            raised += 1
        frontend.clock.advance(60)
    assert raised == 4
    assert states(frontend) == [DropState.HELD, DropState.TAKEN, DropState.TAKEN]
    assert frontend.rows()[0].reason == "poison"


def test_a_drop_that_the_ledger_refuses_does_not_undo_the_others(
    frontend: SendingFrontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take_all_but_one(tx: Any, candidate: Any, *others: Any) -> None:
        taking.take(tx, candidate, *others)
        if candidate.packet.envelope.sender_ref == "BAD":
            raise LedgerDamagedError("the ledger refused a row")

    monkeypatch.setattr("frontend_server.acceptance.take", take_all_but_one)
    frontend.drop_xml("0.xml")
    frontend.run()
    for name, sender_ref in (("A", "R-1"), ("B", "BAD"), ("C", "R-3"), ("D", "A620199-0007")):
        frontend.drop_xml(f"{name}.xml", acceptance_xml(senderRef=sender_ref))
    frontend.run()
    found = {row.name: (row.state, row.reason) for row in frontend.rows()}
    assert found[b"A.xml"] == found[b"C.xml"] == (DropState.TAKEN, "")
    assert found[b"B.xml"] == (DropState.HELD, "ledger-damaged")
    assert found[b"D.xml"] == (DropState.DUPLICATE, "")
    assert [row.in_work for row in frontend.rows()] == [0] * 5
    for packet in frontend.packets():
        assert frontend.open(packet)[0].key == packet.key


def test_a_fault_of_the_volume_is_no_crash_of_the_drop(
    frontend: SendingFrontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise NoSpaceError("no room")

    frontend.drop_xml()
    with monkeypatch.context() as patch:
        patch.setattr("frontend_server.acceptance.Acceptance.accept", full)
        for _ in range(5):
            with pytest.raises(NoSpaceError):
                frontend.intake.step()
    assert (frontend.rows()[0].crashes, frontend.rows()[0].in_work) == (0, 0)
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]


def test_too_little_room_holds(start: Open) -> None:
    frontend = start(free_space_bytes=1 << 60)
    frontend.drop_folder()
    frontend.run()
    assert (frontend.rows()[0].reason, frontend.status()["state"]) == ("no-space", "held")
    frontend = start()
    frontend.clock.advance(60)
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]


def test_a_drop_that_may_not_be_read_is_held(
    frontend: SendingFrontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    frontend.drop_folder()
    real = os.open

    def open_anything_but_a(path: Any, *args: Any, **settings: Any) -> int:
        if path == b"A":
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **settings)

    with monkeypatch.context() as patch:
        patch.setattr("frontend_server.outbox.os.open", open_anything_but_a)
        frontend.run(2)
    (row,) = frontend.rows()
    assert (row.state, row.reason, row.tries) == (DropState.HELD, "drop-unreadable", 1)
    frontend.clock.advance(10)
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]


def test_a_clock_that_ran_years_ahead_holds_nothing_for_years(
    frontend: SendingFrontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    frontend.clock.jump(9000 * 86400.0)
    frontend.drop_xml()
    with monkeypatch.context() as patch:
        patch.setattr("exchanged.receipts.Links.name_of", lambda *_: "")
        patch.setattr("exchanged.trust.Trust.is_current", lambda *_: True)
        frontend.run()
    assert states(frontend) == [DropState.HELD]
    frontend.clock.jump(-9000 * 86400.0)
    frontend.settle()
    assert states(frontend) == [DropState.TAKEN]


def test_a_way_without_a_link_holds(frontend: SendingFrontend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exchanged.receipts.Links.name_of", lambda *_: "")
    frontend.drop_xml()
    frontend.run()
    assert (frontend.rows()[0].state, frontend.rows()[0].reason) == (DropState.HELD, "no-link")


def test_a_recipient_without_a_route_is_refused(
    frontend: SendingFrontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frontend_server.addressing.next_hop", lambda *_, **__: Route(RouteKind.UNKNOWN))
    frontend.drop_xml()
    frontend.run()
    assert frontend.codes("A.xml") == ["receiver-unreachable"]


# --- things that happen meanwhile ------------------------------------------------------------------------


def test_a_drop_that_was_taken_back_is_withdrawn(start: Open) -> None:
    frontend = start()
    path = frontend.drop_folder(leave_out=tuple(SMALL))
    frontend.run()
    path.rename(frontend.root / "taken-back")
    frontend.run()
    (row,) = frontend.rows()
    assert (row.state, row.original) == (DropState.WITHDRAWN, Original.GONE)
    assert (frontend.status()["state"], frontend.status()["final"]) == ("withdrawn", True)
    (frontend.root / "taken-back").rename(path)
    frontend.run()
    assert states(frontend) == [DropState.WITHDRAWN, DropState.INCOMPLETE]


@pytest.mark.parametrize("act", ["away", "content", "packet.xml", "new file", "swapped"])
def test_what_changes_while_it_is_judged_is_not_sealed(start: Open, act: str) -> None:
    """C3: what is validated is what is signed and sent."""
    files = {**SMALL, **LARGE}
    changed = packet_xml(files, senderRef="R-2")

    def meddle() -> None:
        path = frontend.outbox / "A"
        if act == "away":
            path.rename(frontend.root / "taken-back")
        elif act == "content":
            (path / "补充材料.pdf").write_bytes(SMALL["补充材料.pdf"])
        elif act == "packet.xml":
            (path / "packet.xml").write_bytes(changed)
        elif act == "new file":
            (path / "more.pdf").touch()
        else:
            path.rename(frontend.root / "taken-back")
            frontend.drop_folder("A", files, document=changed)

    frontend = start(pool=MeddlingPool(meddle))
    frontend.drop_folder("A", files)
    frontend.intake.step()
    assert frontend.packets() == []
    assert list(frontend.blobs.incoming.iterdir()) == []
    frontend.run(2)
    if act == "away":
        assert states(frontend) == [DropState.WITHDRAWN]
    elif act == "new file":
        assert frontend.codes() == ["attachment-unlisted"]
    else:
        (packet,) = frontend.packets()
        _, document, parts = frontend.open(packet)
        assert parts == files
        assert document == (changed if act in ("packet.xml", "swapped") else packet_xml(files))


def test_a_racer_never_gets_other_bytes_sealed_than_were_judged(start: Open) -> None:
    """The source is rewritten at every judgement; whatever is sealed was judged as a whole."""
    documents = [acceptance_xml(senderRef=f"R-{number}") for number in range(6)]
    judged: list[bytes] = []

    class Racer(InlinePool):
        def run(self, function: Callable[[Any], Any], works: Sequence[Any]) -> list[Any]:
            judged.extend(work.packet_xml for work in works)
            if len(judged) < len(documents):
                (frontend.outbox / "A.xml").write_bytes(documents[len(judged)])
            return super().run(function, works)

    frontend = start(pool=Racer())
    (frontend.outbox / "A.xml").write_bytes(documents[0])
    for _ in range(10):
        frontend.run()
    (packet,) = frontend.packets()
    assert frontend.open(packet)[1] == judged[-1]


def test_without_its_marker_an_empty_outbox_means_nothing(frontend: SendingFrontend) -> None:
    """Fault matrix: a lost mount looks like an empty folder."""
    frontend.drop_folder(leave_out=tuple(SMALL))
    frontend.run()
    mounted = frontend.root / "mounted"
    frontend.outbox.rename(mounted)
    frontend.outbox.mkdir()
    for _ in range(3):
        assert frontend.intake.step() == 10.0
    assert states(frontend) == [DropState.INCOMPLETE]
    assert frontend.events("folder-marker") == [{"folder": "outbox", "state": "missing"}]
    frontend.drop_xml("B.xml")
    frontend.run()
    assert len(frontend.rows()) == 1
    (frontend.outbox / "B.xml").unlink()
    frontend.outbox.rmdir()
    mounted.rename(frontend.outbox)
    (frontend.outbox / "A" / "补充材料.pdf").write_bytes(SMALL["补充材料.pdf"])
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]


def test_a_mount_that_goes_while_it_is_listed_means_nothing(
    frontend: SendingFrontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    frontend.drop_folder(leave_out=tuple(SMALL))
    frontend.run()
    def gone(descriptor: int, cap: int) -> OutboxListing:
        (frontend.outbox / MARKER_NAME).rename(frontend.root / "marker")
        return OutboxListing(frozenset(), truncated=False)

    monkeypatch.setattr("frontend_server.intake.list_names", gone)
    assert frontend.intake.step() == 10.0
    assert states(frontend) == [DropState.INCOMPLETE]


def test_a_listing_that_was_cut_withdraws_nothing(start: Open) -> None:
    frontend = start()
    for name in "ABC":
        frontend.drop_folder(name, leave_out=tuple(SMALL))
    frontend.run()
    assert states(frontend) == [DropState.INCOMPLETE] * 3
    frontend = start(scan_names=2)
    for _ in range(3):
        frontend.run()
    assert states(frontend) == [DropState.INCOMPLETE] * 3


def test_case_software_that_gives_every_drop_one_name(frontend: SendingFrontend) -> None:
    for number in range(14):
        frontend.drop_xml("packet.xml", acceptance_xml(senderRef=f"R-{number}"))
        frontend.run()
    assert len(frontend.packets()) == 14
    assert len(names_in(frontend.folders.sent)) == 14
    names = {row.status_name for row in frontend.rows()}
    assert len(names) == 14
    for row in frontend.rows():
        assert frontend.status(row.status_name)["senderRef"] == row.sender_ref


def test_a_status_name_is_given_again_once_its_drop_is_settled(frontend: SendingFrontend) -> None:
    frontend.drop_xml("A.xml", b"<packet></packet>")
    frontend.run()
    frontend.drop_xml("A.xml")
    frontend.run()
    assert [row.status_name for row in frontend.rows()] == ["A.xml", "A.xml"]
    assert frontend.status("A.xml")["state"] == "queued"


def test_blobs_are_stored_once(frontend: SendingFrontend) -> None:
    for number in range(3):
        frontend.drop_folder(str(number), LARGE, document=packet_xml(LARGE, senderRef=f"R-{number}"))
    frontend.run()
    frontend.drop_folder("3", LARGE, document=packet_xml(LARGE, senderRef="R-3"))
    frontend.run()
    assert len(frontend.packets()) == 4
    assert len(frontend.blobs.files_on_disk()) == 1
    for packet in frontend.packets():
        assert frontend.open(packet)[2] == LARGE


# --- dispositions ----------------------------------------------------------------------------------------


def test_a_disposition_is_handed_over_in_one_transaction(frontend: SendingFrontend) -> None:
    frontend.drop_xml("签收.xml", DISPOSITION)
    frontend.run(3)
    (answer,) = frontend.answers
    assert (answer.key, answer.kind, answer.by) == (KEY, ReceiptKind.SIGNED, "虚构丙")
    assert states(frontend) == [DropState.DISPOSED]
    assert names_in(frontend.folders.sent) == ["签收.xml"]
    assert frontend.status("签收.xml")["state"] == "disposed"


def test_a_disposition_that_does_not_count_is_refused(frontend: SendingFrontend) -> None:
    frontend.answer = (make_finding("disposition-unknown-packet", found=str(KEY)),)
    frontend.drop_xml("A.xml", DISPOSITION)
    frontend.run()
    assert frontend.codes("A.xml") == ["disposition-unknown-packet"]
    assert names_in(frontend.folders.refused)[0] == "A.xml"


def test_a_disposition_that_cannot_be_taken_yet_is_held_and_harms_no_other(frontend: SendingFrontend) -> None:
    frontend.answer = StaleStateError("a delivery is not committed yet")
    frontend.drop_xml("A.xml", DISPOSITION)
    frontend.drop_xml("B.xml")
    frontend.run()
    assert {row.name: row.state for row in frontend.rows()} == {
        b"A.xml": DropState.HELD,
        b"B.xml": DropState.TAKEN,
    }
    frontend.answer = ()
    frontend.clock.advance(1)
    frontend.run()
    assert len(frontend.answers) == 1


def test_a_disposition_that_cannot_be_read_is_refused(frontend: SendingFrontend) -> None:
    frontend.drop_xml("A.xml", DISPOSITION.replace(b'kind="signed"', b'kind="maybe"'))
    frontend.run()
    assert states(frontend) == [DropState.REFUSED]
    assert frontend.answers == []


# --- the ledger ------------------------------------------------------------------------------------------


def test_events_name_drops_by_number_and_hold_no_case_data(frontend: SendingFrontend) -> None:
    frontend.drop_folder("虚构甲盗窃案")
    frontend.drop_xml("B.xml", b"<packet></packet>")
    frontend.run()
    details = [row["detail"] for row in frontend.ledger.read().execute("SELECT detail FROM event")]
    assert not any("虚构" in detail or "\\u865a" in detail or "A620199" in detail for detail in details)


def test_a_node_without_an_incarnation_takes_nothing(frontend: SendingFrontend) -> None:
    frontend.ledger.write(lambda tx: tx.execute("DELETE FROM node WHERE name = 'incarnation'"))
    frontend.drop_xml()
    with pytest.raises(ExchangeError, match="incarnation"):
        frontend.intake.step()
    assert frontend.packets() == []
    assert frontend.spool.names() == ()


def test_the_clock_of_a_packet_is_its_seal(frontend: SendingFrontend) -> None:
    frontend.drop_xml()
    frontend.run()
    (packet,) = frontend.packets()
    assert packet.sealed_at == packet.landed_at == START
