"""C21: whoever received a packet may say of it what it likes: one word more costs what the first one cost."""

from __future__ import annotations

import pytest

from exchanged import concerning
from exchanged.concerning import OF_ONE_KIND, SAID_TOO_OFTEN, UNKNOWN_PACKET
from exchanged.ledger.node_values import RESTORED_AT
from packet_spec.identity import sha256_hex
from packet_spec.model import ItemKind, Receipt, ReceiptKind
from packet_spec.receipt import sign_receipt
from packet_spec.waybill_model import WaybillItem
from tests.support.network import PROCURATORATE
from tests.support.peer import Peer, Sealed
from tests.support.province import Province, node, seal_digest_of

COLLECTED, SIGNED = ReceiptKind.COLLECTED, ReceiptKind.SIGNED


@pytest.fixture
def packet(province: Province) -> Sealed:
    """One of the police that the province has admitted for the procuratorate."""
    packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    return packet


def say(
    province: Province, packet: Sealed, kind: ReceiptKind, numbers: range, attempt: int = 1
) -> list[tuple[WaybillItem, bytes]]:
    by: Peer = province.procuratorate
    found = []
    for number in numbers:
        receipt = Receipt(
            kind, packet.key, attempt, packet.seal.content_digest, seal_digest_of(packet),
            packet.seal.business_type, PROCURATORATE, by.agency, province.network.clock.now(), number,
        )  # fmt: skip
        data = sign_receipt(receipt, by.receipt_key)
        found.append((WaybillItem(ItemKind.RECEIPT, sha256_hex(data), len(data), packet.key), data))
    by.put(by.batch(found))
    province.run()
    return found


def kinds(province: Province) -> list[ReceiptKind]:
    return [each.kind for each in province.receipts(province.police)]


def test_the_same_is_said_of_a_packet_only_so_often(province: Province, packet: Sealed) -> None:
    said = say(province, packet, COLLECTED, range(1, OF_ONE_KIND + 4))
    assert province.arrivals() == [("quarantined", SAID_TOO_OFTEN)] * 3
    assert kinds(province).count(COLLECTED) == OF_ONE_KIND
    # What was recorded may come again as often as it likes, and whatever else it has to say is heard.
    province.procuratorate.put(province.procuratorate.batch(said[:OF_ONE_KIND]))
    say(province, packet, SIGNED, range(100, 101))
    assert len(province.arrivals()) == 3
    assert kinds(province).count(SIGNED) == 1


def test_of_attempts_that_never_were_few_receipts_pass_in_a_day(
    province: Province, packet: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concerning, "A_DAY", 2)
    for attempt in range(2, 7):
        say(province, packet, COLLECTED, range(1, 2), attempt)
    assert province.arrivals() == [("quarantined", UNKNOWN_PACKET)] * 3
    # Of the attempt that is known here it speaks as ever.
    say(province, packet, COLLECTED, range(1, 2))
    assert len(province.arrivals()) == 3


@pytest.mark.parametrize("restored", [False, True])
def test_a_receipt_does_not_read_what_else_lies_here_of_its_packet(
    province: Province, packet: Sealed, *, restored: bool
) -> None:
    """Thousands may have landed with it, and each would look at all of them."""
    ledger = node(province).opened.ledger
    if restored:
        ledger.write(lambda transaction: transaction.remember(RESTORED_AT, transaction.stamp))
    seen: set[str] = set()
    ledger._connection.set_trace_callback(seen.add)
    say(province, packet, COLLECTED, range(1, 3))
    ledger._connection.set_trace_callback(None)
    found = [
        f"{row[3]} <- {statement}"
        for statement in sorted(seen)
        if statement.startswith(("SELECT", "UPDATE", "DELETE"))
        for row in ledger.read().execute("EXPLAIN QUERY PLAN " + statement)
    ]
    assert any("receipt USING INDEX receipt_said" in plan for plan in found)
    # The log asks for an earlier one of a kind, which is the first that it meets here.
    found = [plan for plan in found if "SEARCH first " not in plan]
    assert [plan for plan in found if "INDEX arrival_packet" in plan or "INDEX receipt_packet" in plan] == []
