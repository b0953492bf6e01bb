"""Nobody fills another's queue with true signatures about packets that are none of his (C21, C23)."""

from __future__ import annotations

import pytest

from exchanged import concerning
from exchanged.concerning import NOTED_TOO_OFTEN, STRANGER, UNKNOWN_PACKET
from packet_spec.hop import sign_hop
from packet_spec.identity import PacketKey, sha256_hex
from packet_spec.model import HopNote, ItemKind, Receipt, ReceiptKind
from packet_spec.receipt import sign_receipt
from packet_spec.waybill_model import WaybillItem
from tests.support.network import COURT, POLICE, PROCURATORATE
from tests.support.peer import Peer, Sealed
from tests.support.province import Province, node, receipt_item, rows, seal_digest_of

Item = tuple[WaybillItem, bytes]


@pytest.fixture
def court(province: Province) -> Peer:
    return Peer(province.network, COURT)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """How many statements of one node about unknown packets pass in a day."""
    monkeypatch.setattr(concerning, "A_DAY", 5)
    return 5


def hop_item(by: Peer, key: PacketKey, seal_digest: str = "0" * 64) -> Item:
    now = by.network.clock.now()
    data = sign_hop(HopNote(by.agency, key, seal_digest, now, now, ""), by.link_key)
    return WaybillItem(ItemKind.HOP, sha256_hex(data), len(data), key), data


def delivered_item(by: Peer, key: PacketKey) -> Item:
    receipt = Receipt(
        ReceiptKind.DELIVERED, key, 1, "0" * 64, "0" * 64, "case.report", by.agency, by.agency,
        by.network.clock.now(), 1,
    )  # fmt: skip
    data = sign_receipt(receipt, by.receipt_key)
    return WaybillItem(ItemKind.RECEIPT, sha256_hex(data), len(data), key), data


def invented(sender: str, number: int) -> PacketKey:
    return PacketKey(sender, f"01980000-0000-7000-8000-{number:012x}")


def sent(province: Province) -> Sealed:
    """A packet of the police that the province has admitted for the procuratorate."""
    packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    return packet


def noted(province: Province, by: Peer, packet: Sealed, count: int) -> list[Item]:
    """That many different notes of a node that the packet passed, put into its mailbox."""
    found = []
    for _ in range(count):
        province.network.clock.advance(0.001)
        found.append(hop_item(by, packet.key, seal_digest_of(packet)))
    by.put(by.batch(found))
    province.run()
    return found


def test_a_node_that_a_packet_passes_notes_it_only_so_often(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever receives a packet could fill its sender's ledger with signed notes about it."""
    monkeypatch.setattr(concerning, "OF_ONE_KIND", 3)
    packet = sent(province)
    passed = len(province.police.items(ItemKind.HOP))
    first = noted(province, province.procuratorate, packet, 5)
    assert province.arrivals() == [("quarantined", NOTED_TOO_OFTEN)] * 2
    assert len(province.police.items(ItemKind.HOP)) == passed + 3
    # What was noted may come again as often as it likes, and nobody else's notes are fewer for it.
    province.procuratorate.put(province.procuratorate.batch(first[:3]))
    province.run()
    assert len(province.arrivals()) == 2
    noted(province, province.police, packet, 1)
    assert len(province.arrivals()) == 2


def test_what_others_noted_of_a_packet_is_not_read_for_the_next_note(province: Province) -> None:
    packet = sent(province)
    ledger = node(province).opened.ledger
    seen: set[str] = set()
    ledger._connection.set_trace_callback(seen.add)
    noted(province, province.procuratorate, packet, 1)
    ledger._connection.set_trace_callback(None)
    plans = [
        row[3]
        for statement in seen
        if statement.startswith("SELECT") and " hop " in statement
        for row in ledger.read().execute("EXPLAIN QUERY PLAN " + statement)
    ]
    assert "SEARCH hop USING COVERING INDEX hop_packet (packet_id=? AND sender=? AND node=?)" in plans


@pytest.mark.parametrize("make", [hop_item, delivered_item])
def test_of_unknown_packets_few_statements_of_one_node_pass_in_a_day(
    province: Province, court: Peer, few: int, make: object
) -> None:
    """This node may have forgotten a packet, so they go their way; but an invented flood is not handed on."""
    assert callable(make)
    kind = ItemKind.HOP if make is hop_item else ItemKind.RECEIPT
    province.police.put(
        province.police.batch([make(province.police, invented(COURT, number)) for number in range(few + 3)])
    )
    province.run()
    assert len(court.items(kind)) == few
    assert province.arrivals() == [("quarantined", UNKNOWN_PACKET)] * 3
    # Another node's wait is none of it.
    province.procuratorate.put(
        province.procuratorate.batch([make(province.procuratorate, invented(COURT, 99))])
    )
    province.run()
    assert len(court.items(kind)) == few + 1
    province.network.clock.advance(86_500)
    province.police.put(province.police.batch([make(province.police, invented(COURT, 100))]))
    province.run()
    assert len(court.items(kind)) == few + 2


def test_what_others_say_of_an_agencys_packets_is_their_own_wait(province: Province) -> None:
    """Receipts of one do not stand behind those of another, who says a great deal."""
    packet = sent(province)
    court = Peer(province.network, COURT)
    court.put(court.batch([hop_item(court, invented(POLICE, number)) for number in range(40)]))
    receipt = receipt_item(province, packet, ReceiptKind.DELIVERED, PROCURATORATE, province.procuratorate)
    province.procuratorate.put(province.procuratorate.batch([receipt]))
    province.run()
    hops = rows(province, "SELECT turn, flow FROM outgoing WHERE kind = 'hop' ORDER BY turn")
    ((turn, flow),) = rows(
        province,
        "SELECT turn, flow FROM outgoing JOIN receipt ON receipt.id = reference"
        " WHERE outgoing.kind = 'receipt' AND receipt.kind = 'delivered'",
    )
    assert {flow} & {each for _, each in hops} == set()
    assert len(hops) == 40
    assert turn < hops[5][0]


def test_a_hop_note_of_a_node_that_a_packet_does_not_pass_is_set_aside(
    province: Province, court: Peer
) -> None:
    packet = sent(province)
    court.put(court.batch([hop_item(court, packet.key, seal_digest_of(packet))]))
    province.run()
    assert province.arrivals() == [("quarantined", STRANGER)]
    assert province.police.items(ItemKind.HOP) == []


def test_a_hop_note_by_another_road_than_its_nodes_is_set_aside(province: Province, court: Peer) -> None:
    packet = sent(province)
    court.put(court.batch([hop_item(province.procuratorate, packet.key, seal_digest_of(packet))]))
    province.run()
    assert province.arrivals() == [("quarantined", "note-by-a-wrong-road")]
    assert province.police.items(ItemKind.HOP) == []


def test_a_hop_note_of_the_receivers_node_reaches_the_sender(province: Province) -> None:
    packet = sent(province)
    receiver = province.procuratorate
    receiver.put(receiver.batch([hop_item(receiver, packet.key, seal_digest_of(packet))]))
    province.run()
    assert province.arrivals() == []
    assert len(province.police.items(ItemKind.HOP)) == 1


def test_a_receipt_of_an_agency_to_which_the_packet_does_not_go_is_set_aside(
    province: Province, court: Peer
) -> None:
    packet = sent(province)
    court.put(court.batch([receipt_item(province, packet, ReceiptKind.DELIVERED, COURT, court)]))
    province.run()
    assert province.arrivals() == [("quarantined", STRANGER)]
    assert [each.kind for each in province.receipts(province.police)] == [ReceiptKind.ACCEPTED]
