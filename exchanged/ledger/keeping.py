"""What is kept after it became final, until when, and what may go (C10, C18, C23).

A time in the ledger was written by a clock that may have been wrong. So age has two witnesses: the recorded
time, and ``confirmed``, where about once a day a time that neighbours had stated too was noted with the last
rows that there were. What is called old here was recorded before a time, and was there when that time was
confirmed. Rows stay for ever; only files and spool bytes go. What lies in the agency's folders is marked 1;
2 while it is being removed, so that a crash resumes it; 0 when it is gone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from exchanged.ledger import spool
from exchanged.ledger.times import stamp
from exchanged.ledger.transaction import Transaction
from exchanged.ranges import SpoolRange

_CONFIRM_EVERY: Final = timedelta(days=1)
_LIES, _GOING, _GONE = 1, 2, 0


class Kind(StrEnum):
    """What lies in the agency's folders and is removed some time after it became final."""

    SENT = "sent"
    REFUSED = "refused"
    STATUS = "status"
    RECEIPTS = "receipts"


@dataclass(frozen=True, slots=True)
class Old:
    """Everything recorded before ``before`` that was there by then; see the module."""

    before: datetime
    last_drop: int
    last_packet: int
    last_kept: int


@dataclass(frozen=True, slots=True)
class KeptRow:
    """A drop, or for receipts a packet, whose files may go. ``since`` orders the rows of one kind."""

    id: int
    since: str
    is_going: bool


def confirm(transaction: Transaction, proven: datetime) -> None:
    """``proven`` is a time that neighbours confirmed: note it, unless one was noted within the day before."""
    transaction.execute(
        'INSERT OR IGNORE INTO confirmed SELECT ?, (SELECT coalesce(max(id), 0) FROM "drop"),'
        " (SELECT coalesce(max(id), 0) FROM packet), (SELECT coalesce(max(id), 0) FROM kept_bytes)"
        " WHERE NOT EXISTS (SELECT 1 FROM confirmed WHERE at > ? AND at <= ?)",
        stamp(proven), stamp(proven - _CONFIRM_EVERY), stamp(proven),
    )  # fmt: skip


def is_confirmed(connection: sqlite3.Connection, proven: datetime) -> bool:
    """A time within the day before ``proven`` is noted already."""
    row = connection.execute(
        "SELECT 1 FROM confirmed WHERE at > ? AND at <= ?", (stamp(proven - _CONFIRM_EVERY), stamp(proven))
    ).fetchone()
    return row is not None


def old(connection: sqlite3.Connection, before: datetime) -> Old:
    """What counts as older than ``before``; without a confirmed time as old as that, nothing does."""
    row = connection.execute(
        "SELECT * FROM confirmed WHERE at <= ? ORDER BY at DESC LIMIT 1", (stamp(before),)
    ).fetchone()
    if row is None:
        return Old(before, 0, 0, 0)
    return Old(before, row["last_drop"], row["last_packet"], row["last_kept"])


# --- files in the agency's folders ----------------------------------------------------------------

# Word for word as in the partial indexes.
_ORIGINALS: Final = "d.original_kept <> 0 AND d.original IN ('sent', 'refused')"
_STATUSES: Final = "d.status_kept <> 0 AND d.original NOT IN ('outbox', 'kept')"
_RECEIPTS: Final = "p.receipts_kept <> 0 AND p.own = 1 AND p.state = 'done'"
# A drop that became a packet waits for the packet: nothing of it goes before every destination is final.
_IS_FINAL: Final = (
    "d.id <= :last_drop AND (d.packet IS NULL OR (p.state <> 'active' AND p.since < :before"
    " AND p.id <= :last_packet))"
)
_DROPS: Final = '"drop" d LEFT JOIN packet p ON p.id = d.packet'
_STATUS_WAITS: Final = (
    "EXISTS (SELECT 1 FROM effect e WHERE e.kind = 'status'"
    " AND e.subject IN ('drop:' || d.id, 'packet:' || d.packet))"
)
_RECEIPT_WAITS: Final = (
    "EXISTS (SELECT 1 FROM receipt r WHERE r.packet_id = p.packet_id AND r.sender = p.sender"
    " AND (r.recorded_at >= :before OR EXISTS (SELECT 1 FROM effect e WHERE e.kind = 'receipt-file'"
    " AND e.subject = CAST(r.id AS TEXT))))"
)
_QUESTIONS: Final = {
    Kind.SENT: ("d", f"{_DROPS} WHERE {_ORIGINALS} AND d.original = 'sent'", "d.original_kept", _IS_FINAL),
    Kind.REFUSED: (
        "d", f"{_DROPS} WHERE {_ORIGINALS} AND d.original = 'refused'", "d.original_kept", _IS_FINAL,
    ),
    Kind.STATUS: (
        "d", f"{_DROPS} WHERE {_STATUSES}", "d.status_kept", f"{_IS_FINAL} AND NOT {_STATUS_WAITS}",
    ),
    Kind.RECEIPTS: (
        "p",
        f"packet p WHERE {_RECEIPTS}",
        "p.receipts_kept",
        f"p.id <= :last_packet AND NOT {_RECEIPT_WAITS}",
    ),
}  # fmt: skip
_MARKS: Final = {
    Kind.SENT: 'UPDATE "drop" SET original_kept = ? WHERE id = ? AND original_kept = ?',
    Kind.REFUSED: 'UPDATE "drop" SET original_kept = ? WHERE id = ? AND original_kept = ?',
    Kind.STATUS: 'UPDATE "drop" SET status_kept = ? WHERE id = ? AND status_kept = ?',
    Kind.RECEIPTS: "UPDATE packet SET receipts_kept = ? WHERE id = ? AND receipts_kept = ?",
}


def going(connection: sqlite3.Connection, kind: Kind, limit: int) -> tuple[KeptRow, ...]:
    """What was being removed when the process ended, or could not be removed."""
    table, tables, mark, _ = _QUESTIONS[kind]
    rows = connection.execute(
        f"SELECT {table}.id, {table}.since FROM {tables} AND {mark} = 2 ORDER BY {table}.since LIMIT ?",  # noqa: S608
        (limit,),
    )
    return tuple(KeptRow(row["id"], row["since"], is_going=True) for row in rows)


def removable(
    connection: sqlite3.Connection, kind: Kind, than: Old, after: tuple[str, int], limit: int
) -> tuple[KeptRow, ...]:
    """What is final and older than that, the oldest first, behind the row ``after`` (since, id)."""
    table, tables, mark, is_final = _QUESTIONS[kind]
    rows = connection.execute(
        f"SELECT {table}.id, {table}.since FROM {tables} AND {mark} = 1 AND {table}.since < :before"  # noqa: S608
        f" AND ({table}.since, {table}.id) > (:since, :id) AND {is_final}"
        f" ORDER BY {table}.since, {table}.id LIMIT :limit",
        {
            "before": stamp(than.before), "last_drop": than.last_drop, "last_packet": than.last_packet,
            "since": after[0], "id": after[1], "limit": limit,
        },
    )  # fmt: skip
    return tuple(KeptRow(row["id"], row["since"], is_going=False) for row in rows)


def begin(transaction: Transaction, kind: Kind, numbers: Iterable[int]) -> None:
    """These are going to be removed now: the ledger says so before the first byte goes."""
    for number in numbers:
        transaction.execute(_MARKS[kind], _GOING, number, _LIES)


def end(transaction: Transaction, kind: Kind, numbers: Iterable[int]) -> None:
    """Nothing of ours lies there any more. What was written anew meanwhile stays on the books."""
    for number in numbers:
        transaction.execute(_MARKS[kind], _GONE, number, _GOING)


def lies_again(transaction: Transaction, kind: Kind, number: int) -> None:
    """A file was written once more, because something was told late."""
    for before in (_GONE, _GOING):
        transaction.execute(_MARKS[kind], _LIES, number, before)


# --- sealed bytes ---------------------------------------------------------------------------------


def keep_bytes(transaction: Transaction, packet: int, attempt: int, where: SpoolRange) -> None:
    """The packet is final: its bytes stay in their spool file until ``release_bytes``."""
    transaction.execute(
        "INSERT INTO kept_bytes (packet, attempt, spool, start, length, since) VALUES (?, ?, ?, ?, ?, ?)",
        packet, attempt, where.spool, where.start, where.length, transaction.stamp,
    )  # fmt: skip


def kept_bytes(connection: sqlite3.Connection, packet: int, attempt: int) -> SpoolRange | None:
    """Where the sealed bytes of a finished packet still are, for a neighbour that was restored (C23)."""
    row = connection.execute(
        "SELECT kept_bytes.*, spool.name, CASE WHEN packet.attempt = kept_bytes.attempt"
        " THEN packet.bytes_digest ELSE '' END AS bytes_digest FROM kept_bytes"
        " JOIN spool ON spool.id = kept_bytes.spool JOIN packet ON packet.id = kept_bytes.packet"
        " WHERE kept_bytes.packet = ? AND kept_bytes.attempt = ?",
        (packet, attempt),
    ).fetchone()
    if row is None:
        return None
    return SpoolRange(row["spool"], row["name"], row["start"], row["length"], row["bytes_digest"])


def has_old_bytes(connection: sqlite3.Connection, than: Old) -> bool:
    """Sealed bytes older than that are still kept."""
    row = connection.execute(
        "SELECT 1 FROM kept_bytes WHERE since < ? AND id <= ? LIMIT 1", (stamp(than.before), than.last_kept)
    ).fetchone()
    return row is not None


def release_bytes(transaction: Transaction, than: Old, limit: int) -> int:
    """Let go of sealed bytes that are older than that. How many."""
    rows = transaction.execute(
        "SELECT id, spool FROM kept_bytes WHERE since < ? AND id <= ? ORDER BY since LIMIT ?",
        stamp(than.before), than.last_kept, limit,
    ).fetchall()  # fmt: skip
    for row in rows:
        transaction.execute("DELETE FROM kept_bytes WHERE id = ?", row["id"])
        spool.release(transaction, row["spool"])
    return len(rows)
