"""Questions that building a proof asks. Read-only."""

from __future__ import annotations

import sqlite3

from exchanged.ledger.log_verify import OWN_HEAD
from exchanged.ledger.search import Field, search_key
from packet_spec.identity import PacketKey


def packets_of_case(connection: sqlite3.Connection, number: str) -> tuple[PacketKey, ...]:
    """The packets that bear this case number, of whatever organ, in the order in which they came here."""
    rows = connection.execute(
        "SELECT packet.sender, packet.packet_id FROM search JOIN packet ON packet.id = search.subject"
        " WHERE word = ? AND field = ? ORDER BY packet.id",
        (search_key(number), Field.CASE_NUMBER.value),
    )
    return tuple(PacketKey(row["sender"], row["packet_id"]) for row in rows)


def own_head(connection: sqlite3.Connection) -> bytes | None:
    """The newest signed head of this node's own log."""
    row = connection.execute("SELECT value FROM node WHERE name = ?", (OWN_HEAD,)).fetchone()
    return None if row is None else bytes.fromhex(row["value"])
