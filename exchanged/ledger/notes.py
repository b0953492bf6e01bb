"""Notes between nodes, kept as the exact bytes that were signed until nobody can ask for them again."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from exchanged.ledger.times import stamp
from exchanged.ledger.transaction import Transaction
from packet_spec.identity import sha256_hex
from packet_spec.note import Note


def record(transaction: Transaction, note: Note, document: bytes, *, is_brief: bool = False) -> int:
    """Keep a note that is not known yet; a brief one until it was handed over. Its row number."""
    cursor = transaction.execute(
        "INSERT INTO note (note_id, from_node, to_node, kind, at, recorded_at, document, digest, brief)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        note.note_id, note.from_node, note.to_node, note.kind, stamp(note.at), transaction.stamp, document,
        sha256_hex(document), int(is_brief),
    )  # fmt: skip
    number = cursor.lastrowid
    assert number is not None  # noqa: S101 - an INSERT always sets it
    return number


def is_known(connection: sqlite3.Connection, document: bytes) -> bool:
    """These very bytes were recorded before."""
    row = connection.execute("SELECT 1 FROM note WHERE digest = ?", (sha256_hex(document),)).fetchone()
    return row is not None


def kind_of(connection: sqlite3.Connection, number: int) -> str:
    """The kind of a note; empty when it is gone."""
    row = connection.execute("SELECT kind FROM note WHERE id = ?", (number,)).fetchone()
    return "" if row is None else str(row["kind"])


def under_way(connection: sqlite3.Connection, kind: str) -> dict[str, int]:
    """How many notes of that kind wait here, or lie in a mailbox, for each node that they are for."""
    rows = connection.execute(
        "SELECT note.to_node, count(*) AS n FROM outgoing CROSS JOIN note ON note.id = outgoing.reference"
        " WHERE outgoing.kind = 'note' AND note.kind = ? GROUP BY note.to_node",
        (kind,),
    )
    return {row["to_node"]: row["n"] for row in rows}


def forget_brief(transaction: Transaction, batch: int) -> None:
    """The batch is being settled: the brief notes that wait for that are not needed any more."""
    transaction.execute(
        "DELETE FROM note WHERE brief = 1 AND id IN"
        " (SELECT reference FROM outgoing WHERE batch = ? AND kind = 'note')",
        batch,
    )


def has_old(connection: sqlite3.Connection, before: datetime) -> bool:
    """Some note is older than ``before`` and under way no longer."""
    return bool(_old(connection, before, 1))


def forget_old(transaction: Transaction, before: datetime, limit: int) -> int:
    """Remove at most ``limit`` notes that are older than ``before`` and under way no longer. How many."""
    numbers = _old(transaction.connection, before, limit)
    for number in numbers:
        transaction.execute("DELETE FROM outgoing WHERE kind = 'note' AND reference = ?", number)
        transaction.execute("DELETE FROM note WHERE id = ?", number)
    return len(numbers)


def _old(connection: sqlite3.Connection, before: datetime, limit: int) -> tuple[int, ...]:
    rows = connection.execute(
        "SELECT id FROM note WHERE recorded_at < ? AND NOT EXISTS"
        " (SELECT 1 FROM outgoing WHERE outgoing.reference = note.id AND outgoing.kind = 'note'"
        " AND (outgoing.batch IS NULL OR (SELECT state FROM batch_out WHERE batch_out.id = outgoing.batch)"
        " NOT IN ('settled', 'closed'))) ORDER BY recorded_at LIMIT ?",
        (stamp(before), limit),
    )
    return tuple(row["id"] for row in rows)
