"""C18: when the clock is doubtful."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from exchanged.clock import SystemClock
from exchanged.soundness import ClockGuard
from tests.support.clock import FakeClock


def test_a_steady_clock_is_sound() -> None:
    clock = FakeClock()
    guard = ClockGuard(clock, 300)
    clock.advance(86_400)
    guard.hear("province", clock.now())
    assert guard.doubt() == ""


@pytest.mark.parametrize("jump", [-1.0, 1.0])
def test_c18_a_leap_second_is_no_jump(jump: float) -> None:
    clock = FakeClock()
    guard = ClockGuard(clock, 300)
    clock.jump(jump)
    assert guard.doubt() == ""


def test_c18_summer_time_of_the_machine_is_no_jump(monkeypatch: pytest.MonkeyPatch) -> None:
    """Zones whose clocks are set by an hour, and by half of one: the daemon's clock knows none."""
    guard = ClockGuard(SystemClock(), 300)
    try:
        for zone in ("America/New_York", "Australia/Lord_Howe", "Asia/Shanghai", "XST+5XDT,J1,J365"):
            monkeypatch.setenv("TZ", zone)
            time.tzset()
            assert abs(SystemClock().now().timestamp() - time.time()) < 60
            assert guard.doubt() == ""
    finally:
        monkeypatch.undo()
        time.tzset()


TWO_YEARS = 730 * 86_400.0


@pytest.mark.parametrize("jump", [-3600.0, TWO_YEARS])
def test_c18_after_a_jump_the_clock_is_doubtful_until_it_is_back(jump: float) -> None:
    """At least for a minute; waiting alone makes no clock right."""
    clock = FakeClock()
    guard = ClockGuard(clock, 300)
    before = clock.now()
    clock.jump(jump)
    assert guard.doubt() == "clock-jumped"
    clock.advance(59)
    assert guard.doubt() == "clock-jumped"
    clock.advance(86_400)
    assert guard.doubt() == "clock-not-confirmed"
    assert guard.doubtful_since() == before
    clock.jump(-jump)
    assert guard.doubt() == "clock-jumped"
    clock.advance(61)
    assert guard.doubt() == ""
    assert guard.doubtful_since() is None


def test_c18_most_of_the_neighbours_heard_since_a_jump_end_the_doubt() -> None:
    clock = FakeClock()
    guard = ClockGuard(clock, 300)
    guard.hear("agency-0", clock.now())
    before = clock.now()
    clock.jump(TWO_YEARS)
    assert guard.doubt() == "clock-jumped"
    clock.advance(61)
    # A liar, and one who says what it was before, which may only be an old message.
    guard.hear("liar", clock.now())
    guard.hear("agency-0", before)
    assert guard.doubt() == "clock-not-confirmed"
    guard.hear("agency-1", clock.now())
    assert guard.doubt() == ""


@pytest.mark.parametrize("off", [-3650 * 86_400.0, -301.0, 3601.0, TWO_YEARS])
def test_c18_a_node_that_starts_in_another_time_waits_for_its_neighbours(off: float) -> None:
    clock = FakeClock()
    sound = clock.now()
    clock.jump(off)
    guard = ClockGuard(clock, 300, sound)
    assert guard.doubt() == "clock-not-confirmed"
    assert guard.doubtful_since() == sound
    guard.hear("province", sound)
    assert guard.doubt() != ""
    guard.hear("province", clock.now())
    assert guard.doubt() == ""


@pytest.mark.parametrize("off", [-300.0, 0.0, 3600.0])
def test_c18_a_node_that_was_off_for_a_while_does_not_doubt_its_clock(off: float) -> None:
    clock = FakeClock()
    sound = clock.now()
    clock.jump(off)
    assert ClockGuard(clock, 300, sound).doubt() == ""


def test_c18_a_clock_that_is_put_right_after_a_start_in_another_time_is_sound() -> None:
    clock = FakeClock()
    sound = clock.now()
    clock.jump(TWO_YEARS)
    guard = ClockGuard(clock, 300, sound)
    clock.advance(600)
    clock.jump(-TWO_YEARS)
    assert guard.doubt() == "clock-jumped"
    clock.advance(61)
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
    # Nobody says yet that it is that late.
    assert guard.proven() is None
    guard.hear("province", clock.now())
    assert guard.proven() == clock.now()


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


def test_c18_a_persons_word_ends_the_doubt_about_this_clock_and_not_what_neighbours_say() -> None:
    clock = FakeClock()
    sound = clock.now()
    clock.jump(TWO_YEARS)
    guard = ClockGuard(clock, 300, sound)
    assert guard.time() == sound
    guard.take_word(clock.now() - timedelta(hours=1))
    assert guard.doubt() == "clock-not-confirmed"
    guard.take_word(clock.now() - timedelta(seconds=60))
    assert (guard.doubt(), guard.dating_doubt(), guard.time()) == ("", "", clock.now())
    # The next jump is doubted like any other.
    clock.jump(TWO_YEARS)
    assert guard.doubt() == "clock-jumped"
    guard.take_word(clock.now())
    assert guard.doubt() == ""
    guard.hear("province", clock.now() + timedelta(hours=1))
    guard.take_word(clock.now())
    assert guard.doubt() == "clock-far-from-neighbours"


def test_c18_a_time_that_no_clock_shows_is_no_proven_one() -> None:
    clock = FakeClock()
    guard = ClockGuard(clock, 300)
    guard.hear("liar", datetime(1, 1, 1, tzinfo=UTC))
    assert guard.proven() is None
    guard.hear("liar", clock.now())
    assert guard.proven() == clock.now()
