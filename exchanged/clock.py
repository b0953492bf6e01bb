"""The clock and the random source: the only module that asks the machine for either.

Everything else takes a ``Clock`` and a ``Randomness`` as arguments, so that simulation and crash
tests run on their own time. Known limit: the wall clock is believed as it stands; comparing it with
the neighbours' is the business of ``exchanged.link``.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Final, Protocol

STEADY_TIME: Final = SimpleNamespace(time=time.monotonic, sleep=time.sleep)
"""In the place of ``time`` in a library that counts time-outs by a wall clock, which may jump."""


class Clock(Protocol):
    """Wall time for records, monotonic time for waiting."""

    def now(self) -> datetime:
        """The wall clock: aware, UTC."""

    def monotonic(self) -> float:
        """Seconds that only rise; the origin means nothing."""


class Randomness(Protocol):
    """Where unpredictable bytes come from."""

    def token(self, size_bytes: int) -> bytes:
        """``size_bytes`` random bytes."""

    def fraction(self) -> float:
        """A float in [0, 1), for jitter."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The wall clock, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()


class SystemRandomness:
    """The machine's random source."""

    def token(self, size_bytes: int) -> bytes:
        """Bytes of the kernel's generator."""
        return os.urandom(size_bytes)

    def fraction(self) -> float:
        """53 random bits as a float in [0, 1)."""
        return int.from_bytes(os.urandom(7), "big") % (1 << 53) / (1 << 53)
