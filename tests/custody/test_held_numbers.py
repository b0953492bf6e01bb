"""A number under which only a file of an unknown format lay is named until a batch lands there (C4, C5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchanged.ledger import Transaction, batches, unverified
from exchanged.spool import Spool
from packet_spec.model import ItemKind, ReceiptKind
from packet_spec.waybill_model import ExceptionKind
from tests.support.network import POLICE
from tests.support.peer import Sealed
from tests.support.province import Province, link_to, node, rows


def lay_of_another_format(province: Province, *sealed: Sealed) -> tuple[Path, bytes]:
    """A batch under the next number whose first line is not known; also as it was written."""
    data = province.police.batch([(packet.item(), packet.data) for packet in sealed])
    other = data.replace(b"exchanged-waybill-1\n", b"exchanged-waybill-9\n")
    assert other != data
    return province.police.put(other), data


def start_again(province: Province) -> None:
    """As a restart and a reload do."""
    node(province).close()
    node(province).open()


def told(province: Province) -> tuple[int, list[tuple[int, ExceptionKind]]]:
    acknowledged = province.police.acknowledgement()
    assert acknowledged is not None
    return acknowledged.through, [(each.number, each.kind) for each in acknowledged.exceptions]


def news(province: Province) -> None:
    """Whatever makes the province write another acknowledgement."""
    province.network.clock.advance(3_700)
    province.run()


@pytest.mark.parametrize("lies_there", [True, False], ids=["lies there", "taken away"])
def test_c5_a_start_acknowledges_no_batch_that_is_held(province: Province, lies_there: bool) -> None:
    province.police.greet()
    path, _ = lay_of_another_format(province, province.police.seal(province.request()))
    province.run()
    assert told(province) == (1, [(1, ExceptionKind.HELD)])
    if not lies_there:
        path.unlink()
    for _ in range(2):
        start_again(province)
        news(province)
        assert told(province) == (1, [(1, ExceptionKind.HELD)])


def test_c5_a_held_batch_without_room_at_the_next_start_is_not_acknowledged(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its format is known now, and it is read again; until it lands its sender has the only copy."""
    province.police.greet()
    packet = province.police.seal(province.request())
    path, good = lay_of_another_format(province, packet)
    province.run()
    path.write_bytes(good)
    fetch = Spool.free_bytes
    monkeypatch.setattr(Spool, "free_bytes", lambda self: 0)
    monkeypatch.setattr("exchanged.blob_fetching._ALWAYS_TAKEN_BYTES", 0)
    start_again(province)
    news(province)
    assert told(province) == (1, [(1, ExceptionKind.HELD)])
    monkeypatch.setattr(Spool, "free_bytes", fetch)
    news(province)
    assert told(province) == (1, [])
    assert [each.kind for each in province.receipts(province.police)] == [ReceiptKind.ACCEPTED]


def test_c4_the_good_batch_of_a_number_that_is_held_lands(province: Province) -> None:
    """Somebody else's file came first; the sender's own takes its place, without a start between."""
    province.police.greet()
    packet = province.police.seal(province.request())
    _, good = lay_of_another_format(province, packet)
    province.run()
    province.police.put(good)
    news(province)
    assert told(province) == (1, [])
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]


def test_c5_a_held_batch_that_turns_out_to_be_bad_is_answered_so(province: Province) -> None:
    """Else its sender would wait for ever: a later program knows the format, and finds it damaged."""
    province.police.greet()
    path, good = lay_of_another_format(province, province.police.seal(province.request()))
    province.run()
    path.write_bytes(good[:-2000])
    start_again(province)
    news(province)
    assert told(province) == (1, [(1, ExceptionKind.BAD)])


def test_c5_what_is_held_is_named_however_many_batches_follow(province: Province) -> None:
    province.police.greet()
    lay_of_another_format(province, province.police.seal(province.request()))
    link_to(province, POLICE).step()
    opened = node(province).opened
    ((link, incarnation),) = rows(province, "SELECT link, incarnation FROM batch_in")

    def follow(transaction: Transaction) -> None:
        for number in range(2, unverified.AHEAD + 4):
            batches.land(transaction, link, incarnation, number, f"{number:08d}", waybill="0")
        unverified.forget_bad(transaction, link)

    opened.ledger.write(follow)
    found = batches.acknowledgement(opened.ledger.read(), link, POLICE)
    assert found is not None
    assert [(each.number, each.kind) for each in found.exceptions] == [(1, ExceptionKind.HELD)]
