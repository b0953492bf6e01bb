"""Is the wall clock sound? A jump, or disagreement with most neighbours, makes it doubtful (C18).

While the clock is doubtful nothing expires and no ``accepted`` is issued. One neighbour alone cannot
make a node with several doubt itself. What is only done late, and never too early, goes by ``proven``: a
time that neighbours have stated as well. Known limit: a neighbour's old message proves nothing, so only
times in our future count as disagreement.
"""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Final

from exchanged.clock import Clock

# Long enough for every caller to hear of it and for an operator's correction to follow.
_DOUBT_SECONDS: Final = 60.0
# More than that need not agree: most agencies of a province may be silent for weeks.
_WITNESSES: Final = 3


class ClockGuard:
    """Watches one node's clock. May be asked by every thread."""

    def __init__(self, clock: Clock, skew_seconds: float) -> None:
        self._clock = clock
        self._skew = skew_seconds
        self._guard = threading.Lock()
        self._wall = clock.now()
        self._ticks = clock.monotonic()
        self._disagrees: dict[str, bool] = {}
        self._stated: dict[str, datetime] = {}
        self._jumped_at: float | None = None

    def hear(self, neighbour: str, sent_at: datetime) -> None:
        """A neighbour said what time it was there."""
        ahead = (sent_at - self._clock.now()).total_seconds()
        with self._guard:
            self._disagrees[neighbour] = ahead > self._skew
            self._stated[neighbour] = max(sent_at, self._stated.get(neighbour, sent_at))

    def proven(self) -> datetime | None:
        """A time that certainly has come: the earlier one of our clock's and the neighbours'.

        Theirs is one that three neighbours have stated (all of them, where there are fewer), so neither our
        own clock set ahead nor that of one or two others makes anything seem old. None while the clock is
        doubtful, or before any neighbour was heard. It stands still while nobody is heard.
        """
        if self.doubt():
            return None
        now = self._clock.now()
        with self._guard:
            stated = sorted(self._stated.values(), reverse=True)[:_WITNESSES]
        return min(now, *stated) if stated else None

    def doubt(self) -> str:
        """Why the clock is doubtful (kebab-case), or empty when it is sound.

        A jump is measured against the monotonic clock since the last call; doubt lasts a minute.
        """
        wall, ticks = self._clock.now(), self._clock.monotonic()
        with self._guard:
            jump = abs((wall - self._wall).total_seconds() - (ticks - self._ticks))
            self._wall, self._ticks = wall, ticks
            disagreeing = sum(self._disagrees.values())
            if jump > self._skew:
                self._jumped_at = ticks
            if self._jumped_at is not None and ticks - self._jumped_at < _DOUBT_SECONDS:
                return "clock-jumped"
            if disagreeing and disagreeing * 2 > len(self._disagrees):
                return "clock-far-from-neighbours"
        return ""
