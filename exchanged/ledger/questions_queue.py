"""Questions of the command line about what waits: for whom, how long, why.

Read-only, like ``questions``. Four kinds of things wait: packets for a recipient, items that a link brought
and that are not judged, drops that are not taken, batches that the neighbour has not acknowledged. All
are found through partial indexes, so the answer costs what waits and not what ever passed.

Age counts from when a thing came to this node, not from its last change of state.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import chain
from typing import Final

from exchanged.ledger.questions import missing_blobs
from exchanged.ledger.questions_list import OPEN_SQL
from exchanged.ledger.times import moment, stamp
from packet_spec.names import escape_for_display

AGE_LIMITS: Final = (timedelta(minutes=1), timedelta(minutes=5), timedelta(hours=1), timedelta(days=1))
"""Upper ends of all columns of a summary but the last, which is open."""

# Word for word as in the partial indexes drop_live, arrival_due and arrival_waiting, batch_out_open.
_LIVE_DROPS: Final = "original IN ('outbox', 'kept')"
_UNTAKEN: Final = "state IN ('seen', 'incomplete', 'held')"
_UNACKNOWLEDGED: Final = "state <> 'closed' AND state IN ('committed', 'needing')"

OTHER_STATES: Final = frozenset(
    {"landed", "needing", "held", "quarantined", "seen", "incomplete", "committed"}
)
"""States in which arrivals, drops and batches wait; the states of open packets are destination states."""


class WaitingKind(StrEnum):
    """What kind of thing waits."""

    PACKET = "packet"
    ARRIVAL = "arrival"
    DROP = "drop"
    BATCH = "batch"


@dataclass(frozen=True, slots=True)
class AgedCount:
    """How many wait under one name, by age; ``counts`` has one more member than AGE_LIMITS."""

    name: str
    counts: tuple[int, ...]
    oldest_at: datetime

    @property
    def total(self) -> int:
        """All ages together."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class QueueSummary:
    """Open packets by recipient; everything else that waits by ``kind state`` or, for batches, by link."""

    recipients: tuple[AgedCount, ...]
    others: tuple[AgedCount, ...]


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """One thing that waits. ``subject`` is a packet (SENDER/ID), the name of a drop as shown, or a batch.

    ``item`` is what the thing itself is: packet, receipt, hop, drop or batch. ``reason`` says why it waits,
    where something does; ``missing`` are blobs, or files that a drop lists.
    """

    kind: WaitingKind
    item: str
    came_at: datetime
    since: datetime
    state: str
    subject: str
    recipient: str = ""
    link: str = ""
    reason: str = ""
    missing: tuple[str, ...] = ()
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """What a queue is narrowed down to; empty means all. A recipient leaves packets only."""

    recipient: str = ""
    state: str = ""
    link: str = ""
    limit: int = 50


def summary(connection: sqlite3.Connection, now: datetime) -> QueueSummary:
    """How much waits at ``now``, by age."""
    recipients = _aged(
        connection,
        now,
        "destination.recipient",
        "packet.landed_at",
        f"destination JOIN packet ON packet.id = destination.packet WHERE destination.state IN {OPEN_SQL}",
    )
    others = chain(
        _aged(connection, now, "'arrival ' || state", "landed_at", "arrival WHERE state = 'landed'"),
        _aged(
            connection, now, "'arrival ' || state", "landed_at",
            "arrival WHERE state IN ('needing', 'held', 'quarantined')",
        ),
        _aged(
            connection, now, "'drop ' || state", "seen_at", f'"drop" WHERE {_LIVE_DROPS} AND {_UNTAKEN}',
        ),
        _aged(connection, now, "'batch ' || link", "created_at", f"batch_out WHERE {_UNACKNOWLEDGED}"),
    )  # fmt: skip
    return QueueSummary(tuple(recipients), tuple(others))


def count_open(connection: sqlite3.Connection, limit: int) -> int:
    """How many pairs of packet and recipient the exchange still owes something, counted up to ``limit``."""
    found = connection.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM destination WHERE state IN {OPEN_SQL} LIMIT ?)",  # noqa: S608
        (limit,),
    )
    return int(found.fetchone()[0])


def waiting(connection: sqlite3.Connection, wanted: QueueFilter) -> tuple[QueueEntry, ...]:
    """What waits and passes ``wanted``, oldest first."""
    sources: list[Iterator[QueueEntry]] = [_packets(connection, wanted)]
    if not wanted.recipient:
        sources += [_arrivals(connection, wanted), _batches(connection, wanted)]
        if not wanted.link:
            sources.append(_drops(connection, wanted))
    found = sorted(chain(*sources), key=lambda entry: entry.came_at)
    return tuple(found[: wanted.limit])


def _aged(
    connection: sqlite3.Connection, now: datetime, name: str, came_at: str, tables: str
) -> Iterator[AgedCount]:
    """Counts per age of the rows of ``tables`` (our own text, never an operator's)."""
    edges = [stamp(now - limit) for limit in AGE_LIMITS]
    younger = ", ".join(f"sum({came_at} > ?)" for _ in edges)
    rows = connection.execute(
        f"SELECT {name} AS name, {younger}, count(*), min({came_at}) FROM {tables} GROUP BY 1 ORDER BY 1",  # noqa: S608
        edges,
    )
    for row in rows:
        yield AgedCount(row[0], _differences([*row[1:-1]]), moment(row[-1]))


def _differences(cumulative: Sequence[int]) -> tuple[int, ...]:
    return tuple(now - before for before, now in zip([0, *cumulative], cumulative, strict=False))


def _narrowed(wanted: QueueFilter, **columns: str) -> tuple[str, list[object]]:
    """The conditions of ``wanted`` over ``columns`` (our names), and their values."""
    pairs = [(column, getattr(wanted, name)) for name, column in columns.items() if getattr(wanted, name)]
    return "".join(f" AND {column} = ?" for column, _ in pairs), [value for _, value in pairs]


def _packets(connection: sqlite3.Connection, wanted: QueueFilter) -> Iterator[QueueEntry]:
    narrowed, values = _narrowed(
        wanted, recipient="destination.recipient", state="destination.state", link="destination.link"
    )
    tables = "destination JOIN packet ON packet.id = destination.packet"
    # The plus keeps SQLite from walking every packet there ever was in order of its number.
    rows = connection.execute(
        f"SELECT destination.*, packet.sender, packet.packet_id, packet.landed_at FROM {tables}"  # noqa: S608
        f" WHERE destination.state IN {OPEN_SQL}{narrowed} ORDER BY +destination.packet LIMIT ?",
        (*values, wanted.limit),
    )
    for row in rows:
        yield QueueEntry(
            kind=WaitingKind.PACKET,
            item="packet",
            came_at=moment(row["landed_at"]),
            since=moment(row["since"]),
            state=row["state"],
            subject=f"{row['sender']}/{row['packet_id']}",
            recipient=row["recipient"],
            link=row["link"],
        )


def _arrivals(connection: sqlite3.Connection, wanted: QueueFilter) -> Iterator[QueueEntry]:
    narrowed, values = _narrowed(wanted, state="state", link="link")
    for states in ("state = 'landed'", "state IN ('needing', 'held', 'quarantined')"):
        rows = connection.execute(
            f"SELECT * FROM arrival WHERE {states}{narrowed} ORDER BY id LIMIT ?",  # noqa: S608
            (*values, wanted.limit),
        ).fetchall()
        for row in rows:
            yield QueueEntry(
                kind=WaitingKind.ARRIVAL,
                item=row["kind"],
                came_at=moment(row["landed_at"]),
                since=moment(row["since"]),
                state=row["state"],
                subject=f"{row['sender']}/{row['packet_id']}",
                link=row["link"],
                reason=row["reason"],
                missing=missing_blobs(connection, row["id"]),
                retry_at=moment(row["retry_at"]) if row["retry_at"] else None,
            )


def _drops(connection: sqlite3.Connection, wanted: QueueFilter) -> Iterator[QueueEntry]:
    narrowed, values = _narrowed(wanted, state="state")
    rows = connection.execute(
        f'SELECT * FROM "drop" WHERE {_LIVE_DROPS} AND {_UNTAKEN}{narrowed} ORDER BY id LIMIT ?',  # noqa: S608
        (*values, wanted.limit),
    )
    for row in rows:
        yield QueueEntry(
            kind=WaitingKind.DROP,
            item="drop",
            came_at=moment(row["seen_at"]),
            since=moment(row["since"]),
            state=row["state"],
            subject=escape_for_display(bytes(row["name"])),
            reason=row["reason"],
            missing=tuple(json.loads(row["missing"])),
            retry_at=moment(row["retry_at"]) if row["retry_at"] else None,
        )


def _batches(connection: sqlite3.Connection, wanted: QueueFilter) -> Iterator[QueueEntry]:
    narrowed, values = _narrowed(wanted, state="state", link="link")
    rows = connection.execute(
        f"SELECT link, name, state, created_at FROM batch_out WHERE {_UNACKNOWLEDGED}{narrowed}"  # noqa: S608
        " ORDER BY id LIMIT ?",
        (*values, wanted.limit),
    )
    for row in rows:
        yield QueueEntry(
            kind=WaitingKind.BATCH,
            item="batch",
            came_at=moment(row["created_at"]),
            since=moment(row["created_at"]),
            state=row["state"],
            subject=row["name"],
            link=row["link"],
            reason="not-acknowledged",
        )
