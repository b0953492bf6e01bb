"""What waits on a link as it was read before, and is written by later: the very row, or nothing.

A link reads what waits, hashes it for seconds, and then commits a batch. Meanwhile operators cancel, receipts
end packets, and others queue. Guarantees: what was read is withdrawn or taken into a batch only while that
same row stands for that same item on that link, and is in no batch; a number alone would not say so.

Left to others: that a number is never used again (``schema_outgoing``).
"""

from __future__ import annotations

import sqlite3
from typing import Final

from exchanged.errors import StaleStateError
from exchanged.ledger.rows import OutgoingRow
from exchanged.ledger.transaction import Transaction

_THIS_ROW: Final = "id = ? AND link = ? AND kind = ? AND reference = ? AND batch IS NULL"


def still_due(connection: sqlite3.Connection, link: str, row: OutgoingRow) -> bool:
    """It waits still, and is not on hold."""
    found = connection.execute(
        f"SELECT 1 FROM outgoing WHERE {_THIS_ROW} AND held = 0",  # noqa: S608 - ours
        _values(link, row),
    ).fetchone()
    return found is not None


def withdraw(transaction: Transaction, link: str, row: OutgoingRow) -> bool:
    """Take it back. False when it is in a batch or gone; what was queued in its place since then stays."""
    statement = f"DELETE FROM outgoing WHERE {_THIS_ROW}"  # noqa: S608 - ours
    return transaction.execute(statement, *_values(link, row)).rowcount == 1


def take(transaction: Transaction, link: str, row: OutgoingRow, batch: int) -> None:
    """It is in ``batch`` from now on. Raises StaleStateError when it waits no more."""
    statement = f"UPDATE outgoing SET batch = ? WHERE {_THIS_ROW}"  # noqa: S608 - ours
    if transaction.execute(statement, batch, *_values(link, row)).rowcount != 1:
        raise StaleStateError(f"{row.kind.value} {row.reference} waits on {link} no more")


def _values(link: str, row: OutgoingRow) -> tuple[object, ...]:
    return row.id, link, row.kind.value, row.reference
