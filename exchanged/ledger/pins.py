"""Which packet a drop was that a restored ledger forgot and whose original goes back into the outbox (C23).

Guarantees: a pin is for these files alone, by their lasting fingerprint; another drop of the same name has
none. It is there before the original moves, and stays until the drop is disposed of.
"""

from __future__ import annotations

import sqlite3

from exchanged.ledger.transaction import Transaction

# The column of the key is called ``name``: it is older than the rule that a name alone says nothing.


def pin(transaction: Transaction, files: str, packet_id: str, attempt: int) -> None:
    """The drop that is these ``files`` shall be that packet again, in that attempt.

    Where nobody knows which packet it was the id is empty and the attempt 0: then the pin says only that
    nobody dropped it anew.
    """
    key = files.encode("ascii")
    transaction.execute("INSERT OR REPLACE INTO restore_pinned VALUES (?, ?, ?)", key, packet_id, attempt)


def pinned(connection: sqlite3.Connection, files: str) -> tuple[str, int] | None:
    """Packet id and attempt of a drop that was forgotten; None for any other drop."""
    key = files.encode("ascii")
    row = connection.execute("SELECT * FROM restore_pinned WHERE name = ?", (key,)).fetchone()
    return None if row is None else (row["packet_id"], row["attempt"])


def unpin(transaction: Transaction, files: str) -> None:
    """The drop is disposed of, or stays in sent/."""
    transaction.execute("DELETE FROM restore_pinned WHERE name = ?", files.encode("ascii"))
