"""No statement takes back what was accepted, and no item stops the judge for others (C18, I9)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

import pytest

from exchanged.admission import Admission
from exchanged.errors import CheckTakesLongError, WorkerDiedError
from exchanged.ledger.times import moment, stamp
from exchanged.pool import InlinePool, ProcessWorkPool
from packet_spec.model import ItemKind, KeyUse, ReceiptKind
from tests.support.listing import next_version, with_revoked
from tests.support.network import PROVINCE
from tests.support.peer import Sealed
from tests.support.province import Province, node, publish, receipt_item, rows, station


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


@pytest.mark.parametrize("meets", ["valid", "refused", "other content"])
def test_without_a_key_that_counts_what_needs_a_receipt_is_held_and_stops_nobody(
    province: Province, meets: str
) -> None:
    """Nothing of the decision is kept that could not be signed: it is decided once there is a key."""
    first = province.police.seal(province.request(seed=1))
    if meets == "other content":
        province.police.send(first)
        province.run()
    before = len(province.receipts(province.police))
    trust, now = node(province).opened.trust, province.network.clock.now()
    directory = trust.directory
    trust.offer(publish(province, next_version(with_revoked(directory, PROVINCE, KeyUse.RECEIPT, now))))
    province.network.clock.advance(2)
    match meets:
        case "valid":
            packet = first
        case "refused":
            packet = province.police.seal(province.request(seed=2), change={"sender_ref": "another"})
        case _:
            packet = province.police.seal(province.request(seed=2), packet_id=first.key.packet_id)
    expired = receipt_item(province, packet, ReceiptKind.EXPIRED, "", province.police)
    province.police.put(province.police.batch([(packet.item(), packet.data), expired]))
    for _ in range(4):
        province.network.round()
    assert province.arrivals() == [("held", "no-key-in-force")]
    assert node(province).errors == []
    assert len(rows(province, "SELECT * FROM receipt WHERE kind = 'expired'")) == 1
    assert len(rows(province, "SELECT * FROM packet")) == (1 if meets == "other content" else 0)
    trust.offer(publish(province, next_version(next_version(directory))))
    province.network.clock.advance(120)
    province.run()
    ends = {
        "valid": (ReceiptKind.ACCEPTED, []),
        "refused": (ReceiptKind.REFUSED, []),
        "other content": (ReceiptKind.REFUSED, [("quarantined", "packet-id-reused")]),
    }
    (receipt,) = province.receipts(province.police)[before:]
    assert (receipt.kind, province.arrivals()) == ends[meets]


class _EndedPool:
    """A pool of workers that the node's stop ends in the middle of a check."""

    def __init__(self, pool: ProcessWorkPool) -> None:
        self._pool = pool

    def schedule(self, *_: Any, **__: Any) -> Future[Any]:
        self._pool.close()
        future: Future[Any] = Future()
        future.cancel()
        future.set_running_or_notify_cancel()
        return future


def test_a_stop_in_the_middle_of_a_check_is_no_crash_of_the_packet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted as one, three slow stops would quarantine a good packet."""
    pool = ProcessWorkPool(1, 1.0)
    monkeypatch.setattr(pool, "_started", lambda: _EndedPool(pool))
    with pytest.raises(WorkerDiedError):
        pool.run(len, ["one", "two"])


class _Killed(BaseException):
    """The process ends here."""


class _MortalPool(InlinePool):
    """The process is killed while workers start, or while they work, as ``when`` says."""

    when = ""

    def await_ready(self) -> None:
        if self.when == "starting":
            raise _Killed

    def run(self, function: Callable[[Any], Any], works: Sequence[Any]) -> list[Any]:
        if works and self.when == "working":
            raise _Killed
        return super().run(function, works)


def _kill(province: Province, pool: _MortalPool, when: str) -> None:
    """The province dies at ``when`` while it judges, and is started again."""
    pool.when = when
    with pytest.raises(_Killed):
        station(province, "judge").step()
    node(province).die()
    node(province).open()
    pool.when = ""


def _landed(province: Province) -> tuple[Sealed, _MortalPool]:
    """A packet that lies at the province, which judges it with a mortal pool."""
    pool = node(province).pool = _MortalPool()
    node(province).die()
    node(province).open()
    packet = province.police.seal(province.request())
    province.police.send(packet)
    for name in [each.name for each in node(province).stations if each.name.startswith("link:")]:
        station(province, name).step()
    return packet, pool


def test_i9_only_a_death_at_work_on_an_item_alone_counts_against_it(province: Province) -> None:
    packet, pool = _landed(province)
    # Together with others, and five times while the workers were started for it: it proves nothing.
    _kill(province, pool, "working")
    for _ in range(5):
        _kill(province, pool, "starting")
    for _ in range(2):
        _kill(province, pool, "working")
    assert rows(province, "SELECT state, crashes FROM arrival") == [("landed", 1)]
    # Read by the next start: two deaths alone. It is judged, and nothing is left of them.
    province.run()
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]


def test_i9_three_deaths_at_work_on_an_item_alone_quarantine_it(province: Province) -> None:
    _, pool = _landed(province)
    for _ in range(4):
        _kill(province, pool, "working")
    province.run()
    assert province.arrivals() == [("quarantined", "crashed-three-times")]
    assert province.procuratorate.items(ItemKind.PACKET) == []


def test_i9_what_was_held_when_it_was_judged_alone_did_not_crash(province: Province) -> None:
    """Each time the process dies while others are judged too, and each time the item alone is only held."""
    packet, pool = _landed(province)
    for _ in range(4):
        _kill(province, pool, "working")
        node(province).opened.ledger.write(lambda tx: tx.execute("UPDATE arrival SET in_work = 1"))
        pool.run = lambda _function, works: [CheckTakesLongError("it takes long") for _ in works]
        station(province, "judge").step()
        assert province.arrivals() == [("held", "check-takes-long")]
        del pool.run
        province.network.clock.advance(600)
    province.run()
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]
