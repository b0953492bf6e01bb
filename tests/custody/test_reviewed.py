"""Holes that a hostile reading of the engine found: each test is named after the rule that was broken.

The neighbours are driven by hand; faults of disk and network are put in at the ports.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from concurrent.futures import CancelledError
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exchanged.admission import Admission
from exchanged.blobs import BlobStore
from exchanged.durable import DurableFiles, Volume
from exchanged.errors import NoSpaceError, TransportError, VolumeDamagedError, WorkerDiedError
from exchanged.folder_transport import FolderTransport
from exchanged.keys import load_key
from exchanged.ledger import batches, blobs
from exchanged.ledger.times import moment, stamp
from exchanged.offering import item_bytes
from exchanged.pool import ProcessWorkPool
from exchanged.ranges import SpoolRange
from exchanged.spool import Spool
from exchanged.station import Station
from exchanged.sweep import Sweep
from exchanged.transport import Fetched, Source
from packet_spec.directory import encode_directory, sign_directory
from packet_spec.errors import VersionError
from packet_spec.identity import PacketKey, sha256_hex
from packet_spec.limits import WAYBILL_BYTES
from packet_spec.model import (
    Acknowledgement,
    BatchException,
    BlobReference,
    Directory,
    ExceptionKind,
    ItemKind,
    Receipt,
    ReceiptKind,
    Waybill,
    WaybillItem,
)
from packet_spec.receipt import sign_receipt
from packet_spec.seal import encode_seal
from packet_spec.waybill import encode_waybill
from tests.custody.conftest import Province
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, SimulatedNode
from tests.support.peer import Peer, Sealed

SECRET = b"a video that belongs to somebody else" * 40_000


def node(province: Province) -> SimulatedNode:
    return province.network.nodes[PROVINCE]


def station(province: Province, name: str) -> Station:
    return next(one for one in node(province).stations if one.name == name)


def link_to(province: Province, agency: str) -> Station:
    links = node(province).opened.links
    return station(province, f"link:{links.name_of(agency)}")


def rows(province: Province, statement: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in node(province).opened.ledger.read().execute(statement)]


def video_packet(province: Province, **changes: Any) -> Sealed:
    return province.police.seal(
        province.request(
            "prosecution.transfer", extra_documents=("EVD-024",), video_bytes=2_000_000, **changes
        )
    )


def receipt_item(
    province: Province, packet: Sealed, kind: ReceiptKind, recipient: str, by: Peer
) -> tuple[WaybillItem, bytes]:
    receipt = Receipt(
        kind, packet.key, packet.seal.attempt, packet.seal.content_digest, seal_digest_of(packet),
        packet.seal.business_type, recipient, by.agency, province.network.clock.now(), 1,
    )  # fmt: skip
    data = sign_receipt(receipt, by.receipt_key)
    return WaybillItem(ItemKind.RECEIPT, sha256_hex(data), len(data), packet.key), data


def seal_digest_of(packet: Sealed) -> str:
    return sha256_hex(encode_seal(packet.seal))


def answer(peer: Peer, *exceptions: BatchException, through: int = 0) -> Acknowledgement:
    """The peer's acknowledgement of everything that lies there, with these exceptions."""
    waybills = [waybill for waybill in peer.waybills() if waybill.number is not None]
    peer.counter += 1
    last = max((waybill.number or 0 for waybill in waybills), default=0)
    return Acknowledgement(
        PROVINCE, peer.waybills()[-1].incarnation, through or last, peer.counter, exceptions
    )


def publish(province: Province, directory: Directory) -> bytes:
    root = load_key(province.network.layout.root_key)
    return sign_directory(encode_directory(directory), [root])


# blobs and titles


def other_agency_stores_a_secret(province: Province) -> str:
    """A blob that only the court has put here, and to which the police has no title."""
    store, digest = node(province).opened.blobs, sha256_hex(SECRET)
    partial = store.incoming / "partial"
    DurableFiles(Volume.OWN).write_file(partial, (SECRET,))
    store.adopt(partial, digest, 1)

    def entitle(transaction: Any) -> None:
        blobs.store(transaction, digest, 1, len(SECRET))
        blobs.entitle(transaction, digest, COURT)

    node(province).opened.ledger.write(entitle)
    return digest


def test_c9_a_waybill_line_cannot_make_the_province_send_out_a_foreign_blob(province: Province) -> None:
    """One batch names a foreign digest beside a packet, a second one offers the same packet without it."""
    digest = other_agency_stores_a_secret(province)
    packet = province.police.seal(province.request())
    greedy = replace(packet.item(), blobs=(BlobReference(digest, len(SECRET)),))
    province.police.put(province.police.batch([(greedy, packet.data)]))
    province.run()
    province.police.send(packet)
    province.run()
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]
    assert not (province.procuratorate.mailbox / "down" / f"{digest}.blob").exists()
    assert all(not item.blobs for waybill in province.procuratorate.waybills() for item in waybill.items)


def test_c9_a_delivered_receipt_gives_no_title_to_what_a_waybill_claimed(province: Province) -> None:
    """A recipient claims that another's packet names a foreign blob, then signs for that packet."""
    digest = other_agency_stores_a_secret(province)
    packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    thief = province.procuratorate
    claim = replace(packet.item(), blobs=(BlobReference(digest, len(SECRET)),))
    thief.put(thief.batch([(claim, packet.data)]))
    province.run()
    thief.put(thief.batch([receipt_item(province, packet, ReceiptKind.DELIVERED, PROCURATORATE, thief)]))
    province.run()
    assert not blobs.is_entitled(node(province).opened.ledger.read(), digest, PROCURATORATE)


def test_c8_a_packet_is_not_accepted_without_a_blob_that_its_seal_names(province: Province) -> None:
    packet = video_packet(province)
    assert packet.blobs
    province.police.put(province.police.batch([(replace(packet.item(), blobs=()), packet.data)]))
    province.run()
    assert province.receipts(province.police) == []
    assert province.arrivals() == [("quarantined", "waybill-names-other-blobs")]


def test_c10_the_ledger_names_no_blob_with_another_size_than_it_has(tmp_path: Path) -> None:
    """The mailbox file is exchanged between listing and fetching: the node would not start any more."""
    files = DurableFiles(Volume.OWN)
    store = BlobStore(tmp_path, files)
    store.prepare()

    def fetch(partial: Path) -> Fetched:
        return Fetched(*files.write_file(partial, (SECRET,)))

    digest = sha256_hex(SECRET)
    assert not store.take_in(digest, 1, len(SECRET) + 1, fetch, "police")
    assert store.files_on_disk() == {}
    assert store.take_in(digest, 1, len(SECRET), fetch, "police")


# batches and acknowledgements


def test_c5_a_number_that_was_used_twice_is_answered_bad_and_told_once(province: Province) -> None:
    """A front-end whose ledger was set back gives a number anew: what it holds now must not be lost."""
    province.police.send(province.police.seal(province.request(seed=1)))
    province.run()
    province.police.number = 0
    packet = province.police.seal(province.request(seed=2))
    province.police.send(packet)
    province.run()
    for _ in range(5):
        province.network.round()
    acknowledged = province.police.acknowledgement()
    assert acknowledged is not None
    assert [(one.number, one.kind) for one in acknowledged.exceptions] == [(1, ExceptionKind.BAD)]
    assert len(province.events("batch-number-used-twice")) == 1
    province.police.send(packet)
    province.run()
    assert packet.data in province.procuratorate.items(ItemKind.PACKET)


def test_c5_a_bad_batch_stays_named_though_its_file_is_gone(province: Province) -> None:
    """The mailbox lost the file and the acknowledgement: the writer must still hear that it was bad."""
    province.police.greet()
    path = province.police.put(b"torn" * 1000, number=1)
    province.run()
    path.unlink()
    province.police.number = 1
    province.police.send(province.police.seal(province.request()))
    province.run()
    acknowledged = province.police.acknowledgement()
    assert acknowledged is not None
    assert [(one.number, one.kind) for one in acknowledged.exceptions] == [(1, ExceptionKind.BAD)]
    assert acknowledged.through == 2


def test_c5_a_lost_acknowledgement_file_is_put_again(province: Province) -> None:
    province.police.send(province.police.seal(province.request()))
    province.run()
    path = province.police.mailbox / "down" / "ack.batch"
    path.unlink()
    province.network.clock.advance(60)
    province.run()
    assert path.exists()


def test_c5_an_acknowledgement_of_an_incarnation_that_is_over_settles_nothing(province: Province) -> None:
    """The neighbour was set back and speaks under a new name; what the lost ledger had is not there."""
    receiver = province.procuratorate
    receiver.greet()
    province.run()
    province.police.send(province.police.seal(province.request()))
    province.run()
    told = answer(receiver)
    receiver.put(receiver.batch([], bare=True, incarnation="f" * 32), name="ack.batch")
    province.run()
    receiver.put(receiver.batch([], acknowledgement=told), number=1)
    province.run()
    assert rows(province, "SELECT state FROM destination") == [("offered",)]


def test_c5_a_batch_under_a_key_that_is_over_is_left_lying(province: Province) -> None:
    """An answer would make the neighbour send it again at once, and again, and again."""
    province.police.greet()
    province.run()
    current = node(province).opened.trust.directory
    over = province.network.clock.now()
    nodes = tuple(
        replace(
            one, keys=tuple(replace(key, not_after=over) if "link" in key.uses else key for key in one.keys)
        )
        if one.code == POLICE
        else one
        for one in current.nodes
    )
    node(province).opened.trust.offer(publish(province, replace(current, version=2, nodes=nodes)))
    province.network.clock.advance(5)
    packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    acknowledged = province.police.acknowledgement()
    assert acknowledged is not None
    assert (acknowledged.through, acknowledged.exceptions) == (0, ())
    incoming = node(province).opened.trust.incoming
    (incoming / "again.xml").write_bytes(publish(province, replace(current, version=3)))
    province.run()
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]


def test_c12_a_higher_attempt_goes_out_while_the_batch_of_the_refused_one_is_open(province: Province) -> None:
    """The receiver refused one packet of a batch that still needs a blob for another."""
    refused, video = province.police.seal(province.request(seed=1)), video_packet(province, seed=2)

    def entitle(transaction: Any) -> None:
        for digest in video.blobs:
            blobs.entitle(transaction, digest, PROCURATORATE)

    node(province).opened.ledger.write(entitle)
    province.police.send(refused, video)
    province.run()
    receiver = province.procuratorate
    (number,) = {
        waybill.number
        for waybill in receiver.waybills()
        if any(item.key == video.key and item.kind is ItemKind.PACKET for item in waybill.items)
    }
    need = BatchException(number or 0, ExceptionKind.NEED, "", tuple(video.blobs))
    item = receipt_item(province, refused, ReceiptKind.REFUSED, PROCURATORATE, receiver)
    receiver.put(receiver.batch([item], acknowledgement=answer(receiver, need)))
    province.run()
    again = province.police.seal(province.request(seed=1), packet_id=refused.key.packet_id, attempt=2)
    province.police.send(again)
    province.run()
    assert receiver.items(ItemKind.PACKET)[-1] == again.data
    # the old batch is settled at last: the new attempt is not taken for handed over
    receiver.counter += 1
    told = Acknowledgement(PROVINCE, receiver.waybills()[-1].incarnation, number or 0, receiver.counter)
    receiver.put(receiver.batch([], bare=True, acknowledgement=told), name="ack.batch")
    province.run()
    states = rows(
        province,
        "SELECT packet_id, destination.state FROM destination JOIN packet ON packet.id = packet",
    )
    assert (refused.key.packet_id, "offered") in states


def test_c4_what_became_final_before_it_was_offered_does_not_block_the_link(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sender and receiver act in concert: the receiver signs for a packet that it does not have yet."""
    link = link_to(province, PROCURATORATE)
    monkeypatch.setattr(link, "step", lambda: None)
    packet = province.police.seal(province.request(seed=1))
    province.police.send(packet)
    province.run()
    monkeypatch.undo()
    item = receipt_item(province, packet, ReceiptKind.DELIVERED, PROCURATORATE, province.procuratorate)
    province.procuratorate.put(province.procuratorate.batch([item]))
    link._landing.step(link._link.transport.list_names())  # type: ignore[attr-defined]
    station(province, "judge").step()
    province.run()
    assert rows(province, "SELECT state FROM destination") == [("delivered",)]
    assert rows(province, "SELECT id FROM outgoing WHERE batch IS NULL") == []


def test_c4_items_that_name_many_blobs_are_spread_over_batches(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waybills have a cap: whoever sends packets with thousands of blobs must not stop another's link."""
    many = tuple(BlobReference(sha256_hex(bytes([n % 256, n // 256])), 2**40) for n in range(9_000))
    monkeypatch.setattr(blobs, "references", lambda connection, key: many)
    province.police.send(*[province.police.seal(province.request(seed=seed)) for seed in range(1, 4)])
    province.run()
    assert node(province).errors == []
    assert len(province.procuratorate.items(ItemKind.PACKET)) == 3


def test_c4_the_planned_size_of_a_waybill_line_is_never_too_small() -> None:
    many = tuple(BlobReference("f" * 64, 2**62) for _ in range(300))
    key = PacketKey("620199-01-00", "ffffffff-ffff-4fff-8fff-ffffffffffff")
    items = tuple(WaybillItem(ItemKind.RECEIPT, "f" * 64, 2**30, key, many) for _ in range(20))
    waybill = Waybill(
        ("1",), "bridge-" + "x" * 32, PROVINCE, "f" * 32, 99_999_999, items, None, "f" * 64, 2**62,
        datetime(2026, 7, 15, tzinfo=UTC), "f" * 32,
    )  # fmt: skip
    assert len(encode_waybill(waybill)) <= 4096 + sum(item_bytes(item) for item in items) <= WAYBILL_BYTES


def test_c5_what_does_not_fit_into_an_acknowledgement_is_not_disposed_of(province: Province) -> None:
    province.police.greet()
    province.run()
    link = node(province).opened.links.name_of(POLICE)

    def land(transaction: Any) -> None:
        for number in range(1, 4_000):
            batches.land(
                transaction, link, province.police.incarnation, number, f"{number}.batch",
                exception="bad", detail="d" * 100,
            )  # fmt: skip

    node(province).opened.ledger.write(land)
    told = batches.acknowledgement(node(province).opened.ledger.read(), link, POLICE)
    assert told is not None
    assert 0 < told.through == len(told.exceptions) < 3_999


# full disks, broken lines, power cuts


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


def test_c6_a_blob_for_which_there_is_no_room_holds_up_its_own_packet_only(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = FolderTransport.put

    def too_large(self: FolderTransport, name: str, source: Source) -> None:
        if name.endswith(".blob"):
            raise NoSpaceError("the volume is full")
        put(self, name, source)

    video, small = video_packet(province, seed=1), province.police.seal(province.request(seed=2))
    monkeypatch.setattr(FolderTransport, "put", too_large)
    province.police.send(video, small)
    province.run()
    assert small.data in province.procuratorate.items(ItemKind.PACKET)


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


def test_a_spool_that_cannot_be_read_ends_the_process_and_blames_no_packet(province: Province) -> None:
    province.police.send(province.police.seal(province.request()))
    link_to(province, POLICE).step()
    ((name,),) = rows(province, "SELECT name FROM spool")
    node(province).opened.spool.path(name).unlink()
    with pytest.raises(VolumeDamagedError):
        station(province, "judge").step()
    assert province.arrivals() == [("landed", "")]


def test_c4_a_packet_whose_bytes_go_while_a_batch_is_composed_is_no_damage(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link reads what the judge and the sweep let go of in the same moment."""
    packet = province.police.seal(province.request())
    link = link_to(province, PROCURATORATE)
    monkeypatch.setattr(link, "step", lambda: None)
    province.police.send(packet)
    province.run()
    monkeypatch.undo()
    receiver, opened = province.procuratorate, node(province).opened
    item = receipt_item(province, packet, ReceiptKind.DELIVERED, PROCURATORATE, receiver)
    receiver.put(receiver.batch([item]))
    link._landing.step(link._link.transport.list_names())  # type: ignore[attr-defined]
    open_range = Spool.open_range

    def late(self: Spool, where: SpoolRange) -> Any:
        monkeypatch.undo()
        station(province, "judge").step()
        next(one for one in node(province).stations if isinstance(one, Sweep)).step()
        return open_range(self, where)

    monkeypatch.setattr(Spool, "open_range", late)
    link.step()
    assert opened.ledger.read().execute("SELECT state FROM packet").fetchone()[0] == "done"


def test_c24_what_was_held_is_looked_at_after_a_power_cut_too(province: Province) -> None:
    """The directory was in force already, the ledger did not yet know that somebody waits for it."""
    trust = node(province).opened.trust
    current = trust.directory
    short = replace(current, version=2, expires_at=province.network.clock.now() + timedelta(seconds=30))
    trust.offer(publish(province, short))
    province.network.clock.advance(60)
    packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    assert province.arrivals() == [("held", "directory-expired")]
    trust.offer(publish(province, replace(current, version=3)))
    node(province).die()
    node(province).open()
    province.run()
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]


def test_c24_without_any_directory_packets_are_held(province: Province) -> None:
    province.police.send(province.police.seal(province.request()))
    link_to(province, POLICE).step()
    folder = node(province).opened.trust.folder
    saved = {path: path.read_bytes() for path in folder.glob("directory-*.xml")}
    for path in saved:
        path.unlink()
    node(province).die()
    node(province).open()
    for _ in range(3):
        station(province, "judge").step()
    assert province.arrivals() == [("held", "no-directory")]


def test_c24_a_directory_on_its_way_in_is_not_taken_for_one_that_a_person_put(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The desk looks at its folder while the link still writes."""
    newer = replace(node(province).opened.trust.directory, version=2)
    (province.police.mailbox / "up" / "directory-2.xml").write_bytes(publish(province, newer))
    fetch = FolderTransport.fetch

    def slow(self: FolderTransport, name: str, target: Path, *, limit_bytes: int) -> Fetched:
        found = fetch(self, name, target, limit_bytes=limit_bytes)
        station(province, "directory").step()
        return found

    monkeypatch.setattr(FolderTransport, "fetch", slow)
    link_to(province, POLICE).step()
    assert node(province).opened.trust.version == 2
    assert province.events("directory-taken")


def test_c24_a_directory_of_a_later_format_does_not_stop_the_link(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    def later(data: bytes) -> bool:
        raise VersionError("a format that comes later")

    (province.police.mailbox / "up" / "directory-2.xml").write_bytes(b"later")
    monkeypatch.setattr(node(province).opened.trust, "offer", later)
    packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]


# statements and judgement


def test_c18_a_sender_cannot_take_back_what_was_accepted_by_saying_that_it_expired(
    province: Province,
) -> None:
    packet = province.police.seal(province.request())
    item = receipt_item(province, packet, ReceiptKind.EXPIRED, "", province.police)
    province.police.put(province.police.batch([(packet.item(), packet.data), item]))
    province.run()
    assert [receipt.kind for receipt in province.receipts(province.police)] == [ReceiptKind.ACCEPTED]
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]
    assert len(province.events("receipt-contradicted")) == 1


@pytest.mark.parametrize("year", [1, 9999])
def test_i9_a_packet_with_a_far_date_stops_nobody(province: Province, year: int) -> None:
    strange = province.police.seal(
        province.request(), change={"expires_at": datetime(year, 1, 1, tzinfo=UTC)}
    )
    honest = province.police.seal(province.request(seed=7))
    province.police.send(strange, honest)
    province.run()
    assert honest.data in province.procuratorate.items(ItemKind.PACKET)
    assert moment(stamp(datetime(year, 1, 1, tzinfo=UTC))).year == year


def test_i9_an_item_that_makes_the_judge_fail_stops_only_itself(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison, honest = (province.police.seal(province.request(seed=seed)) for seed in (1, 2))
    decide = Admission.decide

    def failing(self: Admission, transaction: Any, row: Any, examined: Any) -> None:
        decide(self, transaction, row, examined)
        if row.key == poison.key:
            raise ValueError("a case that nobody thought of")

    monkeypatch.setattr(Admission, "decide", failing)
    province.police.send(poison, honest)
    province.run()
    assert province.procuratorate.items(ItemKind.PACKET) == [honest.data]
    assert [kind.kind for kind in province.receipts(province.police)] == [ReceiptKind.ACCEPTED]
    for _ in range(40):
        province.network.clock.advance(60)
        province.network.round()
    assert province.arrivals() == [("quarantined", "crashed-three-times")]


class _EndedPool:
    """A pool of workers that the node's stop ends in the middle of a check."""

    def __init__(self, pool: ProcessWorkPool) -> None:
        self._pool = pool

    def schedule(self, *_: Any, **__: Any) -> Any:
        return self

    def result(self) -> Any:
        self._pool.close()
        raise CancelledError


def test_a_stop_in_the_middle_of_a_check_is_no_crash_of_the_packet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted as one, three slow stops would quarantine a good packet."""
    pool = ProcessWorkPool(1, 1.0)
    monkeypatch.setattr(pool, "_started", lambda: _EndedPool(pool))
    with pytest.raises(WorkerDiedError):
        pool.run(len, ["one", "two"])


# cost


GROWING = ("batch_in", "batch_out", "batch_blob", "packet", "destination", "case_history", "event", "receipt")


def plans(connection: sqlite3.Connection, statements: Iterable[str]) -> list[str]:
    found = []
    for statement in statements:
        if statement.split(maxsplit=1)[0] in ("SELECT", "UPDATE", "DELETE"):
            found += [
                f"{row[3]} <- {statement}" for row in connection.execute("EXPLAIN QUERY PLAN " + statement)
            ]
    return found


def test_the_cost_of_a_packet_does_not_grow_with_the_ledger(province: Province) -> None:
    """No statement of landing, judging and offering walks a table that keeps every packet for ever."""
    province.police.greet()
    province.run()
    ledger = node(province).opened.ledger
    seen: set[str] = set()
    for connection in (ledger._connection, ledger.read()):
        connection.set_trace_callback(seen.add)
    province.police.send(province.police.seal(province.request()))
    province.run()
    province.procuratorate.acknowledge()
    province.run()
    for connection in (ledger._connection, ledger.read()):
        connection.set_trace_callback(None)
    # All that a link ever carried, where only what is open was meant.
    whole_links = (
        "SEARCH batch_in USING INDEX batch_in_name (link=?) ",
        "SEARCH batch_out USING INDEX sqlite_autoindex_batch_out_1 (link=?) ",
    )
    walks = [
        plan
        for plan in plans(ledger.read(), sorted(seen))
        for table in GROWING
        if plan.startswith((f"SCAN {table} <-", *whole_links))
        and not plan.endswith(" ORDER BY id DESC LIMIT 1")
    ]
    assert walks == []
