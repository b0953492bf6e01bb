"""One daemon per data directory: an advisory lock that the kernel frees when the process ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from exchanged.errors import AlreadyRunningError


class NodeLock:
    """Held from construction until ``release`` or the end of the process.

    Raises AlreadyRunningError, naming the holder, when another process has it.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise AlreadyRunningError(
                "another daemon runs on this data directory",
                where=str(path),
                found=f"process {holder or 'unknown'}",
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go; again is fine."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
