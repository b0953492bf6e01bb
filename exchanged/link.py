"""The life of one link as a station: land, settle, offer, acknowledge, ring.

The scan of the mailbox is the truth; bells and file-system events only make it look sooner. One link works
on one thing at a time, and a large blob has turns, so that what is small does not wait for the whole of it.
"""

from __future__ import annotations

from contextlib import suppress

from exchanged import forks
from exchanged.bell import LAST_REPEAT_SECONDS, ring_again_in
from exchanged.errors import (
    LedgerBusyError,
    LedgerDamagedError,
    NoSpaceError,
    TransportError,
    VolumeDamagedError,
)
from exchanged.landing import Landing
from exchanged.ledger import batches, clock_memory
from exchanged.link_context import LinkContext
from exchanged.link_health import LinkHealth
from exchanged.offering import Offering
from exchanged.restore_answers import RestoreAnswers
from exchanged.settling import Settling
from exchanged.station import NOW


class LinkStation:
    """One link of this node. ``rings``: this side serves the mailbox and owns the bell (C7)."""

    def __init__(self, link: LinkContext, *, rings: bool) -> None:
        self._link = link
        self._rings = rings
        self._unheard = 0
        # Of a ring that was heard; before that there is nothing to repeat without news.
        self._quiet_until = 0.0
        settling = Settling(link)
        self._landing = Landing(link, settling)
        self._offering = Offering(link, settling, self._landing)
        self._answers = RestoreAnswers(link)
        self._health = LinkHealth(link.ledger, link.name, link.peer)
        self._down = False
        self._paused = False
        self._marked = False

    @property
    def name(self) -> str:
        """``link:<name>``."""
        return f"link:{self._link.name}"

    @property
    def is_down(self) -> bool:
        """The last round did not come to its end: the mailbox could not be used. Not of a paused link."""
        return self._down and not self._paused

    @property
    def is_paused(self) -> bool:
        """An operator paused it."""
        return self._paused

    def step(self) -> float | None:
        """One round. Raises TransportError when the mailbox cannot be reached; then nothing is lost.

        A link that an operator paused neither lands nor offers; a step in hand is finished first.
        """
        clock_memory.keep_doubt(self._link.ledger, self._link.clock_guard.doubtful_since())
        self._paused = bool(batches.paused_because(self._link.ledger.read(), self._link.name))
        if self._paused:
            return None
        if forks.marks(self._link.ledger.read(), self._link.name):
            self._marked = True
            return self._tell()
        was_marked, self._marked = self._marked, False
        if was_marked:
            self._landing.look_again()
        trouble: TransportError | None = None
        more = False
        try:
            if not (self._rings or was_marked):
                # What comes alone need not wait for the look, which takes a far mailbox several round trips.
                self._offering.hurry()
            listing = self._link.transport.list_names()
            try:
                more = self._landing.step(listing)
            except TransportError as error:
                # Without room here: what goes out, and what is known to have arrived there, makes some. And
                # where the line broke at a blob, what is small and acknowledgements must not wait for it.
                trouble = error
            if not more and trouble is None:
                # Everything that lies there has landed: what a restored neighbour asked can be told (C23).
                self._answers.step()
            is_busy = more or trouble is not None or self._landing.blobs.is_unfinished
            changed, waits = self._offering.step(is_busy=is_busy)
            self._raise(trouble or self._offering.trouble, changed=changed)
        except VolumeDamagedError:
            # Nothing may be written any more, not even that the link is down.
            raise
        except Exception as error:
            self._failed(error)
            raise
        self._health.note_up()
        self._down = False
        if more:
            return NOW
        if self._landing.blobs.is_unfinished or self._offering.is_unfinished:
            self._ring(changed=changed)
            return NOW
        delays = [self._link.limits.scan_seconds]
        if waits is not None:
            delays.append(waits)
        ring = self._ring(changed=changed)
        if ring is not None:
            delays.append(ring)
        return min(delays)

    def _tell(self) -> float:
        """Two speak under one name: nothing is taken or offered, and both copies read that here (C15)."""
        try:
            changed = self._offering.tell()
            self._raise(self._offering.trouble, changed=changed)
        except VolumeDamagedError:
            raise
        except Exception as error:
            self._failed(error)
            raise
        self._health.note_up()
        self._down = False
        if changed and self._rings:
            self._link.transport.ring()
        return self._link.limits.scan_seconds

    def _raise(self, trouble: TransportError | None, *, changed: bool) -> None:
        """What did not stop the round. Of what is new there the neighbour hears all the same (C7)."""
        if trouble is None:
            return
        self._ring(changed=changed)
        raise trouble

    def _failed(self, error: Exception) -> None:
        self._offering.forget()
        self._down = True
        # A ledger without room must not hide why the link is down; a damaged volume must be heard of.
        with suppress(NoSpaceError, LedgerBusyError, LedgerDamagedError):
            self._health.note_down(error)

    def _ring(self, *, changed: bool) -> float | None:
        """Ring after news; a ring that nobody heard is repeated while something waits there (C7).

        Without news a ring only shows whether the other side still listens: twice a minute is enough, since
        each costs it a look.
        """
        if not self._rings:
            return None
        now = self._link.clock.monotonic()
        if changed:
            self._unheard = 0
        elif not self._unheard and now < self._quiet_until:
            return None
        if self._link.transport.ring():
            self._unheard = 0
            self._quiet_until = now + LAST_REPEAT_SECONDS / 2
            return None
        if not changed and not self._unheard and not self._offering.has_open():
            return None
        self._unheard += 1
        return ring_again_in(self._unheard)

    def close(self) -> None:
        """Let go of the transport."""
        self._link.transport.close()
