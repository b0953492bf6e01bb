"""Which spool files exist and how many things in each are still needed."""

from __future__ import annotations

import sqlite3

from exchanged.ledger.transaction import Transaction


def adopt(transaction: Transaction, name: str, size: int, needed: int) -> int:
    """A durable file becomes part of the spool; ``needed`` things lie in it."""
    cursor = transaction.execute(
        "INSERT INTO spool (name, size, needed) VALUES (?, ?, ?)", name, size, needed
    )
    number = cursor.lastrowid
    assert number is not None  # noqa: S101 - an INSERT always sets it
    return number


def release(transaction: Transaction, number: int) -> None:
    """One thing in the file is no longer needed."""
    transaction.execute("UPDATE spool SET needed = needed - 1 WHERE id = ? AND needed > 0", number)
    transaction.wake("sweep")


def unneeded(connection: sqlite3.Connection, limit: int = 256) -> tuple[tuple[int, str], ...]:
    """Files in which nothing is needed: number and name."""
    rows = connection.execute("SELECT id, name FROM spool WHERE needed = 0 LIMIT ?", (limit,))
    return tuple((row["id"], row["name"]) for row in rows)


def forget(transaction: Transaction, number: int) -> str | None:
    """Take an unneeded file off the books; its name comes back when it may be unlinked."""
    row = transaction.execute("SELECT name FROM spool WHERE id = ? AND needed = 0", number).fetchone()
    if row is None:
        return None
    transaction.execute("DELETE FROM spool WHERE id = ?", number)
    return str(row["name"])


def names(connection: sqlite3.Connection) -> dict[str, int]:
    """Every spool file on the books with its size in bytes."""
    return {row["name"]: row["size"] for row in connection.execute("SELECT name, size FROM spool")}
