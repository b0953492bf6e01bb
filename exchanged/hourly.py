"""What a neighbour can have written into the ledger at will: so often in an hour, across restarts too.

Leaves to others: what is done with the rest. Known limit: twice as often around the turn of an hour.
"""

from __future__ import annotations

from typing import Final

from exchanged.ledger import Transaction, batches

AN_HOUR: Final = 16


def is_within_hour(transaction: Transaction, link: str, name: str) -> bool:
    """One more of ``name`` on that link. False: it was ``AN_HOUR`` times already, and nothing is counted."""
    hour = transaction.now.isoformat(timespec="hours")
    of, _space, count = (batches.recall(transaction.connection, link, name) or "").partition(" ")
    so_far = int(count) if of == hour else 0
    if so_far >= AN_HOUR:
        return False
    batches.remember(transaction, link, name, f"{hour} {so_far + 1}")
    return True
