"""Who comes next where many wait: fair shares, urgent packets, and nobody for ever behind others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exchanged.ledger import Ledger, Transaction, arrivals, batches, packets, spool
from exchanged.ranges import SpoolRange
from exchanged.states import ArrivalState
from packet_spec.identity import PacketKey
from packet_spec.model import ItemKind, PackStamp, Priority, Seal
from tests.support.clock import FakeClock

LINK = "court"
MANY, FEW, THIRD = "620199-01-00", "620199-03-00", "620199-05-00"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger.sqlite3", FakeClock(), on_wake=lambda _: None, threaded=False)
    yield opened
    opened.close()


def seal(sender: str, number: int, at: FakeClock) -> Seal:
    digest = f"{number:064x}"
    key = PacketKey(sender, f"01980000-0000-7000-8000-{number:012x}")
    return Seal(
        key=key, attempt=1, receiver="620199-04-00", copy_to=(), business_type="case.report",
        sender_ref=f"R{number}", priority=Priority.NORMAL, expires_at=None, sealed_at=at.now(),
        key_id="0" * 16, suite="ed25519", incarnation="1", sequence=number, pack=PackStamp("", "", ""),
        encoding="utf-8", packet_size=1, packet_digest=digest, content_digest=digest, parts=(),
    )  # fmt: skip


class Queue:
    """What waits on one link, by names that the test gives."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.clock = FakeClock()
        self.names: dict[int, str] = {}
        self.last = 0

    def add(self, sender: str, name: str, *, urgent: bool = False, case: str = "") -> None:
        def write(tx: Transaction) -> int:
            number = len(self.names) + 1
            where = SpoolRange(spool.adopt(tx, f"{number:08d}.group", 1, 1), f"{number:08d}.group", 0, 1)
            row = packets.insert(
                tx, seal(sender, number, self.clock), seal_digest=f"{number:064x}", landed_at=tx.now,
                came_by="x", bytes_at=where, relations=("", "", case),
            )  # fmt: skip
            batches.enqueue(tx, LINK, ItemKind.PACKET, row, 0 if urgent else 1, of=sender)
            return row

        self.names[self.ledger.write(write)] = name

    def take(self, count: int) -> list[str]:
        rows = batches.due(self.ledger.read(), LINK, count)

        def write(tx: Transaction) -> int:
            number = batches.next_number(tx.connection, LINK)
            return batches.commit_batch(tx, LINK, number, f"{number:08d}.batch", b"w", b"s", 1, rows, ())

        self.last = self.ledger.write(write)
        return [self.names[row.reference] for row in rows]

    def hold(self, name: str, *, held: bool) -> None:
        (number,) = [number for number, known in self.names.items() if known == name]
        self.ledger.write(lambda tx: batches.set_held(tx, LINK, ItemKind.PACKET, number, held=held))


@pytest.fixture
def queue(ledger: Ledger) -> Queue:
    return Queue(ledger)


def test_one_packet_of_an_agency_does_not_wait_for_the_burst_of_another(queue: Queue) -> None:
    for number in range(50):
        queue.add(MANY, f"m{number}")
    queue.add(FEW, "f0")
    queue.add(THIRD, "t0")
    assert set(queue.take(4)) == {"m0", "m1", "f0", "t0"}


def test_shares_stay_fair_while_the_burst_is_worked_off(queue: Queue) -> None:
    for number in range(50):
        queue.add(MANY, f"m{number}")
    queue.take(20)
    for number in range(3):
        queue.add(FEW, f"f{number}")
    taken = queue.take(8)
    assert {"f0", "f1", "f2"} <= set(taken)
    assert taken[:2] == ["m20", "m21"]


def test_within_one_agency_the_order_of_coming_is_kept(queue: Queue) -> None:
    for number in range(10):
        queue.add(MANY, f"m{number}")
        queue.add(FEW, f"f{number}")
    taken = queue.take(20)
    assert [name for name in taken if name[0] == "m"] == [f"m{number}" for number in range(10)]
    assert [name for name in taken if name[0] == "f"] == [f"f{number}" for number in range(10)]


def test_an_urgent_packet_overtakes_the_others_of_its_own_agency(queue: Queue) -> None:
    for number in range(50):
        queue.add(MANY, f"m{number}")
    queue.add(MANY, "urgent", urgent=True)
    assert "urgent" in queue.take(2)


def test_urgent_packets_without_end_do_not_stop_the_ordinary_ones(queue: Queue) -> None:
    queue.add(FEW, "ordinary")
    queue.add(FEW, "next")
    taken: list[str] = []
    for number in range(40):
        for each in range(2):
            queue.add(MANY, f"u{number}-{each}", urgent=True)
        taken += queue.take(1)
    assert "ordinary" in taken[:10]
    assert "next" in taken[:20]


def test_an_urgent_packet_does_not_overtake_an_earlier_one_of_its_case(queue: Queue) -> None:
    queue.add(MANY, "first of the case", case="police:A1")
    queue.add(MANY, "other case", case="police:A2")
    queue.add(MANY, "urgent of the case", urgent=True, case="police:A1")
    taken = queue.take(3)
    assert taken.index("first of the case") < taken.index("urgent of the case")


def test_c15_an_ordinary_packet_does_not_overtake_an_earlier_urgent_one_of_its_case(queue: Queue) -> None:
    for number in range(40):
        queue.add(MANY, f"u{number}", urgent=True, case=f"police:B{number}")
    queue.add(MANY, "first of the case", urgent=True, case="police:A1")
    queue.add(MANY, "second of the case", case="police:A1")
    queue.add(FEW, "f0")
    taken = queue.take(43)
    assert taken.index("first of the case") < taken.index("second of the case")
    assert taken.index("f0") < taken.index("first of the case")


def test_c15_a_chain_of_one_case_keeps_its_order_whatever_is_urgent_in_it(queue: Queue) -> None:
    for number in range(20):
        queue.add(MANY, f"m{number}")
        queue.add(MANY, f"u{number}", urgent=True)
    chain = [f"c{number}" for number in range(9)]
    for number, name in enumerate(chain):
        queue.add(MANY, name, urgent=number % 3 == 0, case="police:A1")
    taken = queue.take(49)
    assert [name for name in taken if name[0] == "c"] == chain


def test_urgent_packets_of_one_case_stay_urgent_and_in_order(queue: Queue) -> None:
    for number in range(50):
        queue.add(MANY, f"m{number}")
    for number in range(3):
        queue.add(MANY, f"u{number}", urgent=True, case="police:A1")
    taken = queue.take(5)
    assert [name for name in taken if name[0] == "u"] == ["u0", "u1", "u2"]


def test_c15_what_waits_behind_a_packet_on_hold_does_not_come_before_it(queue: Queue) -> None:
    for number in range(20):
        queue.add(MANY, f"m{number}")
    queue.add(MANY, "first of the case", case="police:A1")
    queue.hold("first of the case", held=True)
    queue.take(20)
    queue.add(MANY, "second of the case", urgent=True, case="police:A1")
    queue.hold("first of the case", held=False)
    assert queue.take(2) == ["first of the case", "second of the case"]


def test_c15_what_comes_back_from_a_bad_batch_comes_before_what_was_queued_since(queue: Queue) -> None:
    for number in range(20):
        queue.add(MANY, f"m{number}")
    queue.add(MANY, "first of the case", case="police:A1")
    gone = queue.take(21)
    queue.add(MANY, "second of the case", case="police:A1")
    queue.add(FEW, "f0")
    queue.ledger.write(lambda tx: batches.give_back(tx, queue.last))
    assert queue.take(21) == gone
    assert queue.take(9) == ["second of the case", "f0"]


def test_what_waits_for_its_case_does_not_stop_other_agencies_or_urgent_packets(queue: Queue) -> None:
    """An agency pays for its own haste alone."""
    for number in range(40):
        queue.add(MANY, f"u{number}", urgent=True, case=f"police:B{number}")
        queue.add(MANY, f"o{number}", case=f"police:B{number}")
    queue.add(FEW, "f0")
    queue.add(MANY, "late", urgent=True)
    taken = queue.take(82)
    assert taken.index("f0") < 12
    assert taken.index("late") < 50
    for number in range(40):
        assert taken.index(f"u{number}") < taken.index(f"o{number}")


def test_what_nobody_waits_behind_comes_at_once_however_much_went_before(queue: Queue) -> None:
    for number in range(100):
        queue.add(MANY, f"m{number}")
    queue.take(100)
    queue.add(MANY, "alone")
    queue.add(FEW, "f0")
    assert queue.take(2) == ["alone", "f0"]


def test_landed_items_are_judged_in_fair_turns_and_each_link_in_its_order(ledger: Ledger) -> None:
    names: dict[int, str] = {}

    def land(flow: str, name: str, kind: ItemKind = ItemKind.PACKET) -> None:
        def write(tx: Transaction) -> int:
            number = len(names) + 1
            batches.meet_incarnation(tx, flow, "5f3a")
            batch = batches.land(tx, flow, "5f3a", number, f"{number:08d}.batch")
            file = f"{number:08d}.batch"
            where = SpoolRange(spool.adopt(tx, file, 1, 1), file, 0, 1)
            key = PacketKey(MANY, f"01980000-0000-7000-8000-{number:012x}")
            return arrivals.insert(
                tx, flow, batch, kind, key, "0" * 64, where, ArrivalState.LANDED, flow=flow
            )

        names[ledger.write(write)] = name

    for number in range(30):
        land("many", f"m{number}")
    land("few", "receipt", ItemKind.RECEIPT)
    land("few", "f0")
    land("few", "f1")
    taken = [names[row.id] for row in arrivals.due(ledger.read(), 6)]
    assert {"receipt", "f0", "f1"} <= set(taken)
    assert [name for name in taken if name[0] != "m"] == ["receipt", "f0", "f1"]
    every = [names[row.id] for row in arrivals.due(ledger.read(), 100)]
    assert [name for name in every if name[0] == "m"] == [f"m{number}" for number in range(30)]
