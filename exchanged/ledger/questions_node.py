"""Questions about a node as a whole: what it remembers of itself, its ledger, the oldest that waits.

Read-only, by indexes: each answer costs a few looks, however large the ledger is.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from exchanged.ledger.clock_memory import doubtful_since
from exchanged.ledger.log_views import contradictions
from exchanged.ledger.notices import open_notices
from exchanged.ledger.questions_queue import QueueEntry, QueueFilter, waiting
from exchanged.ledger.restoring import peers
from exchanged.ledger.times import moment


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What the ledger says of its node. ``events`` is the number of the newest event.

    ``is_marked_running``: the last start was not followed by a clean stop; beside a running daemon that is as
    it should be. ``oldest`` is the oldest thing that waits. Counts are of arrivals and of drops. ``notices``
    are what the open ones are about, each once, the oldest first. ``restoring``: whom a restored node asked,
    and how far that is. ``log_doubts`` are nodes whose logs contradict themselves. While the node doubts its
    clock, that was sound until ``clock_doubtful_since``.
    """

    memory: dict[str, str]
    events: int
    started_at: datetime | None
    stopped_at: datetime | None
    after_clean_stop: bool
    is_marked_running: bool
    oldest: QueueEntry | None
    held: int
    quarantined: int
    drops_held: int
    drops_incomplete: int
    notices: tuple[str, ...] = ()
    restoring: tuple[tuple[str, str], ...] = ()
    log_doubts: tuple[str, ...] = ()
    clock_doubtful_since: datetime | None = None


def node_facts(connection: sqlite3.Connection) -> NodeFacts:
    """Everything about the node."""
    memory = {row["name"]: row["value"] for row in connection.execute("SELECT name, value FROM node")}
    newest = connection.execute("SELECT max(id) FROM event").fetchone()[0]
    oldest = waiting(connection, QueueFilter(limit=1))
    started, detail = _last(connection, "started")
    stopped, _ = _last(connection, "stopped")
    return NodeFacts(
        memory=memory,
        events=newest or 0,
        started_at=started,
        stopped_at=stopped,
        after_clean_stop='"after-clean-stop": false' not in detail,
        is_marked_running=memory.get("running") == "yes",
        oldest=oldest[0] if oldest else None,
        held=_arrivals(connection, "held"),
        quarantined=_arrivals(connection, "quarantined"),
        drops_held=_drops(connection, "held"),
        drops_incomplete=_drops(connection, "incomplete"),
        notices=tuple(dict.fromkeys(row.reference for row in open_notices(connection))),
        restoring=tuple((peer.node, peer.state.value) for peer in peers(connection)),
        clock_doubtful_since=doubtful_since(connection),
        log_doubts=tuple(dict.fromkeys(each.node for each in contradictions(connection))),
    )


def _last(connection: sqlite3.Connection, kind: str) -> tuple[datetime | None, str]:
    row = connection.execute(
        "SELECT at, detail FROM event WHERE kind = ? ORDER BY at DESC, id DESC LIMIT 1", (kind,)
    ).fetchone()
    return (None, "") if row is None else (moment(row["at"]), row["detail"])


def _arrivals(connection: sqlite3.Connection, state: str) -> int:
    row = connection.execute("SELECT count(*) FROM arrival WHERE state = ?", (state,)).fetchone()
    return int(row[0])


def _drops(connection: sqlite3.Connection, state: str) -> int:
    row = connection.execute(
        'SELECT count(*) FROM "drop" WHERE original IN (\'outbox\', \'kept\')'
        " AND state IN ('seen', 'incomplete', 'held') AND state = ?",
        (state,),
    ).fetchone()
    return int(row[0])
