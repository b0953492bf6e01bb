"""Serves a share stand-in: ``python -m tests.support.share_server BACKING MOUNT SWITCHES``. See ``share``."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

import mfusepy

from tests.support.share import COARSE_TIMES, HANGS, NO_CASE, NO_FOLDER_SYNC, NO_LINKS, NO_RENAME_NEW

_STEP_NS = 2 * 10**9
_RENAME_NOREPLACE = 1
# utimensat(2) says "now" and "leave it" in the nanoseconds.
_NOW, _OMIT = (1 << 30) - 1, (1 << 30) - 2
_STATVFS = (
    "f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_favail", "f_ffree", "f_files", "f_flag", "f_frsize",
    "f_namemax",
)  # fmt: skip
_NUMBERS = ("st_dev", "st_ino", "st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_blocks")


def answered(method: Callable[..., Any]) -> Callable[..., Any]:
    """An operation that waits as long as the share hangs."""

    @wraps(method)
    def call(self: Operations, *values: Any) -> Any:
        while self.has(HANGS):
            self.pause.wait(0.05)
        return method(self, *values)

    return call


class Operations(mfusepy.Operations):
    """Everything is done in the backing folder, under the numbers of whoever asks."""

    use_ns = True

    def __init__(self, backing: Path, switches: Path) -> None:
        self.backing = backing
        self.switches = switches
        self.pause = threading.Event()

    def has(self, trait: str) -> bool:
        return (self.switches / trait).exists()

    def real(self, path: str) -> Path:
        """The path below ``backing``; on a share without case, of whatever is there by that name."""
        place = self.backing
        for part in path.split("/"):
            step = place / part
            if part and self.has(NO_CASE) and not os.path.lexists(step):
                with suppress(OSError):
                    lowered = part.lower()
                    step = next((each for each in place.iterdir() if each.name.lower() == lowered), step)
            place = step
        return place

    def own(self, place: Path) -> None:
        uid, _gid, _pid = mfusepy.fuse_get_context()
        os.chown(place, uid, -1, follow_symlinks=False)

    @answered
    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        found = self.real(path).lstat() if fh is None else os.fstat(fh)
        told = {name: getattr(found, name) for name in _NUMBERS}
        step = _STEP_NS if self.has(COARSE_TIMES) else 1
        for name in ("st_atime", "st_mtime", "st_ctime"):
            told[name] = getattr(found, f"{name}_ns") // step * step
        return told

    @answered
    def readdir(self, path: str, _fh: int) -> list[tuple[str, dict[str, int], int]]:
        # An entry without a number is left out by libc.
        place = self.real(path)
        told = [(".", place.lstat()), ("..", self.backing.lstat())]
        with os.scandir(place) as entries:
            told += [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
        return [(name, {"st_mode": found.st_mode, "st_ino": found.st_ino}, 0) for name, found in told]

    @answered
    def readlink(self, path: str) -> str:
        return str(self.real(path).readlink())

    @answered
    def mkdir(self, path: str, mode: int) -> int:
        place = self.real(path)
        place.mkdir(mode)
        self.own(place)
        return 0

    @answered
    def symlink(self, target: str, source: str) -> int:
        self.real(target).symlink_to(source)
        return 0

    @answered
    def link(self, target: str, source: str) -> int:
        if self.has(NO_LINKS):
            raise mfusepy.FuseOSError(errno.EPERM)
        os.link(self.real(source), self.real(target), follow_symlinks=False)
        return 0

    @answered
    def unlink(self, path: str) -> int:
        self.real(path).unlink()
        return 0

    @answered
    def rmdir(self, path: str) -> int:
        self.real(path).rmdir()
        return 0

    @answered
    def rename_with(self, old: str, new: str, flags: int) -> int:
        if flags and (self.has(NO_RENAME_NEW) or flags != _RENAME_NOREPLACE):
            raise mfusepy.FuseOSError(errno.EINVAL)
        source, target = self.real(old), self.real(new)
        if flags and os.path.lexists(target):
            raise mfusepy.FuseOSError(errno.EEXIST)
        source.rename(target)
        return 0

    def rename(self, old: str, new: str) -> int:
        return int(self.rename_with(old, new, 0))

    @answered
    def chmod(self, path: str, mode: int) -> int:
        self.real(path).chmod(mode)
        return 0

    @answered
    def chown(self, path: str, uid: int, gid: int) -> int:
        os.chown(self.real(path), uid, gid, follow_symlinks=False)
        return 0

    @answered
    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        os.truncate(self.real(path) if fh is None else fh, length)
        return 0

    @answered
    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        place = self.real(path)
        found = place.lstat()
        old = (found.st_atime_ns, found.st_mtime_ns)
        new = [
            kept if each == _OMIT else time.time_ns() if each == _NOW else each
            for each, kept in zip(times or (_NOW, _NOW), old, strict=True)
        ]
        os.utime(place, ns=(new[0], new[1]), follow_symlinks=False)
        return 0

    @answered
    def create(self, path: str, mode: int, _flags: int) -> int:
        place = self.real(path)
        file = os.open(place, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        self.own(place)
        return file

    @answered
    def open(self, path: str, flags: int) -> int:
        kept = flags & (os.O_ACCMODE | os.O_TRUNC | os.O_APPEND)
        return os.open(self.real(path), kept | os.O_NOFOLLOW | os.O_CLOEXEC)

    @answered
    def read(self, _path: str, size: int, offset: int, fh: int) -> bytes:
        return os.pread(fh, size, offset)

    @answered
    def write(self, _path: str, data: bytes, offset: int, fh: int) -> int:
        return os.pwrite(fh, data, offset)

    @answered
    def release(self, _path: str, fh: int) -> int:
        os.close(fh)
        return 0

    @answered
    def fsync(self, _path: str, _datasync: int, fh: int) -> int:
        os.fsync(fh)
        return 0

    @answered
    def fsyncdir(self, _path: str, _datasync: int, _fh: int) -> int:
        if self.has(NO_FOLDER_SYNC):
            raise mfusepy.FuseOSError(errno.EINVAL)
        return 0

    @answered
    def statfs(self, path: str) -> dict[str, int]:
        found = os.statvfs(self.real(path))
        return {name: getattr(found, name) for name in _STATVFS}


class Server(mfusepy.FUSE):
    """The library leaves out the flags of renameat2; who takes them for granted would lose files."""

    def rename_fuse_3(self, old: bytes, new: bytes, flags: int) -> int:
        return int(self.operations.rename_with(os.fsdecode(old), os.fsdecode(new), flags))


def serve(backing: Path, mount: Path, switches: Path) -> None:
    """Mount and serve until it is unmounted."""
    # hard_remove: a file that is still open goes at once, as on a server, and leaves no hidden name.
    Server(
        Operations(backing, switches), str(mount), foreground=True, use_ino=True, hard_remove=True,
        allow_other=True, default_permissions=True, attr_timeout=0, entry_timeout=0, fsname="stand-in",
        subtype="share",
    )  # fmt: skip


if __name__ == "__main__":
    os.umask(0)
    serve(*(Path(word) for word in sys.argv[1:4]))
