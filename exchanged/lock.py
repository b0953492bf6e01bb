"""One daemon per data directory: an advisory lock that the kernel frees when the process ends."""

from __future__ import annotations

import fcntl
import os
import threading
from enum import StrEnum
from pathlib import Path
from typing import Final

from exchanged.errors import AlreadyRunningError, FileOperationError
from exchanged.volume import KERNEL, NO_CRASH, Volume, VolumeAccess

_KERNEL_LOCKS: Final = Path("/proc/locks")
_ON_OUR_VOLUME: Final = VolumeAccess(Volume.OWN, NO_CRASH, KERNEL)


def holder(path: Path) -> int | None:
    """Which process holds the lock of that file, or None; the lock itself is never touched.

    Trying to take it would make a daemon fail that starts in that moment. The kernel's list names the file
    by its number; where another file system has one of the same number, the process must be the one that
    wrote itself into the file. 0 where it is held by a process that is not visible here. Raises
    FileOperationError where the caller may not look.
    """
    try:
        inode = path.stat().st_ino
        written = path.read_text(encoding="ascii", errors="replace").strip()
        lines = _KERNEL_LOCKS.read_text(encoding="ascii", errors="replace").splitlines()
    except FileNotFoundError:
        return None
    except OSError as error:
        why = error.strerror or ""
        raise FileOperationError("the lock cannot be looked at", where=str(path), found=why) from error
    for line in lines:
        # 1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF; waiters stand behind an arrow.
        words = line.split()
        if len(words) < 6 or words[1] != "FLOCK" or words[5].rpartition(":")[2] != str(inode):
            continue
        process = int(words[4])
        if process <= 0 or words[4] == written:
            return max(process, 0)
    return None


def is_held(path: Path) -> bool | None:
    """Whether a process holds the lock of that file. None where the caller may not look."""
    try:
        return holder(path) is not None
    except FileOperationError:
        return None


# Five minutes: a large discard, or the first act after an update that brings a large ledger up to date.
_LOOKS: Final = 6000
_BETWEEN_SECONDS: Final = 0.05
# For a moment the file still names the holder before: who has just taken the lock writes itself into it.
_FIRST_LOOKS: Final = 4


class Purpose(StrEnum):
    """What the lock is held for: a daemon's life, or the moment of one operator's act."""

    DAEMON = "daemon"
    ACT = "act"


class NodeLock:
    """Held from construction until ``release`` or the end of the process.

    Raises AlreadyRunningError, naming the holder, when another process has it. Only an act of an operator
    is waited for, at most five minutes; the service manager starts a daemon again that found the lock taken.
    NoSpaceError, VolumeDamagedError or FileOperationError where the volume does not take it;
    that the folder is not there or not ours stays what it is, FileNotFoundError or PermissionError.
    """

    def __init__(self, path: Path, purpose: Purpose = Purpose.DAEMON) -> None:
        self._descriptor = -1
        try:
            self._take(path, purpose)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            self.release()
            raise
        except OSError as error:
            self.release()
            raise _ON_OUR_VOLUME.failure(error, "lock", path) from error

    def _take(self, path: Path, purpose: Purpose) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        for looks_left in reversed(range(_LOOKS)):
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                holder, _, holds_for = self._holder().partition(" ")
                is_new = looks_left >= _LOOKS - _FIRST_LOOKS
                if not looks_left or (holds_for != Purpose.ACT and not is_new):
                    self.release()
                    raise AlreadyRunningError(
                        "another daemon runs on this data directory",
                        where=str(path),
                        found=f"process {holder or 'unknown'}",
                    ) from None
            threading.Event().wait(_BETWEEN_SECONDS)
        os.ftruncate(self._descriptor, 0)
        holder = f"{os.getpid()}\n" if purpose is Purpose.DAEMON else f"{os.getpid()} {purpose}\n"
        os.pwrite(self._descriptor, holder.encode("ascii"), 0)

    def _holder(self) -> str:
        return os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()

    def release(self) -> None:
        """Let go; again is fine."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
