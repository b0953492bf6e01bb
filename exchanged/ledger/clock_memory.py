"""A doubt about the wall clock outlives a restart: the ledger keeps when the clock was sound last (C18).

Guarantees: a node that starts with its clock set years ahead or back finds out from its own books, before it
heard any neighbour. Leaves to others: what is doubtful (``exchanged.soundness``). Known limit: where a clock
is set and the process killed within the same scan of the links, only the last event tells.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from exchanged.ledger.times import moment, stamp
from exchanged.ledger.writer import Ledger

_NAME: Final = "clock-sound-until"


def last_sound(connection: sqlite3.Connection) -> datetime | None:
    """The last time that the books vouch for: where a doubt began, else the last event. None: no event."""
    if kept := _kept(connection):
        return moment(kept)
    row = connection.execute("SELECT at FROM event ORDER BY id DESC LIMIT 1").fetchone()
    return None if row is None else moment(row["at"])


def keep_doubt(ledger: Ledger, since: datetime | None) -> None:
    """Write down since when the clock is doubtful (None: it is not), if that is news."""
    said = "" if since is None else stamp(since)
    if said != _kept(ledger.read()):
        ledger.write(lambda transaction: transaction.remember(_NAME, said))


def doubted_since(memory: Mapping[str, str]) -> datetime | None:
    """When the clock was sound last, by what the ledger remembers of its node; None: nobody doubts it."""
    said = memory.get(_NAME)
    return moment(said) if said else None


def _kept(connection: sqlite3.Connection) -> str:
    row = connection.execute("SELECT value FROM node WHERE name = ?", (_NAME,)).fetchone()
    return "" if row is None else str(row["value"])
