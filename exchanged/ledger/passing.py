"""What only passed through is forgotten some time after it did: memory in between is bounded (C14).

Old is what ``keeping`` calls old, by both its witnesses. The newest packet stays, however old it is: the
number of a row that is gone would be given again, and what is still said of the old packet, a confirmed
last row above all, would be said of the new one. The chain of events stays.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

from exchanged.ledger import search
from exchanged.ledger.keeping import Old
from exchanged.ledger.times import stamp
from exchanged.ledger.transaction import Transaction

_PASSED: Final = (
    "packet.transit = 1 AND packet.state = 'done' AND packet.since < ? AND packet.id <= ?"
    " AND packet.id < (SELECT max(id) FROM packet)"
)

_IS_LATE: Final = (
    "NOT EXISTS (SELECT 1 FROM packet WHERE packet.packet_id = receipt.packet_id"
    " AND packet.sender = receipt.sender)"
    " AND NOT EXISTS (SELECT 1 FROM outgoing WHERE reference = receipt.id AND kind = 'receipt')"
)
_HOP_IS_LATE: Final = _IS_LATE.replace("receipt", "hop")


def has_passed(connection: sqlite3.Connection, than: Old) -> bool:
    """A packet that only passed through did so before that."""
    row = connection.execute(
        f"SELECT 1 FROM packet WHERE {_PASSED} LIMIT 1",  # noqa: S608 - our own words
        (stamp(than.before), than.last_packet),
    ).fetchone()
    return row is not None


def forget_passed(transaction: Transaction, than: Old, limit: int) -> int:
    """Forget packets that passed before that, with the statements about them. Returns how many went.

    A packet whose blobs are not collected yet, or of which something still waits, stays so long.
    """
    rows = transaction.execute(
        f"SELECT id, sender, packet_id FROM packet WHERE {_PASSED}"  # noqa: S608 - our own words
        " AND NOT EXISTS (SELECT 1 FROM blob_reference WHERE blob_reference.sender = packet.sender"
        " AND blob_reference.packet_id = packet.packet_id)"
        " AND NOT EXISTS (SELECT 1 FROM outgoing WHERE reference = packet.id AND kind = 'packet')"
        " AND NOT EXISTS (SELECT 1 FROM receipt JOIN outgoing ON outgoing.reference = receipt.id"
        " AND outgoing.kind = 'receipt' WHERE receipt.packet_id = packet.packet_id)"
        " AND NOT EXISTS (SELECT 1 FROM hop JOIN outgoing ON outgoing.reference = hop.id"
        " AND outgoing.kind = 'hop' WHERE hop.packet_id = packet.packet_id)"
        " AND NOT EXISTS (SELECT 1 FROM arrival WHERE arrival.packet_id = packet.packet_id) LIMIT ?",
        stamp(than.before), than.last_packet, limit,
    ).fetchall()  # fmt: skip
    for row in rows:
        for table in ("receipt", "hop"):
            transaction.execute(
                f"DELETE FROM {table} WHERE sender = ? AND packet_id = ?",  # noqa: S608 - our own names
                row["sender"], row["packet_id"],
            )  # fmt: skip
        transaction.execute("DELETE FROM destination WHERE packet = ?", row["id"])
        transaction.execute("DELETE FROM packet WHERE id = ?", row["id"])
        search.forget(transaction, row["id"], (search.Field.SENDER_REF, search.Field.CASE_NUMBER))
    return len(rows)


def late_receipts(connection: sqlite3.Connection, than: Old, limit: int) -> tuple[int, ...]:
    """At a bridge: rows of receipts that came after their packet was forgotten, before that.

    Never an ``accepted`` one: it may have come before its packet, which cannot go on without it.
    """
    rows = connection.execute(
        f"SELECT id FROM receipt WHERE recorded_at < ? AND kind <> 'accepted' AND {_IS_LATE} LIMIT ?",  # noqa: S608
        (stamp(than.before), limit),
    )
    return tuple(row["id"] for row in rows)


def late_hops(connection: sqlite3.Connection, than: Old, limit: int) -> tuple[int, ...]:
    """At a bridge: rows of hop notes whose packet was forgotten, and that say that it left before that.

    When they came is not kept. Reads every note: asked outside the writer, and ``forget_late_hops`` looks
    once more.
    """
    rows = connection.execute(
        f"SELECT id FROM hop WHERE left_at < ? AND {_HOP_IS_LATE} LIMIT ?",  # noqa: S608 - our own words
        (stamp(than.before), limit),
    )
    return tuple(row["id"] for row in rows)


def forget_late_hops(transaction: Transaction, hops: Iterable[int]) -> int:
    """Forget those of ``hops`` that were sent on. Returns how many went."""
    rows = [
        transaction.execute(f"DELETE FROM hop WHERE id = ? AND {_HOP_IS_LATE}", number)  # noqa: S608
        for number in hops
    ]
    return sum(cursor.rowcount for cursor in rows)


def forget_late(transaction: Transaction, receipts: Iterable[int]) -> int:
    """Forget those of ``receipts`` of which nothing waits. Returns how many went."""
    rows = [
        transaction.execute(f"DELETE FROM receipt WHERE id = ? AND {_IS_LATE}", number)  # noqa: S608
        for number in receipts
    ]
    return sum(cursor.rowcount for cursor in rows)
