"""Blob files of a neighbour that are not what they claim: how often, and when to look again (C8).

Guarantees: each is read again after a while that grows; the neighbour, which is asked
to put it anew, hears how often it was corrupt. Leaves to others: what is asked for (``offering``).
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field

from exchanged.link_context import LinkContext
from exchanged.log import event_line


@dataclass(frozen=True, slots=True)
class _Corrupt:
    times: int
    look_again: float


@dataclass(slots=True)
class CorruptBlobs:
    """Those of one link, by digest, until they are good."""

    link: LinkContext
    _found: dict[str, _Corrupt] = field(default_factory=dict)

    def note(self, digest: str) -> None:
        """What lies there is not that blob."""
        times = self.times(digest) + 1
        wait = self.link.limits.scan_seconds * 2.0 ** min(times, 6)
        self._found[digest] = _Corrupt(times, self.link.clock.monotonic() + wait)
        event_line("blob-corrupt", level=30, link=self.link.name, blob=digest, times=times)

    def is_worth_reading(self, digest: str) -> bool:
        """Not a file that was corrupt a moment ago: the neighbour was asked to put it again."""
        known = self._found.get(digest)
        return known is None or self.link.clock.monotonic() >= known.look_again

    def times(self, digest: str) -> int:
        """How often it was corrupt; 0 for one that is good, or that nobody needs any more."""
        known = self._found.get(digest)
        return 0 if known is None else known.times

    def forget(self, digest: str) -> None:
        """It is good."""
        self._found.pop(digest, None)

    def forget_others(self, needed: Container[str]) -> None:
        """Of those that are not ``needed`` nothing is remembered."""
        self._found = {digest: known for digest, known in self._found.items() if digest in needed}
