"""A doubt about the wall clock outlives a restart: the ledger keeps when the clock was sound last (C18).

Guarantees: a node that starts with its clock set years ahead or back finds out from its own books, before it
heard any neighbour, and whoever writes the books while the daemon is down does not vouch for such a clock.
An operator's word that the clock is right is kept until the running node has heard it; at a start it counts
as the last sound time. Leaves to others: what is doubtful (``exchanged.soundness``). Known limit: where a
clock is set under a running node and that is killed within the same scan of the links, only the last event
tells.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from datetime import datetime
from typing import Final

from exchanged.errors import NoSpaceError
from exchanged.ledger.times import moment, stamp
from exchanged.ledger.transaction import Transaction
from exchanged.ledger.writer import Ledger
from exchanged.soundness import ClockGuard, SoundClock

SOUND_UNTIL: Final = "clock-sound-until"
"""In the memory of the node: since when the clock is doubtful, empty or not there while it is not."""
_WORD: Final = "clock-said-right-at"


def last_sound(connection: sqlite3.Connection) -> datetime | None:
    """The last time that the books vouch for: where a doubt began, else the last event. None: no event."""
    if kept := _kept(connection):
        return moment(kept)
    row = connection.execute("SELECT at FROM event ORDER BY id DESC LIMIT 1").fetchone()
    return None if row is None else moment(row["at"])


def go_by_books(clock: SoundClock, ledger: Ledger, skew_seconds: float) -> ClockGuard:
    """Guard ``clock`` by what the books vouch for, before anything else is written into them.

    What the books vouch for stays as it is until the doubt ends, whatever is written meanwhile.
    """
    guard = clock.guard = ClockGuard(clock.machine, skew_seconds, last_sound(ledger.read()))
    with suppress(NoSpaceError):
        keep_doubt(ledger, guard.doubtful_since())
    return guard


def keep_last_sound(transaction: Transaction) -> None:
    """The next start judges its clock by the books as they are now: what follows is stamped unjudged."""
    if (known := last_sound(transaction.connection)) is not None:
        transaction.remember(SOUND_UNTIL, stamp(known))


def keep_doubt(ledger: Ledger, since: datetime | None) -> None:
    """Write down since when the clock is doubtful (None: it is not), if that is news."""
    said = "" if since is None else stamp(since)
    if said != _kept(ledger.read()):
        ledger.write(lambda transaction: transaction.remember(SOUND_UNTIL, said))


def give_word(transaction: Transaction, at: datetime) -> None:
    """An operator says that the clock of the machine, which shows ``at``, is right."""
    transaction.remember(SOUND_UNTIL, stamp(at))
    transaction.remember(_WORD, stamp(at))
    transaction.event("clock-confirmed", detail={"shows": stamp(at)})


def word(connection: sqlite3.Connection) -> datetime | None:
    """What the clock showed when an operator said that it is right, if nobody has heard that yet."""
    row = connection.execute("SELECT value FROM node WHERE name = ?", (_WORD,)).fetchone()
    return moment(row["value"]) if row is not None and row["value"] else None


def forget_word(ledger: Ledger) -> None:
    """It was heard."""
    ledger.write(lambda transaction: transaction.remember(_WORD, ""))


def doubtful_since(connection: sqlite3.Connection) -> datetime | None:
    """Since when a running node doubts its clock, as the last look at a link wrote it down."""
    kept = _kept(connection)
    return moment(kept) if kept and word(connection) is None else None


def _kept(connection: sqlite3.Connection) -> str:
    row = connection.execute("SELECT value FROM node WHERE name = ?", (SOUND_UNTIL,)).fetchone()
    return "" if row is None else str(row["value"])
