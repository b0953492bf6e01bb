"""Remove from the agency's folders what the daemon put there, and nothing else.

Guarantees: what goes is, byte for byte or file for file, what the ledger says; anything else that lies
under the name stays where it is. No link is followed. Originals are taken into the private staging folder,
looked at again where nobody else can reach them, and only then removed; a stranger goes back without
replacing anything. Every step may be repeated after a crash, and after ``settle`` nothing comes back when the
power goes:

    sent/NAME  ->  .exchanged/checking-<mark>  ->  .exchanged/retired-<mark>  ->  gone

Leaves to others: what may go and when (``retention``), and whether the folders hold their markers. Known
limit: a small file is compared and then unlinked; who puts another under the name of ours in that very
moment, in a folder that is ours to write, loses it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Final

from exchanged.durable import DurableFiles
from exchanged.errors import ForeignVolumeError, NameTakenError, TransportFileError
from exchanged.mailbox import open_foreign
from frontend_server.folders import AgencyFolders
from frontend_server.originals import is_one_file
from frontend_server.staging import kind_of

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

IsOurs = Callable[[int, bytes], bool]
"""In the open folder, what lies under that name is what the ledger says. Raises ForeignVolumeError."""


class Removed(StrEnum):
    """What became of something that was to go."""

    REMOVED = "removed"
    GONE = "gone"
    STRANGER = "stranger"


class Remover:
    """Removes below one agency root. ``files`` are those of the agency's (foreign) volume."""

    def __init__(self, folders: AgencyFolders, files: DurableFiles) -> None:
        self._folders = folders
        self._files = files
        # Below the root: where something was removed that a power cut could bring back.
        self._touched: set[tuple[str, ...]] = set()

    def settle(self) -> None:
        """Make what was removed so far durable, before the ledger says that it is gone.

        Raises ForeignVolumeError; then it may be tried again.
        """
        for below in sorted(self._touched):
            try:
                self._sync(below)
            except ForeignVolumeError:
                if len(below) == 1 or self._is_there(below):
                    raise
                # Somebody took the whole folder away: only the one above knows of it now.
                self._sync(below[:-1])
            self._touched.discard(below)

    def _sync(self, below: tuple[str, ...]) -> None:
        with self._folders.pinned(*below) as folder:
            self._files.sync_dir(folder)

    def finish_move(self, folder: str, names: Iterable[bytes], mark: str) -> None:
        """Where a move of ``remove_original`` was broken off and left two names (``durable``), end it.

        ``names`` are all that the original may have in ``folder``. To be called before ``remove_original``,
        and raises as that: by its two names nobody would know the original again.
        """
        staging = self._folders.staging.name
        with self._folders.pinned(folder) as home, self._folders.pinned(staging) as private:
            checking, retired = private / f"checking-{mark}", private / f"retired-{mark}"
            if kind_of(checking) is None:
                return
            for source in (home / os.fsdecode(name) for name in names):
                if is_one_file(source, checking):
                    self._files.rename_new(source, checking)
            if is_one_file(checking, retired):
                self._files.rename_new(checking, retired)

    def remove_original(self, folder: str, name: bytes, mark: str, is_ours: IsOurs) -> Removed:
        """Remove the original ``name`` of the drop with this ``mark`` from ``folder`` (sent or refused).

        Raises ForeignVolumeError when the folders cannot be used; then it may be tried again.
        """
        staging = self._folders.staging.name
        with self._folders.pinned(folder) as home, self._folders.pinned(staging) as private:
            checking, retired = private / f"checking-{mark}", private / f"retired-{mark}"
            source = home / os.fsdecode(name)
            if kind_of(retired) is None:
                if kind_of(checking) is None:
                    if kind_of(source) is None:
                        return Removed.GONE
                    if not _ask(home, name, is_ours):
                        return Removed.STRANGER
                    self._files.rename_new(source, checking)
                if not _ask(private, os.fsencode(checking.name), is_ours):
                    self._give_back(checking, source)
                    return Removed.STRANGER
                self._files.rename_new(checking, retired)
            self._touched.add((staging,))
            if kind_of(retired) == stat.S_IFDIR:
                self._files.remove_tree(retired)
            else:
                self._files.unlink(retired)
        return Removed.REMOVED

    def remove_file(self, below: tuple[str, ...], name: str, ours: Collection[bytes]) -> Removed:
        """Remove one file if its bytes are one of ``ours``. Raises ForeignVolumeError."""
        try:
            with self._folders.pinned(*below) as folder:
                found = read_small(folder, name, max(map(len, ours), default=0))
                if found not in ours:
                    return Removed.GONE if kind_of(folder / name) is None else Removed.STRANGER
                self._files.unlink(folder / name)
                self._touched.add(below)
        except ForeignVolumeError:
            if self._is_there(below):
                raise
            return Removed.GONE
        return Removed.REMOVED

    def remove_empty(self, below: tuple[str, ...], name: str) -> bool:
        """Remove a folder that holds nothing any more. False when it is not empty, not there or no folder.

        Raises ForeignVolumeError.
        """
        with self._folders.pinned(*below) as folder:
            if not self._files.remove_empty_dir(folder / name):
                return False
        # What was removed in there went with it.
        self._touched.discard((*below, name))
        self._touched.add(below)
        return True

    def _is_there(self, below: tuple[str, ...]) -> bool:
        """Something stands in the last folder's place, and the one above it is a folder of ours."""
        with self._folders.pinned(*below[:-1]) as above:
            return kind_of(above / below[-1]) is not None

    def _give_back(self, stranger: Path, source: Path) -> None:
        """It was exchanged between look and move. Where its name is taken again it waits in staging."""
        try:
            self._files.rename_new(stranger, source)
        except NameTakenError as error:
            raise ForeignVolumeError(
                "a stranger's file cannot go back to its name", where=str(self._folders.root)
            ) from error


def read_small(folder: Path, name: str, limit_bytes: int) -> bytes | None:
    """The bytes of a plain file of one name, at most one more than the limit; None for anything else."""
    try:
        file = open_foreign(folder, name)
    except TransportFileError:
        return None
    try:
        return os.read(file, limit_bytes + 1)
    except OSError as error:
        raise ForeignVolumeError("a file cannot be read", found=error.strerror or "") from error
    finally:
        os.close(file)


def _ask(folder: Path, name: bytes, is_ours: IsOurs) -> bool:
    try:
        descriptor = os.open(folder, _FOLDER)
    except OSError as error:
        raise ForeignVolumeError("a folder cannot be opened", found=error.strerror or "") from error
    try:
        return is_ours(descriptor, name)
    finally:
        os.close(descriptor)
