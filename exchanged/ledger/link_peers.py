"""Which neighbour each link led to: queues, numbers and streams belong to a link's name, and so to that."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from exchanged.ledger import batches
from exchanged.ledger.transaction import Transaction

_PEER: Final = "peer"
# What is queued, was put, was read, or is to go by that name.
_TABLES: Final = ("outgoing", "batch_out", "stream_in", "destination")


@dataclass(frozen=True, slots=True)
class Stranded:
    """A link that the configuration does not name, its neighbour if that is known, and how much waits."""

    link: str
    peer: str
    items: int


def known_peers(connection: sqlite3.Connection) -> dict[str, str]:
    """Link -> neighbour, of every link by which anything went, or waits.

    Where nothing ever did, the neighbour may be another one tomorrow.
    """
    rows = connection.execute("SELECT link, value FROM link_memory WHERE name = ?", (_PEER,)).fetchall()
    return {row["link"]: row["value"] for row in rows if _was_used(connection, row["link"])}


def _was_used(connection: sqlite3.Connection, link: str) -> bool:
    return any(
        connection.execute(f"SELECT 1 FROM {table} WHERE link = ? LIMIT 1", (link,)).fetchone()  # noqa: S608
        for table in _TABLES
    )


def remember_peers(transaction: Transaction, peers: Mapping[str, str]) -> None:
    """These are the neighbours of the links from now on."""
    for link, peer in peers.items():
        if batches.recall(transaction.connection, link, _PEER) != peer:
            batches.remember(transaction, link, _PEER, peer)


def stranded(connection: sqlite3.Connection, configured: Collection[str]) -> tuple[Stranded, ...]:
    """Links on which something waits that goes nowhere, because the configuration lost them."""
    found: list[Stranded] = []
    link = _next(connection, "")
    while link is not None:
        if link not in configured:
            (items,) = connection.execute("SELECT count(*) FROM outgoing WHERE link = ?", (link,)).fetchone()
            found.append(Stranded(link, batches.recall(connection, link, _PEER) or "", int(items)))
        link = _next(connection, link)
    return tuple(found)


def _next(connection: sqlite3.Connection, after: str) -> str | None:
    """From link to link by the index, however much waits on each."""
    row = connection.execute("SELECT min(link) AS link FROM outgoing WHERE link > ?", (after,)).fetchone()
    return None if row["link"] is None else str(row["link"])
