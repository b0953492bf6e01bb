"""What is said of numbers without a good batch, what that costs, and when it ends (C5)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exchanged.ledger import Ledger, Transaction, batches, unverified
from exchanged.ledger.unverified import AHEAD
from tests.support.clock import FakeClock

LINK, INCARNATION = "police", "a" * 32


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger.sqlite3", FakeClock(), on_wake=lambda names: None, threaded=False)
    opened.write(lambda tx: batches.meet_incarnation(tx, LINK, INCARNATION))
    yield opened
    opened.close()


def land(ledger: Ledger, *numbers: int, exception: str = "") -> None:
    def each(transaction: Transaction) -> None:
        for number in numbers:
            batches.land(
                transaction, LINK, INCARNATION, number, f"{number:08d}-{exception}", exception=exception,
                waybill="" if exception else "0",
            )  # fmt: skip

    ledger.write(each)


def forget(ledger: Ledger) -> None:
    ledger.write(lambda tx: unverified.forget_bad(tx, LINK))


def named(ledger: Ledger) -> list[int]:
    found = batches.acknowledgement(ledger.read(), LINK, LINK)
    assert found is not None
    return [each.number for each in found.exceptions]


def steps(ledger: Ledger) -> int:
    """Hundreds of steps of the ledger's machine that one look at what is bad takes."""
    count = [0]

    def tick() -> int:
        count[0] += 1
        return 0

    ledger._connection.set_progress_handler(tick, 100)
    forget(ledger)
    ledger._connection.set_progress_handler(None, 0)
    return count[0]


@pytest.mark.parametrize("first", [11, 90_000_001], ids=["near", "far, by an earlier program"])
def test_the_cost_of_bad_batches_does_not_grow_with_their_square(ledger: Ledger, first: int) -> None:
    land(ledger, *range(1, 11))
    land(ledger, *range(first, first + 1_000), exception="bad")
    one = steps(ledger)
    land(ledger, *range(first + 1_000, first + 2_000), exception="bad")
    if first > 11:
        # The first thousand went with the first look.
        land(ledger, *range(first + 2_000, first + 3_000), exception="bad")
    assert steps(ledger) < 2.5 * one


def test_what_an_earlier_program_answered_far_above_goes(ledger: Ledger) -> None:
    land(ledger, 1, 2)
    land(ledger, 3, 2 + AHEAD, exception="bad")
    land(ledger, 3 + AHEAD, 90_000_000, exception="bad")
    land(ledger, 99_999_999, exception="held")
    forget(ledger)
    assert named(ledger) == [3, 2 + AHEAD]


def test_what_an_acknowledgement_covers_stays_however_far_it_is(ledger: Ledger) -> None:
    far = 5 + AHEAD
    ledger.write(lambda tx: batches.dispose_through(tx, LINK, INCARNATION, far - 1))
    land(ledger, far, exception="held")
    forget(ledger)
    assert named(ledger) == [far]


def test_a_bad_batch_is_named_until_as_many_landed_as_may_be_open(ledger: Ledger) -> None:
    """Four windows of the writer: so many it has open where one finds no room, and others go past it."""
    land(ledger, 1, exception="bad")
    land(ledger, *range(2, AHEAD + 1))
    forget(ledger)
    assert named(ledger) == [1]
    land(ledger, AHEAD + 1)
    forget(ledger)
    assert named(ledger) == []


def test_a_batch_found_bad_late_is_named_until_as_many_landed_since(ledger: Ledger) -> None:
    """It was held before, and its sender kept it open while others passed."""
    land(ledger, 1, exception="held")
    land(ledger, *range(2, AHEAD + 3))
    ledger.write(lambda tx: unverified.give_up_held(tx, LINK, INCARNATION, 1))
    land(ledger, 1, exception="bad")
    forget(ledger)
    assert named(ledger) == [1]
    last = 2 * AHEAD + 3
    land(ledger, *range(AHEAD + 3, last - 1))
    forget(ledger)
    assert named(ledger) == [1]
    land(ledger, last)
    forget(ledger)
    assert named(ledger) == []
