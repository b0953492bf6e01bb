"""The folder of a node's directories: which one is in force, read from the anchor on (C24).

``directory-EDITION.xml`` is every directory that was ever taken; ``steps/`` holds once more those that
changed roots, threshold or epoch, which a neighbour that missed them needs in order. Guarantees: nothing
counts that cannot be reached from the anchor step by step, so that a lost or strange file never brings other
roots into force; a file that is newer than what is in force and does not count is named, never silently
passed over.

Leaves to others: who writes there (``trust``). Known limit: whoever may remove files there can set a node
back to an older directory until a neighbour serves it the newer one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packet_spec.directory import decode_directory, open_directory
from packet_spec.directory_trust import RootsInForce, is_root_change, open_successor
from packet_spec.errors import ExchangeError, FormatError
from packet_spec.limits import DIRECTORY_BYTES
from packet_spec.model import Directory, Edition
from packet_spec.signing import split_signed

STEPS: Final = "steps"
_NAME: Final = re.compile(r"directory-(?:([1-9][0-9]{0,17})-)?([1-9][0-9]{0,17})\.xml")


@dataclass(frozen=True, slots=True)
class DirectoryFile:
    """A directory that counts, and where it lies."""

    directory: Directory
    path: Path

    @property
    def edition(self) -> Edition:
        """Epoch and version."""
        return self.directory.edition


@dataclass(frozen=True, slots=True)
class DirectoryFolder:
    """What a folder holds. ``current`` is None where nothing counts; then ``roots`` are the anchor.

    ``steps`` are the root changes on the way, the oldest first, those before a later anchor too.
    ``passed_over`` names newer files that do not count, and why.
    """

    roots: RootsInForce
    current: DirectoryFile | None = None
    steps: tuple[DirectoryFile, ...] = ()
    passed_over: tuple[tuple[str, ExchangeError], ...] = ()


def edition_of(name: str) -> Edition | None:
    """The edition that a file name states, or None for another name."""
    match = _NAME.fullmatch(name)
    return None if match is None else Edition(int(match[1] or "1"), int(match[2]))


def directory_files(folder: Path) -> dict[Edition, Path]:
    """The directories of a folder by the edition in their names; of a missing one none. Raises OSError."""
    try:
        found = [(edition_of(path.name), path) for path in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return {edition: path for edition, path in found if edition is not None}


def read_folder(folder: Path, anchor: RootsInForce) -> DirectoryFolder:
    """Walk from ``anchor`` to the newest directory. Raises OSError where the folder cannot be listed."""
    return _Walk(anchor).walk(directory_files(folder), directory_files(folder / STEPS))


def read_directory_file(path: Path) -> bytes:
    """The bytes of a directory file. Raises FormatError for one that is too large, OSError."""
    with path.open("rb") as file:
        data = file.read(DIRECTORY_BYTES + 1)
    if len(data) > DIRECTORY_BYTES:
        raise FormatError("a directory is too large", expected=f"at most {DIRECTORY_BYTES} bytes")
    return data


class _Walk:
    def __init__(self, anchor: RootsInForce) -> None:
        self._roots = anchor
        self._current: DirectoryFile | None = None
        self._steps: list[DirectoryFile] = []
        self._errors: dict[Edition, tuple[str, ExchangeError]] = {}

    def walk(self, files: Mapping[Edition, Path], steps: Mapping[Edition, Path]) -> DirectoryFolder:
        """Every kept step in order, then always the newest file that may follow, until none may."""
        for edition in sorted(steps):
            self._follow(edition, steps[edition], is_step=True)
        self._steps = [*self._leading_to(steps), *self._steps]
        while any(self._follow(edition, files[edition]) for edition in self._newer(files)):
            pass
        passed_over = (self._errors[each] for each in self._newer(self._errors))
        return DirectoryFolder(self._roots, self._current, tuple(self._steps), tuple(passed_over))

    def _leading_to(self, steps: Mapping[Edition, Path]) -> list[DirectoryFile]:
        """Kept steps before the first that was followed: who missed them needs them, whatever counts here.

        Where the chain begins later than it did, nothing here rests on them; each must lead to the next.
        """
        found: list[DirectoryFile] = []
        following = self._steps[0] if self._steps else None
        for edition in sorted(steps, reverse=True):
            if following is None or edition >= following.edition:
                continue
            try:
                directory = decode_directory(split_signed(read_directory_file(steps[edition]))[0])
                open_directory(read_directory_file(steps[edition]), directory.roots, directory.threshold)
                open_successor(read_directory_file(following.path), RootsInForce.of(directory))
            except (ExchangeError, OSError):
                break
            following = DirectoryFile(directory, steps[edition])
            found.insert(0, following)
        return found

    def _newer(self, files: Mapping[Edition, object]) -> Iterator[Edition]:
        edition = self._roots.edition
        return iter([each for each in sorted(files, reverse=True) if each > edition])

    def _follow(self, edition: Edition, path: Path, *, is_step: bool = False) -> bool:
        try:
            directory = open_successor(read_directory_file(path), self._roots)
            if directory.edition != edition:
                raise FormatError("the name and the directory bear different editions")
        except ExchangeError as error:
            self._errors[edition] = (path.name, error)
            return False
        except OSError as error:
            self._errors[edition] = (path.name, FormatError(f"the file cannot be read: {error.strerror}"))
            return False
        found = DirectoryFile(directory, path)
        # Where the chain begins with roots that it brought, it still is a step to those who missed it.
        if is_step or is_root_change(self._roots, directory):
            self._steps.append(found)
        self._roots, self._current = RootsInForce.of(directory), found
        return True
