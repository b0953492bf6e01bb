"""The folders that lie staged beside the inbox: what of them still counts, and that none is left behind.

Guarantees: a folder whose packet is checked for long counts only while it lies there with the seal of that
packet. One whose packet is neither on its way to the inbox nor waits for its check is removed, and again
until it is gone: what was encrypted lies in it in clear.

Leaves to others: writing them (``staging``), their step into the inbox (``delivery``). Known limit: what
lies in such a folder beside its seal is not compared again.
"""

from __future__ import annotations

import logging
import re
import stat
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Final

from exchanged.errors import ForeignVolumeError
from exchanged.ledger.rows import DestinationRow, PacketRow
from exchanged.log import event_line
from frontend_server.staging import InboxPlaces, Staged, Stager, kind_of, seal_digest_in

# Before the name of a folder that was taken out of the inbox to be removed (C20).
REMOVED: Final = "removed-"
# Names given to folders of packets in the staging folder; nothing else there is touched.
_STAGED: Final = re.compile(rf"(?:{REMOVED})?\d{{6}}-\d{{2}}-\d{{2}}_[0-9a-f-]{{36}}(?:_a\d{{1,9}})?")


class StagedFolders:
    """Those of one agency. Used by one thread at a time."""

    def __init__(self, folders: InboxPlaces, stager: Stager) -> None:
        self._folders = folders
        self._stager = stager
        # Packet -> name of its folder, since it was staged.
        self._names: dict[str, str] = {}
        # Packet -> what was staged, while its check takes long: opened once.
        self._unchecked: dict[str, Staged] = {}

    def remove_spares(self, delivering: Iterable[tuple[PacketRow, DestinationRow]]) -> int:
        """Remove what no row that is ``delivering`` names: spares of a crash. How many there were.

        Raises ForeignVolumeError.
        """
        self._names = {str(packet.key): destination.staging for packet, destination in delivering}
        try:
            found = sorted(entry.name for entry in self._folders.staging.iterdir())
        except OSError as error:
            found_error = error.strerror or "unknown error"
            raise ForeignVolumeError(
                "the staging folder cannot be read", where=str(self._folders.staging), found=found_error
            ) from error
        named = set(self._names.values())
        spares = [name for name in found if _STAGED.fullmatch(name) and name not in named]
        for name in spares:
            try:
                self._stager.discard(self._folders.staging / name)
            except ForeignVolumeError as error:
                event_line("spare-not-removed", level=logging.WARNING, error=error.reference, what=str(error))
        return len(spares)

    def note(self, key: str, name: str) -> None:
        """The packet is staged under that name from now on."""
        self._names[key] = name

    def keep(self, key: str, staged: Staged) -> None:
        """Its check takes long: the folder waits for the answer."""
        self._unchecked[key] = staged

    def is_kept(self, key: str) -> bool:
        """Its folder waits for the answer of its check."""
        return key in self._unchecked

    def has_answer(self, key: str) -> bool:
        """Its folder waits, and the answer can be had now."""
        staged = self._unchecked.get(key)
        return staged is not None and self._stager.has_answer(staged)

    def take(self, packet: PacketRow, name: str) -> Staged | None:
        """What was kept of that packet under that name, if it lies there still; it is kept no longer.

        Raises ForeignVolumeError where the folder cannot tell.
        """
        key = str(packet.key)
        staged = self._unchecked.pop(key, None)
        if staged is None or (self._names.get(key), staged.seal_digest) != (name, packet.seal_digest):
            return None
        return staged if self.lies_there(name, staged) else None

    def lies_there(self, name: str, staged: Staged) -> bool:
        """That very packet is still there: a share may be rolled back, or somebody clean up.

        Raises ForeignVolumeError where the folder cannot tell.
        """
        folder = self._folders.staging / name
        return kind_of(folder) == stat.S_IFDIR and seal_digest_in(folder) == staged.seal_digest

    def drop(self, key: str) -> None:
        """The packet is not staged any more. What cannot be removed now is removed later."""
        self._unchecked.pop(key, None)
        name = self._names.get(key)
        if name is not None:
            with suppress(ForeignVolumeError):
                self._stager.discard(self._folders.staging / name)
                del self._names[key]

    def drop_others(self, keys: Collection[str]) -> None:
        """Only these may lie staged: an operator was faster, or a receipt of before a restore."""
        for key in self._names.keys() - set(keys):
            self.drop(key)
