"""Questions about the links of a node: how each is, and what waits on it.

Read-only, by indexes. What the engine remembers of a link is written by ``exchanged.link_health``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from exchanged.ledger.snapshot import snapshot
from exchanged.ledger.times import moment

# Word for word as in the partial indexes batch_out_open and batch_in_exception.
_UNACKNOWLEDGED: Final = "state <> 'closed' AND state IN ('committed', 'needing')"


@dataclass(frozen=True, slots=True)
class ExceptionalBatch:
    """A batch that is disposed of with an exception: ``ours`` was offered by us, else it came from there."""

    number: int
    ours: bool
    exception: str
    detail: str


@dataclass(frozen=True, slots=True)
class LinkCounts:
    """What waits on one link, in items of all kinds, and in batches.

    ``waiting`` items are in no batch yet; ``offered`` ones are in batches that the neighbour has not
    acknowledged, ``batches`` of them. Times are those of the oldest.
    """

    waiting: int
    offered: int
    batches: int
    oldest_waiting_at: datetime | None
    oldest_offered_at: datetime | None
    to_judge: int
    lacking: int


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """What the ledger knows of one link. Empty texts and None where nothing is known.

    ``memory`` is everything remembered about it by name.
    """

    name: str
    memory: dict[str, str]
    counts: LinkCounts
    incarnation: str
    landed_through: int
    exceptions: tuple[ExceptionalBatch, ...]

    def at(self, name: str) -> datetime | None:
        """A remembered time."""
        text = self.memory.get(name, "")
        return moment(text) if text else None


def link_facts(connection: sqlite3.Connection, link: str, limit: int = 20) -> LinkFacts:
    """Everything about one link; at most ``limit`` exceptions of each direction."""
    with snapshot(connection):
        return _facts(connection, link, limit)


def _facts(connection: sqlite3.Connection, link: str, limit: int) -> LinkFacts:
    memory = {
        row["name"]: row["value"]
        for row in connection.execute("SELECT name, value FROM link_memory WHERE link = ?", (link,))
    }
    stream = connection.execute(
        "SELECT incarnation, through FROM stream_in WHERE link = ? ORDER BY current DESC LIMIT 1", (link,)
    ).fetchone()
    incarnation, through = (stream["incarnation"], stream["through"]) if stream else ("", 0)
    exceptions = (*_asked_of_us(connection, link, limit), *_told(connection, link, incarnation, limit))
    return LinkFacts(link, memory, link_counts(connection, link), incarnation, through, exceptions)


def link_memories(
    connection: sqlite3.Connection, links: Collection[str], names: Collection[str]
) -> dict[str, dict[str, str]]:
    """What is remembered under ``names`` of each of ``links``, where that is anything: one question."""
    holes = [", ".join("?" * len(each)) for each in (links, names)]
    rows = connection.execute(
        f"SELECT link, name, value FROM link_memory WHERE link IN ({holes[0]}) AND name IN ({holes[1]})",  # noqa: S608
        (*links, *names),
    )
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        found.setdefault(row["link"], {})[row["name"]] = row["value"]
    return found


def link_counts(connection: sqlite3.Connection, link: str) -> LinkCounts:
    """What waits on one link."""
    # What an operator holds does not wait for the link. Word for word as in the index outgoing_due.
    due = "FROM outgoing WHERE link = ? AND batch IS NULL AND held = 0"
    waiting = _one(connection, f"SELECT count(*) {due}", link)
    oldest = connection.execute(
        f"SELECT queued_at {due} ORDER BY id LIMIT 1",
        (link,),
    ).fetchone()
    offered = batches = 0
    first: str | None = None
    for row in connection.execute(
        f"SELECT id, created_at FROM batch_out WHERE link = ? AND {_UNACKNOWLEDGED}",  # noqa: S608
        (link,),
    ).fetchall():
        batches += 1
        offered += _one(connection, "SELECT count(*) FROM outgoing WHERE batch = ?", row["id"])
        first = min(first or row["created_at"], row["created_at"])
    arrivals = "SELECT count(*) FROM arrival WHERE link = ? AND state = ?"
    return LinkCounts(
        waiting,
        offered,
        batches,
        moment(oldest["queued_at"]) if oldest else None,
        moment(first) if first else None,
        _one(connection, arrivals, link, "landed"),
        _one(connection, arrivals, link, "needing"),
    )


def _one(connection: sqlite3.Connection, statement: str, *values: object) -> int:
    return int(connection.execute(statement, values).fetchone()[0])


def _asked_of_us(connection: sqlite3.Connection, link: str, limit: int) -> tuple[ExceptionalBatch, ...]:
    """Our batches of which the neighbour lacks something."""
    rows = connection.execute(
        f"SELECT number FROM batch_out WHERE link = ? AND {_UNACKNOWLEDGED} AND state = 'needing'"  # noqa: S608
        " ORDER BY number LIMIT ?",
        (link, limit),
    )
    return tuple(ExceptionalBatch(row["number"], ours=True, exception="need", detail="") for row in rows)


def _told(
    connection: sqlite3.Connection, link: str, incarnation: str, limit: int
) -> tuple[ExceptionalBatch, ...]:
    """The neighbour's batches that we disposed of with an exception."""
    rows = connection.execute(
        "SELECT number, exception, detail FROM batch_in WHERE link = ? AND incarnation = ?"
        " AND exception <> '' ORDER BY number LIMIT ?",
        (link, incarnation, limit),
    )
    return tuple(
        ExceptionalBatch(row["number"], ours=False, exception=row["exception"], detail=row["detail"])
        for row in rows
    )
