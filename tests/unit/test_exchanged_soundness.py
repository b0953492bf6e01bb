"""C18: when the clock is doubtful."""

from __future__ import annotations

from datetime import timedelta

from exchanged.soundness import ClockGuard
from tests.support.clock import FakeClock


def test_a_steady_clock_is_sound() -> None:
    clock = FakeClock()
    guard = ClockGuard(clock, 300)
    clock.advance(86_400)
    guard.hear("province", clock.now())
    assert guard.doubt() == ""


def test_c18_after_a_jump_the_clock_is_doubtful_for_a_minute() -> None:
    clock = FakeClock()
    guard = ClockGuard(clock, 300)
    clock.jump(-3600)
    assert guard.doubt() == "clock-jumped"
    clock.advance(59)
    assert guard.doubt() == "clock-jumped"
    clock.advance(2)
    assert guard.doubt() == ""


def test_c18_far_from_the_neighbours() -> None:
    clock = FakeClock()
    guard = ClockGuard(clock, 300)
    guard.hear("province", clock.now() + timedelta(hours=2))
    assert guard.doubt() == "clock-far-from-neighbours"
    guard.hear("province", clock.now())
    assert guard.doubt() == ""


def test_one_neighbour_of_many_cannot_make_a_node_doubt_itself() -> None:
    clock = FakeClock()
    guard = ClockGuard(clock, 300)
    for number in range(3):
        guard.hear(f"agency-{number}", clock.now())
    guard.hear("liar", clock.now() + timedelta(days=365))
    assert guard.doubt() == ""


def test_c18_a_proven_time_is_one_that_our_clock_and_the_neighbours_have_reached() -> None:
    clock = FakeClock()
    guard = ClockGuard(clock, 300)
    start = clock.now()
    assert guard.proven() is None
    guard.hear("province", start - timedelta(hours=1))
    assert guard.proven() == start - timedelta(hours=1)
    # An older message that comes later takes nothing back.
    guard.hear("province", start - timedelta(hours=2))
    assert guard.proven() == start - timedelta(hours=1)
    guard.hear("province", start + timedelta(seconds=200))
    assert guard.proven() == start
    clock.jump(10_000)
    assert guard.proven() is None
    clock.advance(60)
    assert guard.proven() == start + timedelta(seconds=200)


def test_c18_one_or_two_neighbours_of_many_make_nothing_old() -> None:
    clock = FakeClock()
    guard = ClockGuard(clock, 1_000_000_000)
    start = clock.now()
    clock.jump(500_000_000)
    for number in range(5):
        guard.hear(f"agency-{number}", start)
    for number in range(2):
        guard.hear(f"liar-{number}", clock.now())
        assert guard.proven() == start
    guard.hear("agency-1", clock.now())
    assert guard.proven() == clock.now()
