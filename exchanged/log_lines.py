"""Log lines on their way to standard error: nobody waits for whoever reads them.

Guarantees: handing a line over never blocks and never raises, whatever the other end does: a pipe that
nobody reads, a full disk, a log service that hangs. Lines that find no room are counted, and the count is
written as a line of its own once there is room again. At the end of the process what is left is written for
at most a second.

Leaves to others: the form of a line (``log``). Known limit: lines of the last moments before a kill are lost.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TextIO

_LINES: Final = 10_000
_LAST_SECONDS: Final = 1.0
# How long a line waits before it is tried again on a full disk.
_AGAIN_SECONDS: Final = 0.2

Write = Callable[[bytes], int]


class LineHandler(logging.Handler):
    """Hands lines to a thread of its own, which alone may wait."""

    def __init__(self, write: Write, most: int = _LINES) -> None:
        """``write`` writes some of the bytes and says how many; it may block and may raise OSError."""
        super().__init__()
        self._write = write
        self._lines: queue.Queue[str | None] = queue.Queue(most)
        self._lost = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    @classmethod
    def of(cls, stream: TextIO) -> logging.Handler:
        """For a stream with a descriptor; anything else is memory, which does not block."""
        try:
            descriptor = stream.fileno()
        except (OSError, ValueError):
            return logging.StreamHandler(stream)
        return cls(lambda data: os.write(descriptor, data))

    def emit(self, record: logging.LogRecord) -> None:
        """Format here, in the caller's thread, and hand over."""
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._lost += 1
        except Exception:  # noqa: BLE001 - a line that cannot be formatted ends nothing
            self._lost += 1

    def close(self) -> None:
        """Write what is left, for at most a second."""
        if not self._ending.is_set():
            self._ending.set()
            with suppress(queue.Full):
                self._lines.put(None, timeout=_LAST_SECONDS / 2)
            self._thread.join(_LAST_SECONDS / 2)
        super().close()

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            if not self._put(line):
                self._lost += 1
            elif self._lost:
                lost, self._lost = self._lost, 0
                if not self._put(f"event=log-lines-lost count={lost}"):
                    self._lost += lost

    def _put(self, line: str) -> bool:
        """False when the line could not be written; a started line is ended before the next one."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        while data:
            try:
                data = data[self._write(data) :]
            except BlockingIOError:
                if self._ending.wait(_AGAIN_SECONDS):
                    return False
            except OSError:
                self._ending.wait(_AGAIN_SECONDS)
                return False
        return True
