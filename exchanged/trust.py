"""The directory in force: taken from any road when root signatures prove it, editions only rise (C24).

Holds the current directory and answers who a key belongs to. A directory proves itself by its root
signatures alone; the carrier's key and the current directory's expiry do not matter. The roots that count are
those of the directory in force; the configuration's are only where the chain begins. With an expired
directory the node still takes directories and receipts, but holds new packets.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from exchanged.directory_folder import STEPS, DirectoryFile, read_folder
from exchanged.durable import DurableFiles
from exchanged.errors import FileOperationError
from exchanged.log import event_line
from packet_spec.directory_trust import NotNewerError, RootsInForce, is_root_change, open_successor
from packet_spec.errors import ExchangeError, FormatError, SignatureError, UnknownKeyError
from packet_spec.limits import DIRECTORY_BYTES
from packet_spec.model import Directory, DirectoryNode, Edition, RootKey
from packet_spec.signing import PublicKey, split_signed

_MODE: Final = 0o644


class NoDirectoryError(ExchangeError):
    """No valid directory is installed: the node cannot tell whom to believe."""

    reference = "no-directory"
    hint = "run: exchangectl directory install FILE"


class DirectoryForkedError(SignatureError):
    """Two different directories of one edition, both signed by the roots: a key of theirs was misused."""

    reference = "directory-forked"
    hint = "show both to the keepers of the roots; the one taken first stays in force until a newer one comes"


@dataclass(frozen=True, slots=True)
class DirectoryProof:
    """The file of the directory in force and what proves it: read in one moment, they fit each other."""

    path: Path
    roots: tuple[RootKey, ...]
    threshold: int


@dataclass(frozen=True, slots=True)
class _Standing:
    """All that changes when a directory is taken; replaced as a whole, so that readers need no lock."""

    roots: RootsInForce
    current: DirectoryFile | None = None
    steps: tuple[DirectoryFile, ...] = ()
    keys: Mapping[str, tuple[DirectoryNode, PublicKey]] = field(default_factory=dict)


class Trust:
    """The directory in force at one node. May be asked by every thread."""

    def __init__(self, folder: Path, files: DurableFiles, roots: tuple[RootKey, ...], threshold: int) -> None:
        self.folder = folder
        self.incoming = folder / "incoming"
        self._files = files
        self._guard = threading.Lock()
        self._anchor = RootsInForce(roots, threshold)
        self._standing = _Standing(self._anchor)

    def load(self) -> None:
        """Walk from the anchor to the newest directory of the folder. Files that do not count are named.

        Raises FileOperationError when the folder cannot be read: an older directory must not come back so.
        """
        self._files.make_dir(self.folder, mode=0o750)
        self._files.make_dir(self.incoming, mode=0o770)
        self._files.make_dir(self.folder / STEPS, mode=0o750)
        try:
            found = read_folder(self.folder, self._anchor)
        except OSError as error:
            raise FileOperationError(
                "the directories cannot be read", where=str(self.folder), found=error.strerror or ""
            ) from error
        for name, why in found.passed_over:
            event_line(
                "directory-passed-over", level=logging.WARNING, file=name, error=why.reference, what=str(why)
            )
        if found.current is not None:
            self._use(found.current, found.steps)

    @property
    def directory(self) -> Directory:
        """The directory in force. Raises NoDirectoryError before the first."""
        return self._in_force().directory

    @property
    def version(self) -> int:
        """The version in force, 0 before the first. To compare across epochs there is ``edition``."""
        return self.edition.version

    @property
    def edition(self) -> Edition:
        """The edition in force, version 0 before the first."""
        return self._standing.roots.edition

    @property
    def roots_in_force(self) -> RootsInForce:
        """The roots that count now: those of the directory in force, before the first the anchor."""
        return self._standing.roots

    @property
    def roots(self) -> tuple[RootKey, ...]:
        """The keys alone; with the threshold in one value: ``roots_in_force``."""
        return self._standing.roots.roots

    @property
    def threshold(self) -> int:
        """How many of the roots in force must sign."""
        return self._standing.roots.threshold

    @property
    def steps(self) -> tuple[DirectoryFile, ...]:
        """The root changes since the anchor, the oldest first: who missed them needs them in this order."""
        return self._standing.steps

    @property
    def proof(self) -> DirectoryProof:
        """For a worker process, which proves the directory once more. Raises NoDirectoryError."""
        current = self._in_force()
        return DirectoryProof(current.path, current.directory.roots, current.directory.threshold)

    def path(self) -> Path:
        """The file of the directory in force, with its signatures. Raises NoDirectoryError."""
        return self._in_force().path

    def offered_to(self, known: Edition) -> dict[Edition, Path]:
        """What a neighbour with the edition ``known`` lacks: the root changes since, then the newest."""
        standing = self._standing
        current = () if standing.current is None else (standing.current,)
        return {each.edition: each.path for each in (*standing.steps, *current) if each.edition > known}

    def offer(self, data: bytes) -> bool:
        """Take a directory from any road. True when it is newer and now in force.

        Raises SignatureError or FormatError when it does not prove itself, DirectoryForkedError when it
        bears the edition in force and is another one.
        """
        if len(data) > DIRECTORY_BYTES:
            raise FormatError("a directory is too large", expected=f"at most {DIRECTORY_BYTES} bytes")
        with self._guard:
            standing = self._standing
            try:
                directory = open_successor(data, standing.roots)
            except NotNewerError as error:
                self._require_same(data, error)
                return False
            name = f"directory-{directory.edition}.xml"
            steps = standing.steps
            is_first = standing.current is None and _others_signed(data, directory)
            if is_first or is_root_change(standing.roots, directory):
                # First, so that no crash leaves a newer directory without the way to it.
                self._files.write_file(self.folder / STEPS / name, (data,), mode=_MODE)
                steps += (DirectoryFile(directory, self.folder / STEPS / name),)
            self._files.write_file(self.folder / name, (data,), mode=_MODE)
            self._use(DirectoryFile(directory, self.folder / name), steps)
        return True

    def is_current(self, moment: datetime) -> bool:
        """A directory is in force and has not expired."""
        current = self._standing.current
        return current is not None and moment < current.directory.expires_at

    def key(self, key_id: str) -> PublicKey | None:
        """The public key of that id, of any node in the directory, in any time of its life."""
        found = self._standing.keys.get(key_id)
        return None if found is None else found[1]

    def owner(self, key_id: str) -> DirectoryNode:
        """The node that the key belongs to. Raises UnknownKeyError."""
        found = self._standing.keys.get(key_id)
        if found is None:
            raise UnknownKeyError("no node of the directory has this key", found=key_id)
        return found[0]

    def _in_force(self) -> DirectoryFile:
        current = self._standing.current
        if current is None:
            raise NoDirectoryError("no directory is installed", where=str(self.folder))
        return current

    def _require_same(self, data: bytes, error: NotNewerError) -> None:
        """An older directory is nothing new; another one of the edition in force is a crime or a mistake."""
        current = self._in_force()
        if error.found != str(current.edition):
            return
        try:
            here = current.path.read_bytes()
        except OSError:
            return
        if split_signed(here)[0] != split_signed(data)[0]:
            raise DirectoryForkedError(
                "another directory of the same edition is in force",
                where=str(current.path),
                found=str(current.edition),
            )

    def _use(self, current: DirectoryFile, steps: tuple[DirectoryFile, ...]) -> None:
        keys = {
            key.key_id: (node, PublicKey(key.suite, key.public))
            for node in current.directory.nodes
            for key in node.keys
        }
        self._standing = _Standing(RootsInForce.of(current.directory), current, steps, keys)


def _others_signed(data: bytes, directory: Directory) -> bool:
    """Keys that are none of its roots signed it too: to those who trust the roots before it changes them."""
    return not {each.key_id for each in split_signed(data)[1]} <= {root.key_id for root in directory.roots}
