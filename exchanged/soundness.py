"""Is the wall clock sound? A jump, a start in another time, or most neighbours make it doubtful (C18).

While the clock is doubtful nothing expires and no ``accepted`` is issued. From a jump on the node goes by the
time that it would be without it (``SoundClock``), so that nothing is dated years ahead, or held until then.
A doubt that a jump or a start raised ends when the clock is back where it was, or when most of the neighbours
heard since then say that it is right, or when an operator does; waiting alone ends none. One neighbour
alone cannot make a node with several doubt itself. What is only done late, and never too early, goes by
``proven``: a time that neighbours have stated as well.

Nodes that all started in another time (a pilot that was switched off for longer than a month), or whose
clocks all jumped, go by estimates and state them, so that none confirms another: only a person can tell this
from one time server for all that is wrong. A word at the provincial node is enough for all who hear nobody
else.

Known limits: a neighbour's old message proves nothing, so only times in our future count as disagreement. A
start that finds the clock an hour to thirty days ahead of the books cannot tell whether the node was off for
so long: ``accepted`` waits for a neighbour's word, everything else is dated by that clock at once. To wait
for a word there as well would hold up each node that was rightly off, and decide nothing: what lies in the
mailbox is old, a neighbour at rest says nothing new for up to an hour, and over a carried link a true word
may be days old, which looks like a clock that is days ahead.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Final

from exchanged.clock import Clock
from packet_spec.limits import EARLIEST_CLOCK

# Long enough for every caller to hear of it and for an operator's correction to follow.
_DOUBT_SECONDS: Final = 60.0
# More than that need not agree: most agencies of a province may be silent for weeks.
_WITNESSES: Final = 3
# A node that was off for longer cannot tell its own clock from one that was set ahead.
_OFF_SECONDS: Final = 3600.0
# By that much no node is off; whoever starts further off goes by its books until a neighbour is heard.
_FAR_SECONDS: Final = 30 * 86_400.0


class ClockGuard:
    """Watches one node's clock. May be asked by every thread."""

    def __init__(self, clock: Clock, skew_seconds: float, last_sound: datetime | None = None) -> None:
        """``last_sound`` is the last time that this node's own books vouch for; None: they are new."""
        self._clock = clock
        self._skew = skew_seconds
        self._guard = threading.Lock()
        self._wall = clock.now()
        self._ticks = clock.monotonic()
        # When the clock was sound last, and what the monotonic clock said then; kept while it is doubtful.
        self._sound = self._wall, self._ticks
        self._is_open = False
        self._is_estimated = False
        # How far ahead of that it may be now: by as much as a node may have been off.
        self._slack = skew_seconds
        self._disagrees: dict[str, bool] = {}
        self._agrees: dict[str, bool] = {}
        self._stated: dict[str, datetime] = {}
        self._jumped_at: float | None = None
        if last_sound is not None:
            off = (self._wall - last_sound).total_seconds()
            self._is_open = not -skew_seconds <= off <= _OFF_SECONDS
            self._is_estimated = not -skew_seconds <= off <= _FAR_SECONDS
            if self._is_open:
                self._sound, self._slack = (last_sound, self._ticks), _OFF_SECONDS

    def hear(self, neighbour: str, sent_at: datetime) -> None:
        """A neighbour said what time it was there."""
        ahead = (sent_at - self._clock.now()).total_seconds()
        with self._guard:
            self._disagrees[neighbour] = ahead > self._skew
            if sent_at >= EARLIEST_CLOCK:
                self._stated[neighbour] = max(sent_at, self._stated.get(neighbour, sent_at))
            if self._is_open:
                self._agrees[neighbour] = abs(ahead) <= self._skew

    def take_word(self, said_at: datetime) -> None:
        """An operator said, when the machine's clock showed ``said_at``, that it shows the right time.

        That counts while it is the same clock still, and not against neighbours that are ahead.
        """
        self.doubt()
        with self._guard:
            if abs((self._wall - said_at).total_seconds()) > self._skew:
                return
            self._sound, self._slack = (self._wall, self._ticks), self._skew
            self._is_open = self._is_estimated = False
            self._jumped_at = None
            self._agrees.clear()

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

    def doubtful_since(self) -> datetime | None:
        """The last time at which the clock was sound, while it is doubtful: it must outlive a restart."""
        self.doubt()
        with self._guard:
            return self._sound[0] if self._is_open else None

    def doubt(self) -> str:
        """Why the clock is doubtful (kebab-case), or empty when it is sound.

        A jump is measured against the monotonic clock since the last call; its doubt lasts at least a minute.
        """
        wall, ticks = self._clock.now(), self._clock.monotonic()
        with self._guard:
            jump = abs((wall - self._wall).total_seconds() - (ticks - self._ticks))
            self._wall, self._ticks = wall, ticks
            if jump > self._skew:
                self._jumped_at, self._is_open, self._is_estimated = ticks, True, True
                # What neighbours said of the clock as it was before says nothing of this one.
                self._agrees.clear()
            if self._jumped_at is not None and ticks - self._jumped_at < _DOUBT_SECONDS:
                return "clock-jumped"
            disagreeing = sum(self._disagrees.values())
            if disagreeing and disagreeing * 2 > len(self._disagrees):
                return "clock-far-from-neighbours"
            if self._is_open and not (self._is_back() or self._is_confirmed()):
                return "clock-not-confirmed"
            self._sound, self._is_open, self._slack = (wall, ticks), False, self._skew
            self._is_estimated = False
            self._agrees.clear()
        return ""

    def dating_doubt(self) -> str:
        """Why nothing that others will read may be dated now, or empty: the time is only an estimate."""
        doubt = self.doubt()
        with self._guard:
            return doubt if self._is_estimated else ""

    def time(self) -> datetime:
        """The time that this node goes by: its clock's, or what that would be had nobody set it."""
        self.doubt()
        with self._guard:
            return self._expected() if self._is_estimated else self._wall

    def _expected(self) -> datetime:
        wall, ticks = self._sound
        return wall + timedelta(seconds=self._ticks - ticks)

    def _is_back(self) -> bool:
        """It shows what it would show had nobody touched it."""
        return -self._skew <= (self._wall - self._expected()).total_seconds() <= self._slack

    def _is_confirmed(self) -> bool:
        """Most of those who spoke since the doubt began say the same time."""
        return sum(self._agrees.values()) * 2 > len(self._agrees)


class SoundClock:
    """The clock of a running node: the machine's, without its jumps once ``guard`` is set."""

    def __init__(self, machine: Clock) -> None:
        self.machine = machine
        self.guard: ClockGuard | None = None

    def now(self) -> datetime:
        """The time that the node goes by, UTC."""
        return self.machine.now() if self.guard is None else self.guard.time()

    def monotonic(self) -> float:
        """Seconds of the monotonic clock, which nobody sets."""
        return self.machine.monotonic()
