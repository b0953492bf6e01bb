"""A stand-in for a file server's share: a FUSE file system over a folder, with switchable faults.

``Share`` mounts it from a test; ``python -m tests.support.share BACKING MOUNT SWITCHES`` is the process that
serves it. What another machine does is done in the backing folder: no event comes of it on the mount. The
other traits are switched while it runs, by an empty file of the trait's name in the folder SWITCHES.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NO_FOLDER_SYNC = "no-folder-sync"
NO_RENAME_NEW = "no-rename-new"
NO_LINKS = "no-links"
NO_CASE = "no-case"
COARSE_TIMES = "coarse-times"
HANGS = "hangs"
TRAITS = (NO_FOLDER_SYNC, NO_RENAME_NEW, NO_LINKS, NO_CASE, COARSE_TIMES)
_STEP_NS = 2 * 10**9
_RENAME_NOREPLACE = 1
# utimensat(2) says "now" and "leave it" in the nanoseconds.
_NOW, _OMIT = (1 << 30) - 1, (1 << 30) - 2
_STATVFS = (
    "f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_favail", "f_ffree", "f_files", "f_flag", "f_frsize",
    "f_namemax",
)  # fmt: skip


class Share:
    """One mounted stand-in. The tests' side: nothing here imports the library."""

    def __init__(self, backing: Path, mount: Path, switches: Path) -> None:
        self.backing = backing
        self.mount = mount
        self._switches = switches
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Mount it; returns when it answers."""
        for path in (self.backing, self.mount, self._switches):
            path.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", __name__, str(self.backing), str(self.mount), str(self._switches)]
        # With libfuse 2 beside it the library would take that, which knows no flags of renameat2.
        environment = {**os.environ, "FUSE_LIBRARY_NAME": "fuse3"}
        self._process = subprocess.Popen(command, cwd=ROOT, env=environment)
        deadline = time.monotonic() + 15
        while not os.path.ismount(self.mount):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the share was not mounted")
            time.sleep(0.02)

    def vanish(self) -> None:
        """The mount goes from under whoever uses it; the mount point is an empty folder."""
        subprocess.run(["umount", "--lazy", str(self.mount)], check=True)
        if self._process is not None:
            # What is still open on it would keep the server alive, and the test waiting.
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def stop(self) -> None:
        """Let go of everything, also of a share that hangs."""
        self.switch(HANGS, on=False)
        if self._process is not None:
            self.vanish()

    def switch(self, trait: str, *, on: bool = True) -> None:
        """Turn a trait on or off; it counts at once."""
        if on:
            (self._switches / trait).touch()
        else:
            (self._switches / trait).unlink(missing_ok=True)


def serve(backing: Path, mount: Path, switches: Path) -> None:
    """Mount and serve until it is unmounted."""
    import mfusepy  # noqa: PLC0415 - tests of the share alone need it, and libfuse

    pause = threading.Event()

    def has(trait: str) -> bool:
        return (switches / trait).exists()

    def answered(method: Callable[..., Any]) -> Callable[..., Any]:
        """An operation that waits as long as the share hangs."""

        @wraps(method)
        def call(*values: Any) -> Any:
            while has(HANGS):
                pause.wait(0.05)
            return method(*values)

        return call

    def real(path: str) -> str:
        """The path below ``backing``; on a share without case, of whatever is there by that name."""
        place = str(backing)
        for part in path.split("/")[1:]:
            step = f"{place}/{part}" if part else place
            if part and has(NO_CASE) and not os.path.lexists(step):
                with suppress(OSError):
                    names = os.listdir(place)
                    step = next((f"{place}/{n}" for n in names if n.lower() == part.lower()), step)
            place = step
        return place

    def own(path: str) -> None:
        uid, _gid, _pid = mfusepy.fuse_get_context()
        os.chown(path, uid, -1, follow_symlinks=False)

    class Operations(mfusepy.Operations):  # type: ignore[misc, unused-ignore]
        use_ns = True

        @answered
        def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
            found = os.lstat(real(path)) if fh is None else os.fstat(fh)
            names = ("st_dev", "st_ino", "st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_blocks")
            told = {name: getattr(found, name) for name in names}
            step = _STEP_NS if has(COARSE_TIMES) else 1
            for name in ("st_atime", "st_mtime", "st_ctime"):
                told[name] = getattr(found, f"{name}_ns") // step * step
            return told

        @answered
        def readdir(self, path: str, _fh: int) -> list[tuple[str, dict[str, int], int]]:
            # An entry without a number is left out by libc.
            place = real(path)
            told = [(".", os.lstat(place)), ("..", os.lstat(backing))]
            with os.scandir(place) as entries:
                told += [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
            return [
                (name, {"st_mode": found.st_mode, "st_ino": found.st_ino}, 0) for name, found in told
            ]

        @answered
        def readlink(self, path: str) -> str:
            return os.readlink(real(path))

        @answered
        def mkdir(self, path: str, mode: int) -> int:
            place = real(path)
            os.mkdir(place, mode)
            own(place)
            return 0

        @answered
        def symlink(self, target: str, source: str) -> int:
            os.symlink(source, real(target))
            return 0

        @answered
        def link(self, target: str, source: str) -> int:
            if has(NO_LINKS):
                raise mfusepy.FuseOSError(errno.EPERM)
            os.link(real(source), real(target), follow_symlinks=False)
            return 0

        @answered
        def unlink(self, path: str) -> int:
            os.unlink(real(path))
            return 0

        @answered
        def rmdir(self, path: str) -> int:
            os.rmdir(real(path))
            return 0

        @answered
        def rename_with(self, old: str, new: str, flags: int) -> int:
            if flags and (has(NO_RENAME_NEW) or flags != _RENAME_NOREPLACE):
                raise mfusepy.FuseOSError(errno.EINVAL)
            source, target = real(old), real(new)
            if flags and os.path.lexists(target):
                raise mfusepy.FuseOSError(errno.EEXIST)
            os.rename(source, target)
            return 0

        def rename(self, old: str, new: str) -> int:
            return int(self.rename_with(old, new, 0))

        @answered
        def chmod(self, path: str, mode: int) -> int:
            os.chmod(real(path), mode)
            return 0

        @answered
        def chown(self, path: str, uid: int, gid: int) -> int:
            os.chown(real(path), uid, gid, follow_symlinks=False)
            return 0

        @answered
        def truncate(self, path: str, length: int, fh: int | None = None) -> int:
            os.truncate(real(path) if fh is None else fh, length)
            return 0

        @answered
        def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
            place = real(path)
            found = os.lstat(place)
            old = (found.st_atime_ns, found.st_mtime_ns)
            wanted = times or (_NOW, _NOW)
            new = tuple(
                kept if each == _OMIT else time.time_ns() if each == _NOW else each
                for each, kept in zip(wanted, old, strict=True)
            )
            os.utime(place, ns=(new[0], new[1]), follow_symlinks=False)
            return 0

        @answered
        def create(self, path: str, mode: int, _flags: int) -> int:
            place = real(path)
            file = os.open(place, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            own(place)
            return file

        @answered
        def open(self, path: str, flags: int) -> int:
            kept = flags & (os.O_ACCMODE | os.O_TRUNC | os.O_APPEND)
            return os.open(real(path), kept | os.O_NOFOLLOW | os.O_CLOEXEC)

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
            if has(NO_FOLDER_SYNC):
                raise mfusepy.FuseOSError(errno.EINVAL)
            return 0

        @answered
        def statfs(self, path: str) -> dict[str, int]:
            found = os.statvfs(real(path))
            return {name: getattr(found, name) for name in _STATVFS}

    class Server(mfusepy.FUSE):  # type: ignore[misc, unused-ignore]
        """The library leaves out the flags of renameat2, and what takes them for granted loses files."""

        def rename_fuse_3(self, old: bytes, new: bytes, flags: int) -> int:
            return int(self.operations.rename_with(os.fsdecode(old), os.fsdecode(new), flags))

    Server(
        Operations(), str(mount), foreground=True, use_ino=True, hard_remove=True, allow_other=True, default_permissions=True,
        attr_timeout=0, entry_timeout=0, fsname="stand-in", subtype="share",
    )  # fmt: skip


if __name__ == "__main__":
    os.umask(0)
    serve(*(Path(word) for word in sys.argv[1:4]))
