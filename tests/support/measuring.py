"""What a call takes, and whether a file was opened meanwhile: figures that tests report and never assert."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_STATUS: Final = Path("/proc/self/status")
_OPENED: Final = 0x20 | 0x1  # IN_OPEN, IN_ACCESS


@dataclass
class Measured:
    """``seconds`` of wall clock, ``cpu_seconds`` of this process (a busy machine does not add to them), and
    ``peak_mib``: how far the memory of this process rose meanwhile.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mib: float = 0.0


@contextmanager
def measured() -> Iterator[Measured]:
    """Measure what stands inside. Memory that lay free in this process before is not counted again."""
    found = Measured()
    # Sets the peak of this process to what it has now.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before, began, cpu = _kib("VmRSS"), time.perf_counter(), time.process_time()
    try:
        yield found
    finally:
        found.seconds = round(time.perf_counter() - began, 4)
        found.cpu_seconds = round(time.process_time() - cpu, 4)
        found.peak_mib = round(max(_kib("VmHWM") - before, 0) / 1024, 1)


def _kib(name: str) -> int:
    lines = _STATUS.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


class Canary:
    """A file that nobody may open. Use as a context manager; the kernel tells whether somebody did."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_text("canary", encoding="ascii")
        self._descriptor = -1

    def __enter__(self) -> Self:
        self._descriptor = _LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        watched = _LIBC.inotify_add_watch(self._descriptor, os.fsencode(self.path), ctypes.c_uint32(_OPENED))
        assert watched >= 0, os.strerror(ctypes.get_errno())
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    @property
    def was_opened(self) -> bool:
        """Somebody opened or read it since this was asked last."""
        try:
            return bool(os.read(self._descriptor, 4096))
        except BlockingIOError:
            return False
