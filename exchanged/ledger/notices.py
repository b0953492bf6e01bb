"""Notices: one row per matter, kept for ever; and the questions that find matters, flat in what ever passed.

A matter is (reference, subject) and at most one notice of it is open. The row holds the exact bytes of both
files in their newest form and one bit per place that lacks them: the intended effect of the notice.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from exchanged.ledger.questions_list import OPEN_SQL
from exchanged.ledger.times import moment, stamp
from exchanged.ledger.transaction import Transaction
from packet_spec.identity import PacketKey
from packet_spec.limits import NOTICE_PACKETS

# Word for word as in the partial indexes, or SQLite does not use them.
_WAITING: Final = "state IN ('needing', 'held', 'quarantined')"
_LIVE_DROPS: Final = "original IN ('outbox', 'kept')"
_UNSIGNED: Final = "destination.state IN ('delivered', 'collected')"
_EXPIRED: Final = "destination.state IN ('expired')"


@dataclass(frozen=True, slots=True)
class Group:
    """Things of one kind that are late, held or expired: how many, since when, and the first packets."""

    name: str
    count: int
    oldest_at: datetime
    packets: tuple[PacketKey, ...]


@dataclass(frozen=True, slots=True)
class NoticeRow:
    """One notice. ``detail`` is what it was made from; ``document`` and ``plain`` are its two files."""

    id: int
    reference: str
    subject: str
    level: str
    raised_at: datetime
    updated_at: datetime
    over_at: datetime | None
    detail: str
    name: str
    document: bytes
    plain: bytes
    unwritten: int


def open_notices(connection: sqlite3.Connection) -> tuple[NoticeRow, ...]:
    """Every notice that is not over, oldest first."""
    # The plus keeps SQLite from walking every notice there ever was.
    rows = connection.execute("SELECT * FROM notice WHERE over_at IS NULL ORDER BY +id")
    return tuple(_row(row) for row in rows)


def unwritten(connection: sqlite3.Connection, place: int, limit: int) -> tuple[NoticeRow, ...]:
    """Notices whose newest form the place of that bit lacks, oldest first."""
    rows = connection.execute(
        "SELECT * FROM notice WHERE unwritten <> 0 AND unwritten & ? ORDER BY id LIMIT ?", (place, limit)
    )
    return tuple(_row(row) for row in rows)


def next_number(transaction: Transaction) -> int:
    """The number of the next notice."""
    return int(transaction.execute("SELECT coalesce(max(id), 0) + 1 AS n FROM notice").fetchone()["n"])


def put(transaction: Transaction, row: NoticeRow) -> None:
    """A new notice, or the newer form of one; both are to be written to the places of ``row.unwritten``."""
    transaction.execute(
        "INSERT INTO notice (id, reference, subject, level, raised_at, updated_at, over_at, detail, name,"
        " document, plain, unwritten) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET level = excluded.level, updated_at = excluded.updated_at,"
        " over_at = excluded.over_at, detail = excluded.detail, document = excluded.document,"
        " plain = excluded.plain, unwritten = excluded.unwritten",
        row.id, row.reference, row.subject, row.level, stamp(row.raised_at), stamp(row.updated_at),
        stamp(row.over_at) if row.over_at else None, row.detail, row.name, row.document, row.plain,
        row.unwritten,
    )  # fmt: skip


def written(transaction: Transaction, rows: Sequence[NoticeRow], place: int) -> None:
    """These lie in that place now, unless a newer form came meanwhile."""
    for row in rows:
        transaction.execute(
            "UPDATE notice SET unwritten = unwritten & ~? WHERE id = ? AND updated_at = ?",
            place, row.id, stamp(row.updated_at),
        )  # fmt: skip


def removable(connection: sqlite3.Connection, before: datetime, limit: int) -> tuple[NoticeRow, ...]:
    """Notices that were over before that time, whose files lie wherever they were to be written."""
    rows = connection.execute(
        "SELECT * FROM notice WHERE kept <> 0 AND over_at IS NOT NULL AND over_at < ? AND unwritten = 0"
        " ORDER BY over_at LIMIT ?",
        (stamp(before), limit),
    )
    return tuple(_row(row) for row in rows)


def removed(transaction: Transaction, rows: Sequence[NoticeRow]) -> None:
    """Their files are gone; what they were about stays on the books."""
    for row in rows:
        transaction.execute("UPDATE notice SET kept = 0, document = x'', plain = x'' WHERE id = ?", row.id)


# --- what is late, held, expired ------------------------------------------------------------------


def not_accepted(connection: sqlite3.Connection, before: datetime) -> tuple[Group, ...]:
    """This node's own packets that were sealed before that time and are not accepted, by recipient."""
    where = (
        "destination.state IN ('queued', 'offered', 'handed-over')"
        " AND packet.own = 1 AND destination.came_at < ?"
    )
    return _destinations(connection, where, (stamp(before),), "destination.came_at")


def not_delivered(connection: sqlite3.Connection, before: datetime) -> tuple[Group, ...]:
    """Packets that came here before that time and are still open, by recipient."""
    where = f"destination.state IN {OPEN_SQL} AND destination.came_at < ?"
    return _destinations(connection, where, (stamp(before),), "destination.came_at")


def not_collected(
    connection: sqlite3.Connection, after: datetime, before: datetime, agency: str
) -> tuple[Group, ...]:
    """Delivered within that span and neither collected nor signed for, by recipient.

    Only what this node sent, and what lies in its own ``agency``'s inbox.
    """
    where = f"{_UNSIGNED} AND destination.state = 'delivered' AND {_BETWEEN}"
    values = (stamp(after), stamp(before), agency)
    return _destinations(connection, where, values, "destination.since", "destination_unsigned")


def not_signed(
    connection: sqlite3.Connection, after: datetime, before: datetime, agency: str
) -> tuple[Group, ...]:
    """Delivered or collected within that span and not signed for, by recipient; as ``not_collected``."""
    where = f"{_UNSIGNED} AND {_BETWEEN}"
    values = (stamp(after), stamp(before), agency)
    return _destinations(connection, where, values, "destination.since", "destination_unsigned")


_BETWEEN: Final = (
    "destination.since > ? AND destination.since < ? AND (packet.own = 1 OR destination.recipient = ?)"
)


def expired(connection: sqlite3.Connection, after: datetime) -> tuple[Group, ...]:
    """What expired after that time, by recipient."""
    where = f"{_EXPIRED} AND destination.since > ?"
    return _destinations(connection, where, (stamp(after),), "destination.since", "destination_expired")


def set_aside(connection: sqlite3.Connection, state: str, before: datetime) -> tuple[Group, ...]:
    """Items that links brought before that time and that are in ``state``, by reason."""
    where = f"{_WAITING} AND state = ? AND landed_at < ?"
    values = (state, stamp(before))
    groups = connection.execute(
        f"SELECT reason, count(*) AS n, min(landed_at) AS oldest FROM arrival WHERE {where}"  # noqa: S608
        " GROUP BY reason ORDER BY reason",
        values,
    ).fetchall()
    return tuple(
        Group(
            row["reason"] or state,
            row["n"],
            moment(row["oldest"]),
            tuple(
                PacketKey(each["sender"], each["packet_id"])
                for each in connection.execute(
                    f"SELECT sender, packet_id FROM arrival WHERE {where} AND reason = ?"  # noqa: S608
                    " ORDER BY id LIMIT ?",
                    (*values, row["reason"], NOTICE_PACKETS),
                )
            ),
        )
        for row in groups
    )


def held_drops(connection: sqlite3.Connection, before: datetime) -> tuple[Group, ...]:
    """Drops that were first seen before that time and are held, by reason. Their names may be case data."""
    rows = connection.execute(
        'SELECT reason, count(*) AS n, min(seen_at) AS oldest FROM "drop"'  # noqa: S608
        f" WHERE {_LIVE_DROPS} AND state = 'held' AND seen_at < ? GROUP BY reason ORDER BY reason",
        (stamp(before),),
    )
    return tuple(Group(row["reason"] or "held", row["n"], moment(row["oldest"]), ()) for row in rows)


def _destinations(
    connection: sqlite3.Connection, where: str, values: tuple[object, ...], at: str, index: str = ""
) -> tuple[Group, ...]:
    # Left alone, SQLite prefers an index by state, and walks all that ever stayed in it.
    indexed = f" INDEXED BY {index}" if index else ""
    tables = f"destination{indexed} JOIN packet ON packet.id = destination.packet"
    groups = connection.execute(
        f"SELECT destination.recipient, count(*) AS n, min({at}) AS oldest FROM {tables}"  # noqa: S608
        f" WHERE {where} GROUP BY 1 ORDER BY 1",
        values,
    ).fetchall()
    return tuple(
        Group(
            row["recipient"],
            row["n"],
            moment(row["oldest"]),
            tuple(
                PacketKey(each["sender"], each["packet_id"])
                for each in connection.execute(
                    # The plus keeps SQLite from walking every packet there ever was.
                    f"SELECT packet.sender, packet.packet_id FROM {tables}"  # noqa: S608
                    f" WHERE {where} AND destination.recipient = ? ORDER BY +{at} LIMIT ?",
                    (*values, row["recipient"], NOTICE_PACKETS),
                )
            ),
        )
        for row in groups
    )


def encode_detail(values: dict[str, str], count: int, packets: Sequence[PacketKey]) -> str:
    """What a notice is made from, as one comparable text."""
    shown = [str(key) for key in packets]
    return json.dumps({"values": values, "count": count, "packets": shown}, sort_keys=True)


def _row(row: sqlite3.Row) -> NoticeRow:
    return NoticeRow(
        id=row["id"],
        reference=row["reference"],
        subject=row["subject"],
        level=row["level"],
        raised_at=moment(row["raised_at"]),
        updated_at=moment(row["updated_at"]),
        over_at=moment(row["over_at"]) if row["over_at"] else None,
        detail=row["detail"],
        name=row["name"],
        document=bytes(row["document"]),
        plain=bytes(row["plain"]),
        unwritten=row["unwritten"],
    )
