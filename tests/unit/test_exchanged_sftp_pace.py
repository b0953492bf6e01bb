"""How much is under way on a line: much on a fast one, little on a slow one, and never too little."""

from __future__ import annotations

from exchanged.sftp_pace import Pace

MIB = 1024 * 1024
KIB = 1024


class Line:
    """A line that carries so many bytes in a second, and the time that passes on it."""

    def __init__(self, bytes_a_second: float, round_trip: float = 0.0) -> None:
        self.now = 100.0
        self._speed, self._round_trip = bytes_a_second, round_trip

    def monotonic(self) -> float:
        return self.now

    def carry(self, pace: Pace, total: int) -> None:
        pace.begin()
        while total > 0:
            size = min(pace.window_bytes, total)
            self.now += max(size / self._speed, self._round_trip)
            pace.answered(size)
            total -= size


def test_a_slow_line_has_seconds_of_bytes_under_way() -> None:
    line = Line(32 * KIB)
    pace = Pace(16 * MIB, line.monotonic)
    line.carry(pace, 2 * MIB)
    assert 64 * KIB <= pace.window_bytes <= 4 * 32 * KIB
    assert pace.request_bytes(255 * KIB) < 255 * KIB


def test_a_fast_line_gets_the_whole_window_and_the_largest_requests() -> None:
    line = Line(100 * MIB)
    pace = Pace(16 * MIB, line.monotonic)
    line.carry(pace, 64 * MIB)
    assert pace.window_bytes == 16 * MIB
    assert pace.request_bytes(255 * KIB) == 255 * KIB


def test_a_far_line_is_not_taken_for_a_slow_one() -> None:
    line = Line(100 * MIB, round_trip=0.6)
    pace = Pace(16 * MIB, line.monotonic)
    line.carry(pace, 64 * MIB)
    assert pace.window_bytes == 16 * MIB


def test_the_time_between_two_transfers_says_nothing() -> None:
    line = Line(100 * MIB)
    pace = Pace(16 * MIB, line.monotonic)
    line.carry(pace, 64 * MIB)
    line.now += 3600
    line.carry(pace, 16 * MIB)
    assert pace.window_bytes == 16 * MIB


def test_a_line_that_stands_nearly_still_keeps_a_little_under_way() -> None:
    line = Line(100)
    pace = Pace(16 * MIB, line.monotonic)
    line.carry(pace, MIB)
    assert pace.window_bytes == 64 * KIB
