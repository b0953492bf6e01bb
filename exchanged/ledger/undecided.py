"""Own packets with large parts that are under way and not decided: their checks may take long (C15).

Leaves to others: what still waits in the queue (``turns``, ``order``).
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from exchanged.ledger import turns
from exchanged.ledger.times import moment
from exchanged.ledger.transaction import Transaction
from exchanged.states import DestinationState


@dataclass(frozen=True, slots=True)
class Undecided:
    """A packet by its row, and since when the neighbour has it; None while it is only offered."""

    packet: int
    handed_over_at: datetime | None


def with_blobs(connection: sqlite3.Connection, link: str) -> dict[tuple[str, str], list[Undecided]]:
    """(case, receiver) -> what was put into a batch of ``link`` and is neither accepted nor final."""
    rows = connection.execute(
        # The index is named: of itself SQLite might go through all packets of the link.
        "SELECT packet.id, packet.case_key, packet.receiver, destination.state, destination.since"
        " FROM destination INDEXED BY destination_link JOIN packet ON packet.id = destination.packet"
        " WHERE destination.link = ? AND destination.state IN ('offered', 'handed-over')"
        " AND packet.own = 1 AND packet.case_key <> '' AND EXISTS (SELECT 1 FROM blob_reference"
        " WHERE blob_reference.sender = packet.sender AND blob_reference.packet_id = packet.packet_id)",
        (link,),
    )
    found: dict[tuple[str, str], list[Undecided]] = {}
    for row in rows:
        stream = (row["case_key"], row["receiver"])
        at = moment(row["since"]) if row["state"] == DestinationState.HANDED_OVER else None
        found.setdefault(stream, []).append(Undecided(row["id"], at))
    return found


def wake_behind(transaction: Transaction, packet: int) -> None:
    """It is decided: let its links look at what waits behind it in its case."""
    stream = turns.stream_of(transaction, packet)
    if not stream:
        return
    links = transaction.execute(
        "SELECT DISTINCT link FROM destination WHERE packet = ? AND link <> ''", packet
    ).fetchall()
    for row in links:
        flow, _turn = turns.last_of(transaction, row["link"], stream)
        if flow is not None:
            transaction.wake(f"link:{row['link']}")
