"""Questions about logs for the command line: this node's own, and those that it was shown. Read-only."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from exchanged.ledger import log_entries, log_views, restoring
from exchanged.ledger.log_tree import Tree, size_of
from exchanged.ledger.log_verify import OWN_HEAD
from exchanged.ledger.log_views import Awaited, Contradiction, HeadRow, HeadState

_FAR: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class OwnLog:
    """The log of this node. ``told``: front-end -> size of the head told last; ``owed``: agencies.

    ``restored_size``, ``restored_at``: how long it was, and when, as the node was last restored from a
    backup.
    """

    size: int
    root: str
    head: bytes | None
    told: dict[str, int]
    owed: tuple[str, ...]
    restored_size: int | None = None
    restored_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OtherLog:
    """What this node knows of the log of ``node``. ``compared`` are heads that people brought."""

    node: str
    newest: HeadRow | None
    awaited: Awaited | None
    compared: tuple[HeadRow, ...]
    contradictions: tuple[Contradiction, ...]


def own_log(connection: sqlite3.Connection) -> OwnLog:
    """This node's own log, empty where it admits nothing."""
    tree = Tree(connection, size_of(connection))
    row = connection.execute("SELECT value FROM node WHERE name = ?", (OWN_HEAD,)).fetchone()
    told = {node: each.size for node, each in log_entries.all_told(connection).items()}
    head = None if row is None else bytes.fromhex(row["value"])
    size, at = restoring.log_at_restore(connection), restoring.restored_at(connection)
    return OwnLog(tree.size, tree.root().hex(), head, told, log_entries.owed(connection), size, at)


def other_logs(connection: sqlite3.Connection, now: datetime) -> tuple[OtherLog, ...]:
    """Every log of another node that is known here, in the order of their codes."""
    return tuple(
        OtherLog(
            node,
            log_views.newest(connection, node),
            log_views.awaited(connection, node, now + _FAR, 10),
            log_views.in_state(connection, node, HeadState.COMPARED),
            log_views.contradictions(connection, node),
        )
        for node in log_views.nodes(connection)
    )
