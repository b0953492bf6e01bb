"""Copies of drops whose documents nobody could judge yet, kept for the next attempt.

Guarantees: a copy is used again only for the drop that it was made of, with the same packet.xml, while the
drop looks as it did; so a dossier of gigabytes is not copied again while a scanner is down, and whoever is
still at work on the copy goes on. At most a few are kept. One that somebody is at work on never gives way to
another: so of many large drops the first few are finished, then the next. What is not used again is
discarded.

Leaves to others: which copies are worth it (``checking``); what a crash left (``Copier.remove_leftovers``).
Known limit: where no digest is listed, a file that was changed without another size, time or inode is sent
as it was when it was copied.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from frontend_server.copying import CopiedDrop

# Their small parts are held in memory, at most 8 MiB each, and what was told of their documents.
_DROPS: Final = 8


@dataclass(slots=True)
class _Kept:
    look: object
    content: CopiedDrop
    is_at_work: bool = True
    """The slow lane is, or shall soon be."""


class KeptCopies:
    """Kept copies by the name of the drop. Used by one thread."""

    def __init__(self, discard: Callable[[CopiedDrop], None]) -> None:
        self._discard = discard
        self._kept: dict[bytes, _Kept] = {}
        # Drops that are worked on now: nobody else decides about their copies.
        self._in_hand: frozenset[bytes] = frozenset()

    def begin(self, names: Collection[bytes]) -> None:
        """The copies of these drops stay until the next ``begin``, unless they are asked to go by name."""
        self._in_hand = frozenset(names)

    def find(self, name: bytes, look: object, packet_xml: bytes) -> CopiedDrop | None:
        """The copy of that drop, which stays kept; one of another content is discarded."""
        kept = self._kept.get(name)
        if kept is None:
            return None
        if kept.look == look and kept.content.packet_xml == packet_xml:
            return kept.content
        self.discard(name)
        return None

    def holds(self, name: bytes) -> bool:
        """A copy of that drop is kept."""
        return name in self._kept

    def has_room(self) -> bool:
        """One more can be kept, if need be in place of another that nobody is at work on."""
        return len(self._kept) < _DROPS or any(map(self._may_go, self._kept))

    def keep(self, name: bytes, look: object, content: CopiedDrop, *, is_at_work: bool) -> None:
        """Keep a copy, if there is room. The caller discards what is not kept."""
        if name not in self._kept:
            if not self.has_room():
                return
            if len(self._kept) == _DROPS:
                self.discard(next(filter(self._may_go, self._kept)))
            self._kept[name] = _Kept(look, content)
        self._kept[name].is_at_work = is_at_work

    def rest(self, name: bytes) -> None:
        """Nobody is at work on the copy, if there is one: it gives way to another."""
        if name in self._kept:
            self._kept[name].is_at_work = False

    def release(self, name: bytes) -> None:
        """The copy is the caller's now."""
        self._kept.pop(name, None)

    def discard(self, name: bytes) -> None:
        """Discard the copy, if there is one."""
        kept = self._kept.pop(name, None)
        if kept is not None:
            self._discard(kept.content)

    def make_way(self, *, for_large: bool) -> None:
        """Room is short: discard what is not in hand; for a large drop, which can wait, only what may go."""
        for name in tuple(self._kept):
            if self._may_go(name) or not (for_large or name in self._in_hand):
                self.discard(name)

    def keep_only(self, looks: Mapping[bytes, object]) -> None:
        """Discard the copies of drops that are not there any more, or look different now."""
        for name, kept in tuple(self._kept.items()):
            if name not in looks or looks[name] != kept.look:
                self.discard(name)

    def _may_go(self, name: bytes) -> bool:
        return not self._kept[name].is_at_work and name not in self._in_hand
