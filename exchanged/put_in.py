"""Files that people put into the node's own folders: each is read, or passed over and told once (I9).

Guarantees: nothing but a plain file is read, and nothing that stands there makes the reader wait; what cannot
be read is told once, until it changes, and stops nothing that stands beside it.

Leaves to others: listing the folder, what the bytes are, and removing the file.
"""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path
from typing import Final

from exchanged.errors import FileOperationError, LedgerBusyError, NoSpaceError, VolumeDamagedError
from exchanged.log import event_line
from exchanged.mailbox import special_kind

NOT_ITS_FAULT: Final = (VolumeDamagedError, FileOperationError, NoSpaceError, LedgerBusyError)
"""What fails here while a file is taken says nothing about the file: it stays, and is taken later."""

_OPEN: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class PutIn:
    """Reads what was put in; ``event`` is how an unreadable file is called in the log. Used by one thread."""

    def __init__(self, event: str) -> None:
        self._event = event
        self._told: dict[Path, tuple[int, int] | None] = {}

    def read(self, path: Path, limit_bytes: int) -> bytes | None:
        """All bytes, or one more than ``limit_bytes`` of a larger file; None when it cannot be read now."""
        try:
            data = _read(path, limit_bytes)
        except FileNotFoundError:
            # Whoever put it there took it away.
            data = None
        except OSError as error:
            self._tell(path, error)
            return None
        self._told.pop(path, None)
        return data

    def _tell(self, path: Path, error: OSError) -> None:
        seen = _state_of(path)
        if path not in self._told or self._told[path] != seen:
            what = error.strerror or type(error).__name__
            event_line(self._event, level=logging.WARNING, file=path.name, what=what)
        self._told[path] = seen


def _read(path: Path, limit_bytes: int) -> bytes:
    descriptor = os.open(path, _OPEN)
    try:
        kind = special_kind(os.fstat(descriptor).st_mode)
        if kind:
            raise OSError(errno.EINVAL, f"it is {kind}")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(limit_bytes + 1)
    finally:
        os.close(descriptor)


def _state_of(path: Path) -> tuple[int, int] | None:
    """Another value for another file under this name, and for every change of it."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_ino, found.st_ctime_ns
