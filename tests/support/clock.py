"""A clock that tests move by hand, and randomness that repeats."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta


class FakeClock:
    """Stands still until it is moved."""

    def __init__(self, start: datetime = datetime(2026, 7, 15, 1, 30, tzinfo=UTC)) -> None:
        self._now = start
        self._ticks = 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._ticks

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self._now += timedelta(seconds=seconds)
        self._ticks += seconds

    def jump(self, seconds: float) -> None:
        """The wall clock alone is set."""
        self._now += timedelta(seconds=seconds)


class FakeRandomness:
    """The same bytes in every run, different at every call."""

    def __init__(self, seed: str = "") -> None:
        self._seed = seed
        self._calls = 0

    def token(self, size_bytes: int) -> bytes:
        self._calls += 1
        return hashlib.shake_256(f"{self._seed}/{self._calls}".encode()).digest(size_bytes)

    def fraction(self) -> float:
        return int.from_bytes(self.token(4), "big") / 2**32
