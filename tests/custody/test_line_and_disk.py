"""Full disks, broken lines and lost files stop neither the link nor the next packet (C1, C3, C6, I10)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from exchanged.durable import blocks_of
from exchanged.errors import NoSpaceError, RemoteRefusedError, TransportError, VolumeDamagedError
from exchanged.folder_transport import FolderTransport
from exchanged.landing import BATCHES_A_STEP
from exchanged.spool import Spool
from exchanged.transport import TURN_SECONDS, Fetched, Source
from packet_spec.identity import PacketKey
from packet_spec.model import ItemKind, ReceiptKind, Route
from tests.support.network import POLICE, PROCURATORATE
from tests.support.peer import Peer, Sealed, packet_item
from tests.support.province import (
    Province,
    link_to,
    node,
    publish,
    receipt_item,
    rows,
    station,
    video_packet,
)

NO_ROOM = NoSpaceError("the volume is full")
# All that OpenSSH says of an account's quota.
REFUSED = RemoteRefusedError("the server refuses an operation", code=4, found="Failure")


def test_c1_settled_files_go_though_nothing_more_can_be_put(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a full mailbox would stay full for ever."""
    receiver = province.procuratorate
    province.police.send(province.police.seal(province.request(seed=1)))
    province.run()
    (path,) = (receiver.mailbox / "down").glob("0*.batch")
    receiver.acknowledge()
    province.police.send(province.police.seal(province.request(seed=2)))

    def full(self: FolderTransport, name: str, source: Source) -> None:
        raise NoSpaceError("the volume is full")

    monkeypatch.setattr(FolderTransport, "put", full)
    for _ in range(3):
        province.network.round()
    assert not path.exists()


@pytest.mark.parametrize("error", [NO_ROOM, REFUSED], ids=["no room", "refused"])
def test_c6_a_blob_for_which_there_is_no_room_holds_up_its_own_packet_only(
    province: Province, monkeypatch: pytest.MonkeyPatch, error: TransportError
) -> None:
    put = FolderTransport.put

    def too_large(self: FolderTransport, name: str, source: Source) -> bool:
        if name.endswith(".blob"):
            raise error
        return put(self, name, source)

    video, small = video_packet(province, seed=1), province.police.seal(province.request(seed=2))
    monkeypatch.setattr(FolderTransport, "put", too_large)
    province.police.send(video, small)
    province.run()
    later = province.police.seal(province.request(seed=3))
    province.police.send(later)
    province.run()
    assert {small.data, later.data} <= set(province.procuratorate.items(ItemKind.PACKET))
    # The link says what is wrong with it all the same.
    assert node(province).errors[-1] is error


def test_c3_a_line_that_breaks_leaves_nothing_in_the_spool(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came whole before is landed; what came in part goes."""
    for seed in (1, 2, 3):
        province.police.send(province.police.seal(province.request(seed=seed)))
    fetch, broken = FolderTransport.fetch, ["00000002"]

    def breaking(self: FolderTransport, name: str, target: Path, *, limit_bytes: int) -> Fetched:
        found = fetch(self, name, target, limit_bytes=limit_bytes)
        if broken and name.startswith(broken[0]):
            raise TransportError("the connection was lost")
        return found

    monkeypatch.setattr(FolderTransport, "fetch", breaking)
    for _ in range(3):
        province.network.round()
    spool = node(province).opened.spool
    assert set(spool.names()) <= {name for (name,) in rows(province, "SELECT name FROM spool")}
    assert [row[0] for row in rows(province, "SELECT number FROM batch_in")] == [1]
    broken.clear()
    province.run()
    assert len(province.procuratorate.items(ItemKind.PACKET)) == 3


def test_i10_below_the_floor_only_small_things_are_taken_in(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Spool, "free_bytes", lambda self: 0)
    video = video_packet(province, seed=1)
    small = province.police.seal(province.request(seed=2))
    province.police.send(video)
    province.police.send(small)
    province.run()
    assert province.procuratorate.items(ItemKind.PACKET) == [small.data]
    monkeypatch.undo()
    province.run()
    assert len(province.procuratorate.items(ItemKind.PACKET)) == 2


def test_i10_a_large_part_needs_room_only_for_what_is_still_to_come_of_it(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes several turns, and what came with the earlier ones has left what is free already."""
    video = video_packet(province, seed=1)
    ((_, content),) = video.blobs.items()
    opened, clock = node(province).opened, province.network.clock
    room = len(content) * 6 // 5

    def falling(spool: Spool) -> int:
        here = sum(path.stat().st_size for path in opened.blobs.folder.rglob("*") if path.is_file())
        return opened.floor.floor_bytes + room - here

    def slow(descriptor: int, offset: int) -> Iterator[bytes]:
        for block in blocks_of(descriptor, offset):
            for start in range(0, len(block), 700_000):
                yield block[start : start + 700_000]
                clock.advance(TURN_SECONDS)

    monkeypatch.setattr(Spool, "free_bytes", falling)
    monkeypatch.setattr("exchanged.folder_transport.blocks_of", slow)
    province.police.send(video)
    for _ in range(12):
        province.network.round()
    assert province.procuratorate.items(ItemKind.PACKET) == [video.data]
    assert node(province).errors == []


def large_batch(peer: Peer) -> bytes:
    """A batch of more than a small one may have; what is in it will be no packet."""
    junk = bytes(1_200_000)
    key = PacketKey(peer.agency, "01980000-0000-7000-8000-000000000001")
    return peer.batch([(packet_item(junk, key), junk)])


def test_i10_below_the_floor_receipts_land_behind_a_batch_that_is_too_large(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are what empties the spool again."""
    receiver = province.procuratorate
    packet = province.police.seal(province.request(seed=1))
    province.police.send(packet)
    province.run()
    receiver.acknowledge()
    province.run()
    monkeypatch.setattr(Spool, "free_bytes", lambda self: 0)
    # As many as one step looks at, and more.
    for _ in range(BATCHES_A_STEP + 1):
        receiver.put(large_batch(receiver))
    delivered = receipt_item(province, packet, ReceiptKind.DELIVERED, PROCURATORATE, receiver)
    receiver.put(receiver.batch([delivered]))
    for _ in range(4):
        province.network.round()
    assert rows(province, "SELECT state FROM packet") == [("done",)]
    assert isinstance(node(province).errors[-1], NoSpaceError)
    # What was passed over is acknowledged when it has landed, and not before.
    told = receiver.acknowledgement()
    assert told is not None
    assert told.through == 0
    monkeypatch.undo()
    province.run()
    told = receiver.acknowledgement()
    assert told is not None
    assert told.through == BATCHES_A_STEP + 2


def test_c15_what_came_past_a_batch_without_room_is_not_refused_for_coming_early(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it follows may lie in the batch that this node had no room for."""
    opened = node(province).opened
    routes = (Route("police", PROCURATORATE, sequence="enforce"),)
    opened.trust.offer(publish(province, replace(opened.trust.directory, version=2, routes=routes)))
    monkeypatch.setattr(Spool, "free_bytes", lambda self: 0)
    province.police.put(large_batch(province.police))
    province.police.send(province.police.seal(province.request("supplement.resubmit")))
    for _ in range(8):
        for _ in range(3):
            province.network.round()
        province.network.clock.advance(60)
    assert province.arrivals() == [("held", "waiting-for-predecessor")]
    monkeypatch.undo()
    for _ in range(3):
        province.run()
        province.network.clock.advance(60)
    assert [receipt.kind for receipt in province.receipts(province.police)] == [ReceiptKind.REFUSED]


LIMIT_BYTES = 1_000_000


def no_room(monkeypatch: pytest.MonkeyPatch, error: TransportError, limit: int = LIMIT_BYTES) -> list[str]:
    """Nothing larger than that can be put into any mailbox. Returns the names of what was refused."""
    put, refused = FolderTransport.put, []

    def almost_full(self: FolderTransport, name: str, source: Source) -> bool:
        if source.size > limit:
            refused.append(name)
            raise error
        return put(self, name, source)

    monkeypatch.setattr(FolderTransport, "put", almost_full)
    return refused


def large_packet(province: Province) -> Sealed:
    """A packet without blobs whose batch finds no room."""
    documents = {"extra_documents": ("EVD-024",), "video_bytes": 1_030_000}
    packet = province.police.seal(province.request("prosecution.transfer", seed=1, **documents))
    assert len(packet.data) > LIMIT_BYTES
    return packet


@pytest.mark.parametrize("error", [NO_ROOM, REFUSED], ids=["no room", "refused"])
def test_i10_a_small_batch_is_put_past_one_for_which_the_mailbox_has_no_room(
    province: Province, monkeypatch: pytest.MonkeyPatch, error: TransportError
) -> None:
    packets = [large_packet(province), province.police.seal(province.request("prosecution.transfer", seed=2))]
    refused = no_room(monkeypatch, error)
    for packet in packets:
        province.police.send(packet)
        province.network.round()
    for _ in range(2):
        province.network.round()
    assert province.procuratorate.items(ItemKind.PACKET) == [packets[1].data]
    assert refused
    # The link says what is wrong with it all the same.
    assert node(province).errors[-1] is error
    monkeypatch.undo()
    province.run()
    assert len(province.procuratorate.items(ItemKind.PACKET)) == 2


def test_i10_past_a_batch_without_room_go_more_than_a_window_of_batches(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The neighbour acknowledges none of them while the large one is missing."""
    window = link_to(province, PROCURATORATE)._link.limits.open_batches  # type: ignore[attr-defined]
    no_room(monkeypatch, NO_ROOM)
    province.police.send(large_packet(province))
    province.network.round()
    small = [province.police.seal(province.request(seed=seed)) for seed in range(2, 5 + window)]
    for packet in small:
        province.police.send(packet)
        province.network.round()
    for _ in range(2):
        province.network.round()
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data for packet in small]


@pytest.mark.parametrize("error", [NO_ROOM, REFUSED], ids=["no room", "refused"])
@pytest.mark.parametrize("what", ["ack.batch", "directory-"])
def test_i10_what_is_told_beside_batches_finds_no_room_and_holds_up_nothing(
    province: Province, monkeypatch: pytest.MonkeyPatch, what: str, error: TransportError
) -> None:
    put = FolderTransport.put

    def refusing(self: FolderTransport, name: str, source: Source) -> bool:
        if name.startswith(what):
            raise error
        return put(self, name, source)

    province.procuratorate.greet()
    province.run()
    opened = node(province).opened
    monkeypatch.setattr(FolderTransport, "put", refusing)
    opened.trust.offer(publish(province, replace(opened.trust.directory, version=2)))
    packet = province.police.seal(province.request(seed=1))
    province.police.send(packet)
    province.run()
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]
    assert node(province).errors[-1] is error
    monkeypatch.undo()
    province.run()
    assert list((province.procuratorate.mailbox / "down").glob("directory-*"))
    # The bare acknowledgement comes last.
    assert province.procuratorate.waybills()[-1].number is None
    assert province.procuratorate.waybills()[-1].directory_version == 2


def test_a_spool_that_cannot_be_read_ends_the_process_and_blames_no_packet(province: Province) -> None:
    province.police.send(province.police.seal(province.request()))
    link_to(province, POLICE).step()
    ((name,),) = rows(province, "SELECT name FROM spool")
    node(province).opened.spool.path(name).unlink()
    with pytest.raises(VolumeDamagedError):
        station(province, "judge").step()
    assert province.arrivals() == [("landed", "")]
