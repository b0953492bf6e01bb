"""Copies of drops whose documents nobody could judge yet, kept for the next attempt.

Guarantees: a copy is used again only for the drop that it was made of, with the same packet.xml, the same
look and listed digests for every document; so a dossier of gigabytes is not copied again while a scanner is
down, and whoever is still at work on the copy goes on. At most a few are kept; what is not used again is
discarded.

Leaves to others: what a crash left (``Copier.remove_leftovers``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from frontend_server.copying import CopiedDrop
from packet_spec.model import Attachment

# Their small parts are held in memory, at most 8 MiB each.
_DROPS: Final = 8


@dataclass(frozen=True, slots=True)
class _Kept:
    look: object
    content: CopiedDrop


class KeptCopies:
    """Kept copies by the name of the drop. Used by one thread."""

    def __init__(self, discard: Callable[[CopiedDrop], None]) -> None:
        self._discard = discard
        self._kept: dict[bytes, _Kept] = {}

    def keep(
        self, name: bytes, look: object, content: CopiedDrop, attachments: Sequence[Attachment]
    ) -> bool:
        """Keep a copy, if it may be used again. The caller discards it otherwise."""
        if any(listed.sha256 is None for listed in attachments):
            return False
        self._forget(name)
        self._kept[name] = _Kept(look, content)
        while len(self._kept) > _DROPS:
            self._forget(next(iter(self._kept)))
        return True

    def take(self, name: bytes, look: object, packet_xml: bytes) -> CopiedDrop | None:
        """The copy of that drop, which is the caller's now; one of another content is discarded."""
        kept = self._kept.pop(name, None)
        if kept is None:
            return None
        if kept.look == look and kept.content.packet_xml == packet_xml:
            return kept.content
        self._discard(kept.content)
        return None

    def keep_only(self, names: Collection[bytes]) -> None:
        """Discard the copies of drops that are not there any more."""
        for name in self._kept.keys() - set(names):
            self._forget(name)

    def _forget(self, name: bytes) -> None:
        kept = self._kept.pop(name, None)
        if kept is not None:
            self._discard(kept.content)
