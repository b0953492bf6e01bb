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
