"""A small ext4 volume on a loop device whose power can be cut: what was not flushed is gone.

``cut`` is the ext4 shutdown ioctl without log flush: from then on everything on the volume fails, and after
``revive`` (unmount, mount with journal replay) only what had reached the image is there. The mount options
are the unkindest that a production volume may have: no periodic journal commit within a test, and no
automatic allocation of files that are renamed over others, so that a rename without an fsync shows.

``private_mounts`` puts the calling process and its children into a mount namespace of their own: whatever
way the process ends, its mounts and loop devices end with it. Call it once, before threads are started.
Root only. Known limit: the image itself lies wherever the caller says; losing *its* pages is not tried here.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

UNKIND: Final = "noatime,noauto_da_alloc,commit=600"
PLAIN: Final = "noatime"

# EXT4_IOC_SHUTDOWN is _IOR('X', 125, __u32).
_SHUTDOWN: Final = 0x8004587D
_NO_LOG_FLUSH: Final = (2).to_bytes(4, "little")
_CLONE_NEWNS: Final = 0x00020000
_MS_REC: Final = 0x4000
_MS_PRIVATE: Final = 1 << 18
_PATIENCE_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.005


class VolumeToolError(Exception):
    """mkfs, mount or unmount did not do what it was asked for: the machine, not the product."""


def private_mounts() -> None:
    """A mount namespace of this process's own, from which nothing shows outside. Raises OSError."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(_CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    if library.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None) != 0:
        raise OSError(ctypes.get_errno(), "mount")


class Volume:
    """One volume: an image file and the folder that it is mounted at. A context manager, which removes it."""

    def __init__(self, image: Path, at: Path, options: str = UNKIND) -> None:
        self.image = image
        self.at = at
        self.options = options
        self.is_mounted = False

    @classmethod
    def create(
        cls,
        image: Path,
        at: Path,
        mebibytes: int = 64,
        *,
        inodes: int = 0,
        options: str = UNKIND,
        has_journal: bool = True,
    ) -> Self:
        """A new, empty, mounted volume of ``mebibytes``; ``inodes`` 0 leaves their number to mkfs.

        One without a journal is for where no power is cut: a flush takes half the time there.

        ``at`` is made where it is missing. The root folder of the volume belongs to who calls.
        """
        volume = cls(image, at, options)
        with image.open("wb") as file:
            file.truncate(mebibytes * 1024 * 1024)
        count = ["-N", str(inodes)] if inodes else []
        journal = [] if has_journal else ["-O", "^has_journal"]
        plain = ("-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,nodiscard")
        _run("mkfs.ext4", *plain, *count, *journal, str(image))
        volume.mount()
        (at / "lost+found").rmdir()
        return volume

    @classmethod
    def restored(cls, template: Path, image: Path, at: Path, options: str = UNKIND) -> Self:
        """A mounted volume with the contents of the image ``template``, which stays as it is."""
        copy_image(template, image)
        volume = cls(image, at, options)
        volume.mount()
        return volume

    def mount(self) -> None:
        """Mount; a journal that was left is replayed. Raises VolumeToolError."""
        self.at.mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "ext4", "-o", f"loop,{self.options}", str(self.image), str(self.at))
        self.is_mounted = True

    def cut(self) -> None:
        """The power is gone: nothing that was not flushed will ever be written. Again is fine."""
        descriptor = os.open(self.at, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, _NO_LOG_FLUSH)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
        finally:
            os.close(descriptor)

    def revive(self) -> None:
        """The power is back: unmount, and mount with the journal replayed. All users must have ended."""
        self.unmount()
        self.mount()

    def power_cycle(self) -> None:
        """``cut`` and ``revive``; for when the processes that used the volume were killed before."""
        self.cut()
        self.revive()

    def remount(self, *options: str) -> None:
        """Change the options of a mounted volume in place, for example ``ro``. Raises VolumeToolError."""
        _run("mount", "-o", ",".join(("remount", *options)), str(self.at))

    def abort(self) -> None:
        """The file system gives up as after an error of its journal: read-only, until ``revive``."""
        _run("mount", "-o", "remount,abort", str(self.at))

    def use_up_inodes(self, name: str = "inodes") -> Path:
        """A folder of empty files that leaves no inode free. Removing it gives them back."""
        folder = self.at / name
        folder.mkdir()
        number = 0
        try:
            while True:
                (folder / str(number)).touch()
                number += 1
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        return folder

    def unmount(self) -> None:
        """Unmount, waiting for the last descriptors of killed processes. Raises VolumeToolError."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self.is_mounted:
            done = subprocess.run(["umount", str(self.at)], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                self.is_mounted = False
            elif time.monotonic() > deadline:
                raise VolumeToolError(f"umount {self.at}: {done.stderr.strip()}")
            else:
                time.sleep(_LOOK_SECONDS)

    def free_bytes(self) -> int:
        """What is free for everybody."""
        found = os.statvfs(self.at)
        return found.f_bavail * found.f_frsize

    def fill(self, leave_bytes: int, name: str = "ballast") -> Path:
        """A file of real blocks that leaves about ``leave_bytes`` free. Removing it gives the room back."""
        path = self.at / name
        size = max(0, self.free_bytes() - leave_bytes)
        with path.open("wb") as file:
            step = size
            while size > 0 and step > 0:
                try:
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, step)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    step //= 2
                step = min(step, self.free_bytes() - leave_bytes)
        return path

    def give_back(self, path: Path) -> None:
        """Remove what ``fill`` or ``use_up_inodes`` made; its room is free at once."""
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        descriptor = os.open(self.at, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # What is freed can be had again when the journal was committed.
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """Unmount and delete the image; whatever still holds it open loses it by and by. Never raises."""
        if self.is_mounted:
            subprocess.run(["umount", "-l", str(self.at)], capture_output=True, check=False)
            self.is_mounted = False
        self.image.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


def copy_image(source: Path, target: Path) -> None:
    """A copy of an image, holes kept."""
    target.unlink(missing_ok=True)
    _run("cp", "--sparse=always", str(source), str(target))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise VolumeToolError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
