"""The station ``directory``: takes directories and packs that a person put into the node's folders (C24).

It also makes the doors follow the directory in force, whoever took it: the copy for the SSH server, and
connections whose host key does not count any more.

Guarantees: a directory file is looked at once and goes, taken or not. A pack waits until the directory
names it, for whoever installs both may do so in any order; one that cannot be used goes. What cannot be read
waits too, and nothing else for it; whatever lies in the folders, the doors follow.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

from exchanged.directory_folder import edition_of
from exchanged.errors import FileOperationError
from exchanged.ledger import Transaction
from exchanged.log import event_line
from exchanged.parts import Parts
from exchanged.published import take_note_of_directory, take_note_of_pack
from exchanged.put_in import NOT_ITS_FAULT, PutIn
from packet_spec.errors import ExchangeError, PackUnknownError
from packet_spec.limits import DIRECTORY_BYTES, PACK_BYTES
from packet_spec.model import NO_EDITION, Edition

_BY_HAND = "by hand"


class PublishingDesk:
    """Takes what is put in by hand."""

    name = "directory"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._directories = PutIn("directory-unreadable")
        self._packs = PutIn("pack-unreadable")

    def step(self) -> float | None:
        """Look at every file there. Raises FileOperationError when a folder cannot be read."""
        # Whoever took the directory, a link or this station, woke this one.
        self._hold_doors()
        # A change of roots comes before what only the new roots signed.
        for path in sorted(_files(self._parts.trust.incoming, ".xml"), key=_edition):
            self._take_directory(path)
        if self._parts.trust.version:
            for path in _files(self._parts.packs.incoming, ".pack"):
                self._take_pack(path)
        self._hold_doors()
        return None

    def _hold_doors(self) -> None:
        """Make doors and connections what the directory in force says; costs nothing where they are."""
        self._parts.door.renew()
        for connection in self._parts.connections.values():
            connection.hold_to_directory()

    def _take_directory(self, path: Path) -> None:
        trust = self._parts.trust
        data = self._directories.read(path, DIRECTORY_BYTES)
        if data is None:
            return
        taken = False
        if len(data) > DIRECTORY_BYTES:
            event_line("directory-refused", level=logging.WARNING, file=path.name, error="too-large")
        else:
            try:
                taken = trust.offer(data)
            except NOT_ITS_FAULT:
                raise
            except ExchangeError as error:
                event_line("directory-refused", level=logging.WARNING, file=path.name, error=error.reference)
        if taken:
            self._parts.packs.keep_shipped(trust.directory)
            self._parts.ledger.write(self._note_directory)
        self._parts.files.unlink(path)

    def _note_directory(self, transaction: Transaction) -> None:
        take_note_of_directory(transaction, self._parts.trust.directory, _BY_HAND)
        self._wake_links(transaction)

    def _take_pack(self, path: Path) -> None:
        packs = self._parts.packs
        data = self._packs.read(path, PACK_BYTES)
        if data is None:
            return
        if len(data) > PACK_BYTES:
            event_line("pack-refused", level=logging.WARNING, file=path.name, error="too-large")
        else:
            try:
                taken = packs.offer(data, self._parts.trust.directory)
            except NOT_ITS_FAULT:
                raise
            except PackUnknownError:
                return
            except ExchangeError as error:
                event_line("pack-refused", level=logging.WARNING, file=path.name, error=error.reference)
                taken = None
            if taken is not None:
                self._parts.ledger.write(partial(take_note_of_pack, pack=taken, road=_BY_HAND))
                self._parts.ledger.write(self._wake_links)
        self._parts.files.unlink(path)

    def _wake_links(self, transaction: Transaction) -> None:
        for link in self._parts.links.names():
            transaction.wake(f"link:{link}")


def _files(folder: Path, suffix: str) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == suffix)
    except OSError as error:
        # An unreadable folder must not look like an empty one: root may have made it for itself.
        raise FileOperationError(
            "what was put in by hand cannot be read", where=str(folder), found=error.strerror or ""
        ) from error


def _edition(path: Path) -> tuple[Edition, str]:
    """The order of directories by the names that the command gives them; others come first."""
    return edition_of(path.name) or NO_EDITION, path.name
