"""Questions of the command line about what waits: for whom, how long, why.

Read-only, like ``questions``. Four kinds of things wait: packets for a recipient, items that a link brought
and that are not judged, drops that are not taken, batches that the neighbour has not acknowledged. Lists
are read from indexes that hold them in order, so that they cost what is shown; a summary costs one count
of what waits.

Age counts from when a thing came to this node, not from its last change of state.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import chain, pairwise
from typing import Final

from exchanged.ledger.questions_list import DELIVERY_REASON, OPEN_IN_ORDER, OPEN_SQL
from exchanged.ledger.snapshot import snapshot
from exchanged.ledger.times import moment, stamp
from exchanged.states import DestinationState
from packet_spec.names import escape_for_display

AGE_LIMITS: Final = (timedelta(minutes=1), timedelta(minutes=5), timedelta(hours=1), timedelta(days=1))
"""Upper ends of all columns of a summary but the last, which is open."""

# Word for word as in the partial indexes drop_waiting and batch_out_open.
_UNTAKEN: Final = "original IN ('outbox', 'kept') AND state IN ('seen', 'incomplete', 'held')"
_UNACKNOWLEDGED: Final = "state <> 'closed' AND state IN ('committed', 'needing')"
_WAITING_ARRIVALS: Final = ("landed", "needing", "held", "quarantined")
_WAITING_DROPS: Final = ("seen", "incomplete", "held")

# When a thing came, and which things: what _aged counts.
_OF_RECIPIENT: Final = ("came_at", "destination WHERE recipient = ? AND state = ?")
_OF_ARRIVALS: Final = ("landed_at", "arrival WHERE state = ?")
_OF_DROPS: Final = ("seen_at", f'"drop" WHERE {_UNTAKEN} AND state = ?')
_OF_BATCHES: Final = ("created_at", f"batch_out WHERE {_UNACKNOWLEDGED} AND link = ?")
# After every time stamp.
_NEVER: Final = "~"

_HERE: Final = frozenset({DestinationState.ARRIVED, DestinationState.DELIVERING})

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
    where something does, and ``detail`` what the reason leaves open; ``missing`` are blobs, or files that a
    drop lists.
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
    detail: str = ""
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
    """How much waits at ``now``, by age. Every row is counted once, in an index of just what is asked."""
    with snapshot(connection):
        return _summary(connection, now)


def _summary(connection: sqlite3.Connection, now: datetime) -> QueueSummary:
    found = {
        recipient: [
            _aged(connection, now, _OF_RECIPIENT, (recipient, state.value)) for state in OPEN_IN_ORDER
        ]
        for recipient in _recipients(connection)
    }
    recipients = (_together(name, counted) for name, counted in found.items())
    others = chain(
        (
            _named(f"arrival {state}", _aged(connection, now, _OF_ARRIVALS, (state,)))
            for state in _WAITING_ARRIVALS
        ),
        (_named(f"drop {state}", _aged(connection, now, _OF_DROPS, (state,))) for state in _WAITING_DROPS),
        (
            _named(f"batch {link}", _aged(connection, now, _OF_BATCHES, (link,)))
            for link in _links_with_batches(connection)
        ),
    )
    return QueueSummary(tuple(filter(None, recipients)), tuple(filter(None, others)))


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
    with snapshot(connection):
        found = sorted(chain(*sources), key=lambda entry: entry.came_at)
    return tuple(found[: wanted.limit])


def _recipients(connection: sqlite3.Connection) -> Iterator[str]:
    """Every recipient that any packet ever had, in order: one step in the index for each."""
    last = ""
    while True:
        row = connection.execute(
            "SELECT min(recipient) AS next FROM destination WHERE recipient > ?", (last,)
        ).fetchone()
        if row["next"] is None:
            return
        last = row["next"]
        yield last


def _links_with_batches(connection: sqlite3.Connection) -> tuple[str, ...]:
    rows = connection.execute(f"SELECT DISTINCT link FROM batch_out WHERE {_UNACKNOWLEDGED} ORDER BY link")  # noqa: S608
    return tuple(row["link"] for row in rows)


_Counted = tuple[tuple[int, ...], str | None]


def _aged(
    connection: sqlite3.Connection, now: datetime, of: tuple[str, str], values: tuple[str, ...]
) -> _Counted:
    """Counts by age of the rows that ``of`` (column and tables, our own text) selects; the oldest's time."""
    came_at, tables = of
    oldest = connection.execute(f"SELECT min({came_at}) FROM {tables}", values).fetchone()[0]  # noqa: S608
    if oldest is None:
        return (0,) * (len(AGE_LIMITS) + 1), None
    edges = ["", *(stamp(now - limit) for limit in reversed(AGE_LIMITS)), _NEVER]
    counts = [
        connection.execute(
            f"SELECT count(*) FROM {tables} AND {came_at} > ? AND {came_at} <= ?",  # noqa: S608
            (*values, after, until),
        ).fetchone()[0]
        if until >= oldest
        else 0
        for after, until in pairwise(edges)
    ]
    return tuple(reversed(counts)), oldest


def _together(name: str, counted: Sequence[_Counted]) -> AgedCount | None:
    sums = tuple(sum(column) for column in zip(*(counts for counts, _ in counted), strict=True))
    return _named(name, (sums, min((oldest for _, oldest in counted if oldest), default=None)))


def _named(name: str, counted: _Counted) -> AgedCount | None:
    """None where nothing waits under that name."""
    counts, oldest = counted
    return None if oldest is None else AgedCount(name, counts, moment(oldest))


def _narrowed(wanted: QueueFilter, **columns: str) -> tuple[str, list[object]]:
    """The conditions of ``wanted`` over ``columns`` (our names), and their values."""
    pairs = [(column, getattr(wanted, name)) for name, column in columns.items() if getattr(wanted, name)]
    return "".join(f" AND {column} = ?" for column, _ in pairs), [value for _, value in pairs]


def _packets(connection: sqlite3.Connection, wanted: QueueFilter) -> Iterator[QueueEntry]:
    """One look per open state: within one, the index holds them in the order of their coming."""
    # The sign keeps SQLite from the other filter's index, which would have to be sorted.
    narrowed, values = _narrowed(
        wanted, recipient="destination.recipient", link="+destination.link" if wanted.recipient else "link"
    )
    for state in OPEN_IN_ORDER:
        if wanted.state not in ("", state.value):
            continue
        reason = DELIVERY_REASON if state in _HERE else "NULL"
        rows = connection.execute(
            f"SELECT destination.*, packet.sender, packet.packet_id, ({reason}) AS reason FROM destination"  # noqa: S608
            " CROSS JOIN packet ON packet.id = destination.packet"
            f" WHERE destination.state = ?{narrowed} ORDER BY came_at LIMIT ?",
            (state.value, *values, wanted.limit),
        )
        for row in rows:
            yield QueueEntry(
                kind=WaitingKind.PACKET,
                item="packet",
                came_at=moment(row["came_at"]),
                since=moment(row["since"]),
                state=row["state"],
                subject=f"{row['sender']}/{row['packet_id']}",
                recipient=row["recipient"],
                link=row["link"],
                reason=str(json.loads(row["reason"])["reason"]) if row["reason"] else "",
            )


def _arrivals(connection: sqlite3.Connection, wanted: QueueFilter) -> Iterator[QueueEntry]:
    narrowed, values = _narrowed(wanted, link="link")
    for state in _WAITING_ARRIVALS:
        if wanted.state not in ("", state):
            continue
        rows = connection.execute(
            f"SELECT * FROM arrival WHERE state = ?{narrowed} ORDER BY landed_at, id LIMIT ?",  # noqa: S608
            (state, *values, wanted.limit),
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
    for state in _WAITING_DROPS:
        if wanted.state not in ("", state):
            continue
        rows = connection.execute(
            f'SELECT * FROM "drop" WHERE {_UNTAKEN} AND state = ? ORDER BY seen_at, id LIMIT ?',  # noqa: S608
            (state, wanted.limit),
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
        # The plus keeps SQLite from walking every batch there ever was in order of its number.
        " ORDER BY +id LIMIT ?",
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


def missing_blobs(connection: sqlite3.Connection, arrival: int) -> tuple[str, ...]:
    """Digests of the blobs that an arrival lacks."""
    rows = connection.execute(
        "SELECT digest FROM arrival_blob WHERE arrival = ? AND missing = 1 ORDER BY digest", (arrival,)
    )
    return tuple(row["digest"] for row in rows)
