"""Waiting that a signal ends, for the demo: looks at the world from time to time, never sleeps blindly.

Guarantees: SIGINT, SIGTERM and SIGHUP are only noted when they arrive, and raised as ``Interrupted`` at
the next ``pause`` or ``check``; between two of these nothing is broken off half way, so whatever was
started is known to whoever ends it. A second signal changes nothing: tidying up is never interrupted.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final, Protocol

from exchanged.clock import Clock

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):  # noqa: N818 - an order from outside, not an error
    """A signal asked to stop; ``number`` is which one."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number


class Waits(Protocol):
    """How the demo waits, and learns that it is to stop."""

    def pause(self, seconds: float) -> None:
        """Wait. Raises Interrupted at once when a signal arrives or arrived before."""

    def check(self) -> None:
        """Raises Interrupted when a signal arrived."""


class SignalWaits:
    """Waits on a pipe that the signal handlers write to. Made by ``listening``, in the main thread."""

    def __init__(self, ear: int) -> None:
        self._ear = ear
        self._number = 0

    def note(self, number: int) -> None:
        """Remember the first signal."""
        self._number = self._number or number

    def pause(self, seconds: float) -> None:
        """Wait. Raises Interrupted at once when a signal arrives or arrived before."""
        self.check()
        select.select([self._ear], [], [], seconds)
        self.check()

    def check(self) -> None:
        """Raises Interrupted when a signal arrived."""
        if self._number:
            raise Interrupted(self._number)


@contextmanager
def listening() -> Iterator[SignalWaits]:
    """Note the signals that ask to stop while the block runs; the earlier handlers come back after it."""
    ear, mouth = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    waits = SignalWaits(ear)

    def hear(number: int, _frame: FrameType | None) -> None:
        waits.note(number)
        # A full pipe wakes just as well.
        with suppress(BlockingIOError):
            os.write(mouth, b"!")

    before = {number: signal.signal(number, hear) for number in SIGNALS}
    try:
        yield waits
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(ear)
        os.close(mouth)


def wait_until(done: Callable[[], bool], waits: Waits, clock: Clock, *, seconds: float, step: float) -> bool:
    """Look every ``step`` seconds until ``done`` says so; False when ``seconds`` have passed without it."""
    deadline = clock.monotonic() + seconds
    while not done():
        if clock.monotonic() >= deadline:
            return False
        waits.pause(step)
    return True
