"""What a neighbour can have written into the ledger at will: so often in an hour, across restarts too.

Leaves to others: what is done with the rest. Known limit: twice as often around the turn of an hour.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from exchanged.ledger import Connection, Transaction, batches

AN_HOUR: Final = 16


def so_far(connection: Connection, link: str, name: str, now: datetime) -> int:
    """How often ``name`` was written on that link in the hour of ``now``."""
    of, _space, count = (batches.recall(connection, link, name) or "").partition(" ")
    return int(count) if of == _hour(now) else 0


def is_within_hour(transaction: Transaction, link: str, name: str) -> bool:
    """One more of ``name`` on that link. False: it was ``AN_HOUR`` times already, and nothing is counted."""
    count = so_far(transaction.connection, link, name, transaction.now)
    if count >= AN_HOUR:
        return False
    batches.remember(transaction, link, name, f"{_hour(transaction.now)} {count + 1}")
    return True


def _hour(now: datetime) -> str:
    return now.isoformat(timespec="hours")
