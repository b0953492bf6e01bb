"""When an acknowledgement that tells nothing new is put again (C5, C15).

It is one file that the next one replaces. Where what it acknowledges lies there still it may have been
damaged on its way: then it is put again, less and less often. And it is said a second time in any case, one
to two minutes later: of two living copies of a node the one may have replaced the other's file before the
neighbour read it, and on a quiet link nothing else would show that there are two. When exactly is chance, so
that they do not meet again.

Guarantees: of the files that lie there nothing is concluded; a copy is shown by what the neighbour read
(``forks``). Known limit: a neighbour that looks less often than once a minute may need more than one try; a
quiet link has two an hour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from exchanged.clock import Clock, Randomness

# An acknowledgement that nobody seems to have read is put again after so long, then after twice as long ...
AGAIN_SECONDS: Final = 60.0


@dataclass(slots=True)
class AckAgain:
    """Of one link. ``most_seconds``: it is never put less often while it seems unread."""

    clock: Clock
    randomness: Randomness
    most_seconds: float
    _lying: frozenset[str] = frozenset()
    _again_at: float = 0.0
    _again_in: float = AGAIN_SECONDS
    _second_at: float | None = None

    def note_news(self) -> None:
        """One that tells something new was put."""
        self._second_at = self.clock.monotonic() + AGAIN_SECONDS * (1.0 + self.randomness.fraction())

    def is_due(self, lying: frozenset[str]) -> bool:
        """Put it again now. ``lying``: what was acknowledged and lies there still."""
        seems_lost = self._seems_lost(lying)
        is_second = self._second_at is not None and self.clock.monotonic() >= self._second_at
        if is_second:
            self._second_at = None
        return seems_lost or is_second

    def _seems_lost(self, lying: frozenset[str]) -> bool:
        now = self.clock.monotonic()
        if lying != self._lying:
            self._lying, self._again_in = lying, AGAIN_SECONDS
            self._again_at = now + self._again_in
        if not lying or now < self._again_at:
            return False
        self._again_in = min(2 * self._again_in, self.most_seconds)
        self._again_at = now + self._again_in
        return True
