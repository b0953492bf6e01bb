"""Drops of every form become sealed packets, in their order and under their names."""

from __future__ import annotations

import os
import zipfile

import pytest

from exchanged.ledger import batches
from exchanged.ledger.drops import Original
from exchanged.states import DestinationState, DropState, PacketState
from exchanged.station import NOW
from tests.support.documents import COURT, KEY, POLICE, PROCURATORATE
from tests.support.outbox import LARGE, LINK, SMALL, SendingFrontend, acceptance_xml, names_in, packet_xml
from tests.support.papers import pdf
from tests.support.sending import in_order, states
from tests.unit.test_frontend_server_zip_drop import RawName


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


def test_copies_priority_and_relations_reach_the_ledger(frontend: SendingFrontend, any_copies: None) -> None:
    case = b'<case kind="dangerous_driving"><number kind="police">A6201990000002026070001</number></case>'
    document = acceptance_xml(copyTo=COURT, priority="urgent").replace(b"<handler", case + b"<handler")
    answered = f'<inReplyTo sender="{PROCURATORATE}">{KEY.packet_id}</inReplyTo><createdAt>'.encode()
    frontend.drop_xml(document=in_order(document).replace(b"<createdAt>", answered))
    frontend.run()
    (packet,) = frontend.packets()
    assert (packet.copies, packet.in_reply_to) == ((COURT,), KEY.packet_id)
    assert packet.case_key == "police:A6201990000002026070001"
    assert set(frontend.destination_states(packet)) == {PROCURATORATE, COURT}
    row = frontend.ledger.read().execute("SELECT link, priority FROM outgoing").fetchall()
    assert [tuple(each) for each in row] == [(LINK, 0)]


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
    files = {"起诉意见书.pdf": pdf()}
    document = packet_xml(files).replace(b'encoding="utf-8"', b'encoding="GBK"')
    path = frontend.drop_folder("A", files, document=document)
    raw = "起诉意见书.pdf".encode("gb18030")
    (path / "起诉意见书.pdf").rename(path / os.fsdecode(raw))
    frontend.run()
    seal, _, _ = frontend.open(frontend.packets()[0])
    assert [part.name for part in seal.parts] == [raw]
    assert seal.encoding == "utf-8"
    assert frontend.codes() == ["encoding-misdeclared"]


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_gbk_name_that_is_valid_utf8_by_chance_reads_as_listed_at_the_receiver(
    frontend: SendingFrontend, kind: str
) -> None:
    """682 of the 3,755 most frequent characters are such, alone; what the seal bears is read UTF-8 first."""
    files = {"图1.pdf": pdf()}
    raw = "图1.pdf".encode("gb18030")
    if kind == "folder":
        frontend.drop_folder("A", {os.fsdecode(raw): pdf()}, document=packet_xml(files))
    else:
        with zipfile.ZipFile(frontend.outbox / "A.zip.tmp", "w") as archive:
            archive.writestr("packet.xml", packet_xml(files))
            archive.writestr(RawName(raw), pdf())
        (frontend.outbox / "A.zip.tmp").rename(frontend.outbox / "A.zip")
    frontend.run()
    seal, _, _ = frontend.open(frontend.packets()[0])
    assert [part.name for part in seal.parts] == ["图1.pdf".encode()]


def test_old_zip_tools_are_understood(frontend: SendingFrontend) -> None:
    """F6: GBK names without the flag, back-slashes, a top folder; packet.xml in GBK."""
    files = {"起诉意见书.pdf": pdf()}
    with zipfile.ZipFile(frontend.outbox / "A.zip.tmp", "w") as archive:
        archive.writestr(RawName("案卷\\packet.xml".encode("gb18030")), packet_xml(files, encoding="GBK"))
        archive.writestr(RawName("案卷\\起诉意见书.pdf".encode("gb18030")), pdf())
    (frontend.outbox / "A.zip.tmp").rename(frontend.outbox / "A.zip")
    frontend.run()
    seal, _, _ = frontend.open(frontend.packets()[0])
    assert (seal.encoding, seal.parts[0].name) == ("gb18030", "起诉意见书.pdf".encode("gb18030"))
