"""What processes cost: processor time and memory of everything that this process started.

Guarantees: a child that has ended is counted as long as its parent waited for it; memory is the
proportional share (PSS), so that pages which forked processes share are counted once. Known limit: Linux.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self

import psutil

LOOK_SECONDS: Final = 0.5
"""How often the memory of all processes is looked at."""
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Cost:
    """``cpu`` in seconds over all descendants; ``other`` is how many cores others kept busy meanwhile."""

    seconds: float
    cpu: float
    other: float


class Meter:
    """Runs from its making on."""

    def __init__(self) -> None:
        self._began, self._cpu, self._busy = time.monotonic(), cpu_of_descendants(), _busy_seconds()
        self._own = time.process_time()

    def read(self) -> Cost:
        """What was spent since the meter was made."""
        seconds = time.monotonic() - self._began
        cpu = cpu_of_descendants() - self._cpu
        other = _busy_seconds() - self._busy - cpu - (time.process_time() - self._own)
        return Cost(seconds, cpu, max(0.0, other) / seconds)


def cpu_of_descendants() -> float:
    """User and system time of all children, their children, and those that have ended, in seconds."""
    ended = os.times()
    return ended.children_user + ended.children_system + sum(map(cpu_of, psutil.Process().children(True)))


def cpu_of(process: psutil.Process) -> float:
    """Of one process and of its children that have ended; 0 when it has gone."""
    with suppress(psutil.Error):
        spent = process.cpu_times()
        return float(spent.user + spent.system + spent.children_user + spent.children_system)
    return 0.0


def memory_of(process: psutil.Process) -> float:
    """Its proportional share in MiB; 0 when it has gone."""
    with suppress(psutil.Error):
        return float(process.memory_full_info().pss) / _MIB
    return 0.0


class MemoryWatch:
    """A context manager: afterwards ``peak_all`` and ``peak_one`` say the most that was seen, in MiB."""

    def __init__(self) -> None:
        self.peak_all = self.peak_one = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            shares = [memory_of(each) for each in psutil.Process().children(recursive=True)]
            self.peak_all = max(self.peak_all, sum(shares))
            self.peak_one = max(self.peak_one, max(shares, default=0.0))


def busy_cores(seconds: float = 1.0) -> float:
    """How many cores are kept busy now, by whomever."""
    began, busy = time.monotonic(), _busy_seconds()
    time.sleep(seconds)
    return (_busy_seconds() - busy) / (time.monotonic() - began)


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)
