"""Two receipts about one delivery, in either order: what holds in the end, and what is flagged (C18, C22).

The table is written by hand, from the rules: what came whole came whole, so ``delivered`` and what follows it
outrank ``expired``; an answer (``signed``, ``refused``) outranks what comes before an answer; of two that
say the same of the end the first stays. What no honest pair can say is flagged in the ledger, whichever
came first.
"""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from packet_spec.model import ReceiptKind
from tests.support.network import PROCURATORATE
from tests.support.province import Province, receipt_item, rows

DELIVERED, COLLECTED, SIGNED = ReceiptKind.DELIVERED, ReceiptKind.COLLECTED, ReceiptKind.SIGNED
REFUSED, UNDELIVERABLE, EXPIRED = ReceiptKind.REFUSED, ReceiptKind.UNDELIVERABLE, ReceiptKind.EXPIRED
KINDS = (DELIVERED, COLLECTED, SIGNED, REFUSED, UNDELIVERABLE, EXPIRED)

# First and second receipt, the state in the end, and whether the pair is flagged.
TABLE = {
    (DELIVERED, COLLECTED): (COLLECTED, False),
    (DELIVERED, SIGNED): (SIGNED, False),
    (DELIVERED, REFUSED): (REFUSED, False),
    (DELIVERED, UNDELIVERABLE): (DELIVERED, True),
    (DELIVERED, EXPIRED): (DELIVERED, True),
    (COLLECTED, DELIVERED): (COLLECTED, False),
    (COLLECTED, SIGNED): (SIGNED, False),
    (COLLECTED, REFUSED): (REFUSED, False),
    (COLLECTED, UNDELIVERABLE): (COLLECTED, True),
    (COLLECTED, EXPIRED): (COLLECTED, True),
    (SIGNED, DELIVERED): (SIGNED, False),
    (SIGNED, COLLECTED): (SIGNED, False),
    (SIGNED, REFUSED): (SIGNED, True),
    (SIGNED, UNDELIVERABLE): (SIGNED, True),
    (SIGNED, EXPIRED): (SIGNED, True),
    (REFUSED, DELIVERED): (REFUSED, False),
    (REFUSED, COLLECTED): (REFUSED, False),
    (REFUSED, SIGNED): (REFUSED, True),
    (REFUSED, UNDELIVERABLE): (REFUSED, False),
    (REFUSED, EXPIRED): (REFUSED, False),
    (UNDELIVERABLE, DELIVERED): (UNDELIVERABLE, True),
    (UNDELIVERABLE, COLLECTED): (UNDELIVERABLE, True),
    (UNDELIVERABLE, SIGNED): (UNDELIVERABLE, True),
    (UNDELIVERABLE, REFUSED): (UNDELIVERABLE, False),
    (UNDELIVERABLE, EXPIRED): (UNDELIVERABLE, False),
    (EXPIRED, DELIVERED): (DELIVERED, True),
    (EXPIRED, COLLECTED): (EXPIRED, True),
    (EXPIRED, SIGNED): (EXPIRED, True),
    (EXPIRED, REFUSED): (EXPIRED, False),
    (EXPIRED, UNDELIVERABLE): (EXPIRED, False),
}


def test_the_table_names_every_order_of_two() -> None:
    assert {*TABLE} == {*permutations(KINDS, 2)}


@pytest.mark.parametrize("pair", TABLE, ids=lambda pair: f"{pair[0]}-{pair[1]}")
def test_f93_what_holds_of_two_receipts_and_what_is_flagged(
    province: Province, pair: tuple[ReceiptKind, ReceiptKind], record_property: Any
) -> None:
    packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    by = province.procuratorate
    for kind in pair:
        by.put(by.batch([receipt_item(province, packet, kind, PROCURATORATE, by)]))
        province.run()
    # Both were taken for genuine, and both are told to the sender.
    assert province.arrivals() == []
    told = [receipt.kind for receipt in province.receipts(province.police)]
    assert told == [ReceiptKind.ACCEPTED, *pair]
    ((state,),) = rows(province, "SELECT state FROM destination")
    flags = province.events("receipt-contradicted")
    assert (ReceiptKind(state), len(flags)) == (TABLE[pair][0], int(TABLE[pair][1]))
    assert all(PROCURATORATE in str(flag["detail"]) for flag in flags)
    record_property("orders", 1)
