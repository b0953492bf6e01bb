"""What is offered on a link: no packet, however made, keeps another from going out (C4, C12)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from cli.fiction.request import DropRequest
from exchanged.ledger import blobs
from exchanged.offering import item_bytes
from exchanged.ranges import SpoolRange
from exchanged.spool import Spool
from exchanged.sweep import Sweep
from packet_spec.identity import PacketKey, sha256_hex
from packet_spec.limits import PARTS, WAYBILL_BYTES
from packet_spec.model import ItemKind, ReceiptKind
from packet_spec.waybill import encode_waybill
from packet_spec.waybill_model import (
    Acknowledgement,
    BatchException,
    BlobReference,
    ExceptionKind,
    Waybill,
    WaybillItem,
)
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE
from tests.support.peer import Peer
from tests.support.province import Province, answer, link_to, node, receipt_item, rows, station, video_packet


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


@pytest.mark.slow
def test_c4_items_that_name_many_blobs_are_spread_over_batches(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waybills have a cap: whoever sends packets with thousands of blobs must not stop another's link."""
    many = tuple(BlobReference(sha256_hex(bytes([n % 256, n // 256])), 2**40) for n in range(PARTS))
    monkeypatch.setattr(blobs, "references", lambda connection, key: many)
    province.police.send(*[province.police.seal(province.request(seed=seed)) for seed in range(1, 4)])
    seen: list[bytes] = []
    for _ in range(2):
        province.run()
        seen += province.procuratorate.items(ItemKind.PACKET)
        province.procuratorate.acknowledge()
    assert node(province).errors == []
    assert len(seen) == 3


def test_c4_the_planned_size_of_a_waybill_line_is_never_too_small() -> None:
    many = tuple(BlobReference("f" * 64, 2**62) for _ in range(300))
    key = PacketKey("620199-01-00", "ffffffff-ffff-4fff-8fff-ffffffffffff")
    items = tuple(WaybillItem(ItemKind.RECEIPT, "f" * 64, 2**30, key, many) for _ in range(20))
    waybill = Waybill(
        ("1",), "bridge-" + "x" * 32, PROVINCE, "f" * 32, 99_999_999, items, None, "f" * 64, 2**62,
        datetime(2026, 7, 15, tzinfo=UTC), "f" * 32,
    )  # fmt: skip
    assert len(encode_waybill(waybill)) <= 4096 + sum(item_bytes(item) for item in items) <= WAYBILL_BYTES


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


def test_c6_what_is_queued_while_a_batch_is_composed_stays_in_the_queue_of_its_own_link(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The packet that is being composed ends in that moment; its number was given to another link's item."""
    court = Peer(province.network, COURT)
    court.greet()
    first = province.police.seal(province.request(seed=1))
    to_court = DropRequest("info.share", POLICE, COURT, province.network.clock.now())
    second = province.police.seal(to_court)
    link = link_to(province, PROCURATORATE)
    # Nothing else shall be queued after the packet, whose number is the highest.
    for one in (link, station(province, "log")):
        monkeypatch.setattr(one, "step", lambda: None)
    province.police.send(first)
    province.run()
    (waits,) = rows(province, "SELECT kind FROM outgoing ORDER BY id DESC LIMIT 1")
    assert waits == ("packet",)
    monkeypatch.undo()
    receiver = province.procuratorate
    delivered = receipt_item(province, first, ReceiptKind.DELIVERED, PROCURATORATE, receiver)
    receiver.put(receiver.batch([delivered]))
    link._landing.step(link._link.transport.list_names())  # type: ignore[attr-defined]
    province.police.send(second)
    police = link_to(province, POLICE)
    police._landing.step(police._link.transport.list_names())  # type: ignore[attr-defined]
    open_range = Spool.open_range

    def late(self: Spool, where: SpoolRange) -> Any:
        monkeypatch.undo()
        station(province, "judge").step()
        return open_range(self, where)

    monkeypatch.setattr(Spool, "open_range", late)
    link.step()
    province.run()
    receiver.acknowledge()
    province.run()
    assert second.data in court.items(ItemKind.PACKET)
    carried = receiver.items(ItemKind.PACKET)
    assert first.data not in carried
    assert second.data not in carried
    kinds = {(receipt.kind, receipt.key) for receipt in province.receipts(province.police)}
    assert kinds >= {(ReceiptKind.ACCEPTED, first.key), (ReceiptKind.DELIVERED, first.key)}
    assert (ReceiptKind.ACCEPTED, second.key) in kinds
    court.acknowledge()
    province.police.acknowledge()
    province.run()
    assert rows(province, "SELECT kind FROM outgoing WHERE kind = 'packet'") == []
