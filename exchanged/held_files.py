"""Files of a node that a backup still needs, held by second names while the daemon lets go of the first.

Guarantees: what was held has all its bytes until ``close``, whatever the daemon removes meanwhile; the
folder with the second names is gone after ``close``, and one that a kill left is removed by the next backup
and at the node's next start, but never while the backup that made it runs.

Leaves to others: which files are needed, and copying them (``backup``). Known limit: removed files take their
room on the volume until ``close``. Where second names are not possible, ``hold`` says so.
"""

from __future__ import annotations

import fcntl
import logging
import os
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from exchanged.durable import DurableFiles, Volume
from exchanged.log import event_line
from exchanged.places import BLOB_FOLDER, SPOOL_FOLDER
from packet_spec.errors import ExchangeError

_PREFIX: Final = "held-for-backup-"


class Outcome(StrEnum):
    """What became of holding one file."""

    HELD = "held"
    GONE = "gone"
    NOT_POSSIBLE = "not-possible"


class HeldFiles:
    """A folder of second names in ``data_dir``, from construction until ``close``; raises nothing."""

    def __init__(self, data_dir: Path, files: DurableFiles) -> None:
        # Nothing rests on these names: one that cannot be made is a file that is copied at once instead.
        self._files = files.for_volume(Volume.FOREIGN)
        self._data_dir = data_dir
        self.folder = data_dir / f"{_PREFIX}{os.getpid()}"
        self._descriptor = -1
        self._held: set[str] = set()
        remove_left(data_dir, files)
        try:
            self._make()
        except (ExchangeError, OSError):
            self.close()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go."""
        self.close()

    def hold(self, path: str) -> Outcome:
        """Give ``path``, relative to the data directory, its second name; again is fine."""
        if path in self._held:
            return Outcome.HELD
        if self._descriptor < 0:
            return Outcome.NOT_POSSIBLE
        try:
            if not self._files.link(self._data_dir / path, self.folder / path):
                return Outcome.GONE
        except ExchangeError:
            return Outcome.NOT_POSSIBLE
        self._held.add(path)
        return Outcome.HELD

    def close(self) -> None:
        """Remove the folder; again is fine."""
        if self._descriptor < 0:
            return
        _remove(self.folder, self._files)
        os.close(self._descriptor)
        self._descriptor = -1

    def _make(self) -> None:
        if self.folder.exists():
            # Of this process's namesake in another container, who still runs.
            return
        self._make_folder(self.folder)
        descriptor = _locked(self.folder)
        if descriptor is None:
            return
        self._descriptor = descriptor
        if not os.fstat(descriptor).st_nlink:
            # Somebody took it for one that was left, in the moment before it was locked.
            raise FileNotFoundError(self.folder)
        for name in (SPOOL_FOLDER, BLOB_FOLDER):
            self._make_folder(self.folder / name)

    def _make_folder(self, folder: Path) -> None:
        self._files.make_dir(folder, mode=0o700)
        if os.geteuid() == 0:
            # The daemon must be able to remove it.
            owner = self._data_dir.stat()
            os.chown(folder, owner.st_uid, owner.st_gid, follow_symlinks=False)


def remove_left(data_dir: Path, files: DurableFiles) -> None:
    """Remove what a backup left that was killed. What cannot be removed is told, and stops nothing."""
    foreign = files.for_volume(Volume.FOREIGN)
    for folder in sorted(data_dir.glob(f"{_PREFIX}*")):
        with suppress(OSError):
            descriptor = _locked(folder)
            if descriptor is None:
                continue
            try:
                _remove(folder, foreign)
            finally:
                os.close(descriptor)


def _locked(folder: Path) -> int | None:
    """The folder, locked for as long as it is open; None while another process has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _remove(folder: Path, files: DurableFiles) -> None:
    try:
        files.remove_tree(folder)
    except ExchangeError as error:
        event_line("held-files-left", level=logging.WARNING, folder=str(folder), what=str(error))
