"""The spool: landed batches and groups of sealed packets, exactly as they travel.

A spool file is written once, flushed, then adopted by a ledger transaction (bytes before ledger). A
packet is a range of it and is never unpacked here; forwarding copies ranges. A file that no ledger
row names is a spare of a crash and is removed at start (``exchanged.reconcile``).
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from exchanged.clock import Randomness
from exchanged.durable import DurableFiles, DurableWriter
from exchanged.errors import FileOperationError
from exchanged.ranges import RangeReader, SpoolRange


class Spool:
    """The folder of spool files of one node."""

    def __init__(self, folder: Path, files: DurableFiles, randomness: Randomness) -> None:
        self.folder = folder
        self.files = files
        self._randomness = randomness

    def prepare(self) -> None:
        """Make the folder. Raises FileOperationError when it lies there and this user may not use it."""
        self.files.make_dir(self.folder, mode=0o700)
        _require_usable(self.folder)

    def new_path(self, kind: str) -> Path:
        """A free path for a file of ``kind`` (``batch`` or ``group``)."""
        return self.folder / f"{self._randomness.token(12).hex()}.{kind}"

    def new_group(self) -> DurableWriter:
        """A file that grows by appending sealed packets. Flush it before the ledger names it."""
        return self.files.create(self.new_path("group"), mode=0o600)

    def path(self, name: str) -> Path:
        """The path of the spool file ``name`` (a name that this class made)."""
        return self.folder / name

    def open_range(self, where: SpoolRange) -> RangeReader:
        """A reader of exactly that range. Raises VolumeDamagedError when the file is gone."""
        return RangeReader(self.path(where.name), where.start, where.length)

    def read(self, where: SpoolRange) -> bytes:
        """The whole range, for small items."""
        with self.open_range(where) as reader:
            return reader.read(where.length)

    def size(self, name: str) -> int | None:
        """The size in bytes of a spool file, or None when it is not there."""
        try:
            return self.path(name).stat().st_size
        except FileNotFoundError:
            return None

    def free_bytes(self) -> int:
        """What is free on the spool's volume. Raises FileOperationError."""
        return self.files.free_bytes(self.folder)

    def remove(self, name: str) -> None:
        """Unlink a file that the ledger no longer names."""
        self.files.unlink(self.path(name))

    def names(self) -> tuple[str, ...]:
        """Every plain file in the folder. Others are not ours: a volume of its own has a ``lost+found``."""
        return tuple(sorted(entry.name for entry in self.folder.iterdir() if entry.is_file()))


def _require_usable(folder: Path) -> None:
    """A start is refused rather than every packet: of a folder of somebody else, or closed to its owner.

    What is wrong with its volume shows where something is written.
    """
    if os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return
    status, user = folder.stat(), os.geteuid()
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return
    is_own = status.st_uid == user
    raise FileOperationError(
        "the spool may not be used by this user", where=str(folder),
        expected="mode 0700" if is_own else f"user id {user}",
        found=f"mode {stat.S_IMODE(status.st_mode):04o}" if is_own else f"user id {status.st_uid}",
        hint=f"run: chmod 700 {folder}" if is_own else f"run as root: chown --recursive {user} {folder}",
    )  # fmt: skip
