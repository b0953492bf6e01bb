"""Whose volume a file lies on, and what a failure on it means.

Guarantees: every OSError of a durable operation becomes one of our errors, by one rule
(``VolumeAccess.failure``); crash points are called around each durable step. Holds the ports that
tests replace: crash points and the system calls whose failure decides the fate of a node. The
operations themselves are in ``exchanged.durable``.
"""

from __future__ import annotations

import ctypes
import errno
import os
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol

from exchanged.errors import FileOperationError, ForeignVolumeError, NoSpaceError, VolumeDamagedError
from packet_spec.errors import ExchangeError

Block = bytes | memoryview

UNSUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
# The last: larger than a file of that file system may be, as 4 GiB on a medium with FAT.
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# Naming operations that fail like this speak of the medium, not of a name or a permission.
_DAMAGE: Final = frozenset(
    {errno.EIO, errno.EROFS, errno.EUCLEAN, errno.EBADMSG, errno.ENXIO, errno.ENODEV, errno.ESTALE}
)
# After these steps the volume may hold other bytes than it reported: always damage on our own.
_CONTENT_STEPS: Final = frozenset({"write", "fsync", "read"})
_ROOM: Final = "make room on that volume"
UNSOUND: Final = "see whether its folder is there and the volume sound and mounted, or name another place"
_AT_FDCWD: Final = -100
_RENAME_NOREPLACE: Final = 1
# sync_file_range(2): begin to write, wait for nothing.
_RANGE_WRITE: Final = 2


class Volume(StrEnum):
    """Whose volume it is, and therefore what a failure on it means."""

    OWN = "own"
    FOREIGN = "foreign"
    OUTPUT = "output"
    """A place that somebody named for what a command writes: a failure there damages nothing of the node."""


class CrashPoints(Protocol):
    """Where tests count the durable steps and stop the world at one of them."""

    def point(self, name: str) -> None:
        """Called before and after each durable step; a test may raise a BaseException here."""


class _NoCrash:
    """Production: nothing happens at a crash point."""

    def point(self, name: str) -> None:
        """Do nothing."""


NO_CRASH: Final[CrashPoints] = _NoCrash()


class Kernel:
    """The system calls whose failure tests must be able to cause."""

    def write(self, descriptor: int, block: Block) -> int:
        """Write once; returns how many bytes were taken. Raises OSError."""
        return os.write(descriptor, block)

    def fsync(self, descriptor: int) -> None:
        """Flush the file or folder to the medium. Raises OSError."""
        os.fsync(descriptor)

    def begin_flush(self, descriptor: int) -> None:
        """Begin to write a file to the medium without waiting; where that is not known nothing happens."""
        function = _sync_file_range()
        if function is not None:
            function(descriptor, 0, 0, _RANGE_WRITE)

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name, which must be free. Raises OSError."""
        os.link(source, target, follow_symlinks=False)

    def rename_new(self, source: Path, target: Path) -> None:
        """Rename by renameat2(2) with RENAME_NOREPLACE. Raises OSError (ENOSYS: unknown here)."""
        function = _renameat2()
        if function is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        names = (_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target))
        if function(*names, _RENAME_NOREPLACE) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


KERNEL: Final = Kernel()


@cache
def _renameat2() -> ctypes._NamedFuncPointer | None:
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    function.restype = ctypes.c_int
    return function


@cache
def _sync_file_range() -> ctypes._NamedFuncPointer | None:
    try:
        function = ctypes.CDLL(None).sync_file_range
    except (AttributeError, OSError):
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return function


class Step:
    """One step of ``VolumeAccess.step``: a class, because a small file takes six of them."""

    __slots__ = ("_access", "_operation", "_path", "_step")

    def __init__(self, access: VolumeAccess, step: str, operation: str, path: Path) -> None:
        self._access, self._step, self._operation, self._path = access, step, operation, path

    def __enter__(self) -> None:
        """The crash point before it."""
        self._access.crash.point(f"durable:before-{self._step}:{self._operation}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The crash point after it, unless it failed."""
        if error is None:
            self._access.crash.point(f"durable:after-{self._step}:{self._operation}")
        elif isinstance(error, OSError):
            raise self._access.failure(error, self._step, self._path) from error


@dataclass(frozen=True, slots=True)
class VolumeAccess:
    """One volume's meaning of failures, with the ports that its operations use."""

    volume: Volume
    crash: CrashPoints
    kernel: Kernel

    def step(self, step: str, operation: str, path: Path) -> Step:
        """One durable step: a crash point on either side, an OSError told as ours. A context manager."""
        return Step(self, step, operation, path)

    def failure(self, error: OSError, step: str, path: Path) -> ExchangeError:
        """What a failed system call in ``step`` means on this volume."""
        found = error.strerror or "unknown error"
        place = self.place(path)
        if error.errno in _FULL:
            hint = _ROOM if self.volume is Volume.OUTPUT else None
            return NoSpaceError("the volume is full", where=place, found=found, hint=hint)
        if self.volume is Volume.FOREIGN:
            return ForeignVolumeError(f"the folder cannot be used ({step})", where=place, found=found)
        if self.volume is Volume.OUTPUT:
            hint = advice_about(error.errno) or UNSOUND
            what = f"the place cannot be used ({step})"
            return FileOperationError(what, where=place, found=found, hint=hint)
        if step in _CONTENT_STEPS or error.errno in _DAMAGE:
            return VolumeDamagedError(f"our own volume failed ({step})", where=place, found=found)
        return FileOperationError(f"a file operation was refused ({step})", where=place, found=found)

    def place(self, path: Path) -> str:
        """How an error names ``path``: file names in foreign folders may be case data."""
        return str(path.parent if self.volume is Volume.FOREIGN else path)


def advice_about(number: int | None) -> str | None:
    """What a person can do about an errno at a place that somebody named; None where it says too little."""
    if number in {errno.EACCES, errno.EPERM}:
        return "run this as root, or as the user to whom it belongs"
    if number in {errno.ENOSPC, errno.EDQUOT}:
        return _ROOM
    if number == errno.EROFS:
        return "the volume is mounted read-only: name another place, or have it mounted for writing"
    return None
