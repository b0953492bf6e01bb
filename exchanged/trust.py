"""The directory in force: taken from any road when root signatures prove it, versions only rise (C24).

Holds the current directory and answers who a key belongs to. A directory proves itself by its root
signatures alone; the carrier's key and the current directory's expiry do not matter. With an expired
directory the node still takes directories and receipts, but holds new packets.
"""

from __future__ import annotations

import re
import threading
from datetime import datetime
from pathlib import Path
from typing import Final

from exchanged.durable import DurableFiles
from packet_spec.directory import open_directory
from packet_spec.errors import ExchangeError, UnknownKeyError
from packet_spec.limits import DIRECTORY_BYTES
from packet_spec.model import Directory, DirectoryNode, RootKey
from packet_spec.signing import PublicKey

_NAME: Final = re.compile(r"directory-(\d{1,12})\.xml")


class NoDirectoryError(ExchangeError):
    """No valid directory is installed: the node cannot tell whom to believe."""

    reference = "no-directory"
    hint = "run: exchangectl directory install FILE"


class Trust:
    """The directory in force at one node. May be asked by every thread."""

    def __init__(self, folder: Path, files: DurableFiles, roots: tuple[RootKey, ...], threshold: int) -> None:
        self.folder = folder
        self.incoming = folder / "incoming"
        self.roots = roots
        self.threshold = threshold
        self._files = files
        self._guard = threading.Lock()
        self._current: Directory | None = None
        self._keys: dict[str, tuple[DirectoryNode, PublicKey]] = {}

    def load(self) -> None:
        """Read the newest valid directory of the folder. Bad files are passed over."""
        self._files.make_dir(self.folder, mode=0o750)
        self._files.make_dir(self.incoming, mode=0o770)
        for path in sorted(self.folder.glob("directory-*.xml"), key=_version_of, reverse=True):
            try:
                directory = self._open(path.read_bytes())
            except (ExchangeError, OSError):
                continue
            self._use(directory)
            return

    @property
    def directory(self) -> Directory:
        """The directory in force. Raises NoDirectoryError before the first."""
        if self._current is None:
            raise NoDirectoryError("no directory is installed", where=str(self.folder))
        return self._current

    @property
    def version(self) -> int:
        """The version in force, 0 before the first."""
        return 0 if self._current is None else self._current.version

    def path(self) -> Path:
        """The file of the directory in force, with its signatures."""
        return self.folder / f"directory-{self.version}.xml"

    def offer(self, data: bytes) -> bool:
        """Take a directory from any road. True when it is newer and now in force.

        Raises SignatureError or FormatError when it does not prove itself.
        """
        directory = self._open(data)
        with self._guard:
            if directory.version <= self.version:
                return False
            self._files.write_file(self.folder / f"directory-{directory.version}.xml", (data,), mode=0o644)
            self._use(directory)
        return True

    def is_current(self, moment: datetime) -> bool:
        """A directory is in force and has not expired."""
        return self._current is not None and moment < self._current.expires_at

    def key(self, key_id: str) -> PublicKey | None:
        """The public key of that id, of any node in the directory, in any time of its life."""
        found = self._keys.get(key_id)
        return None if found is None else found[1]

    def owner(self, key_id: str) -> DirectoryNode:
        """The node that the key belongs to. Raises UnknownKeyError."""
        found = self._keys.get(key_id)
        if found is None:
            raise UnknownKeyError("no node of the directory has this key", found=key_id)
        return found[0]

    def _open(self, data: bytes) -> Directory:
        if len(data) > DIRECTORY_BYTES:
            raise UnknownKeyError("a directory is too large", expected=f"at most {DIRECTORY_BYTES} bytes")
        return open_directory(data, self.roots, self.threshold)

    def _use(self, directory: Directory) -> None:
        self._keys = {
            key.key_id: (node, PublicKey(key.suite, key.public))
            for node in directory.nodes
            for key in node.keys
        }
        self._current = directory


def _version_of(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else -1
