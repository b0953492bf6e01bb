"""A ledger as lines that anybody can hold against other books: receipts, folders, a neighbour's ledger.

Guarantees: reads only; all lines are of one moment; the first line says whose ledger it is and how far its
chain of events goes, the last how many lines there are, so an export that was cut off shows. Leaves to
others: writing the lines, and whether the ledger is sound (``verify``).

Known limit: while it runs the daemon's write-ahead log cannot be folded back, and grows.
"""

from __future__ import annotations

import json
import sqlite3
from base64 import b64encode
from collections.abc import Generator
from typing import Any, Final

from exchanged.ledger.snapshot import snapshot
from exchanged.ledger.transaction import GENESIS

FORMAT: Final = "exchanged-ledger-export-1"

# Kind of line -> its rows. A column of the export that is no text or number is made one in ``_plain``.
_KINDS: Final = {
    "packet": (
        "SELECT sender, packet_id, attempt, state, since, business_type, sender_ref, receiver, copies,"
        " incarnation, sequence, content_digest, seal_digest, own, transit, came_by, sealed_at, landed_at"
        " FROM packet ORDER BY id"
    ),
    "destination": (
        "SELECT sender, packet_id, recipient, destination.state, destination.since, link, folder"
        " FROM destination JOIN packet ON packet.id = destination.packet ORDER BY packet.id, recipient"
    ),
    "receipt": (
        "SELECT sender, packet_id, kind, recipient, attempt, issued_by, issued_at, number, content_digest,"
        " seal_digest, own, digest, document FROM receipt ORDER BY id"
    ),
    "drop": (
        'SELECT status_name, "drop".state, "drop".since, seen_at, original, duplicate_of, "drop".sender_ref,'
        ' "drop".attempt, reason, packet_id FROM "drop" LEFT JOIN packet ON packet.id = "drop".packet'
        ' ORDER BY "drop".id'
    ),
    "arrival": (
        "SELECT link, kind, sender, packet_id, digest, state, since, landed_at, reason FROM arrival"
        " WHERE state IN ('landed', 'needing', 'held', 'quarantined') ORDER BY id"
    ),
    "batch": "SELECT link, number, name, size, state, created_at FROM batch_out ORDER BY id",
    "head": "SELECT node, chain, at FROM head ORDER BY node, at, chain",
}
_EVENTS: Final = "SELECT id, at, kind, sender, packet_id, recipient, detail, chain FROM event ORDER BY id"
_JSON_TEXTS: Final = frozenset({"copies", "detail"})


def export(connection: sqlite3.Connection, *, events: bool = False) -> Generator[dict[str, Any], None, None]:
    """The lines, each an object with ``line``: its kind. See docs/operating.md for their members.

    First ``ledger``, then packets, their destinations, receipts with their documents, drops, what arrived and
    is not judged, batches, heads of neighbours as they were heard, with ``events`` the chain itself, and last
    ``end``. Rows come in the order of the ledger.
    """
    count = 1
    with snapshot(connection):
        yield _first(connection)
        kinds = {**_KINDS, **({"event": _EVENTS} if events else {})}
        for kind, statement in kinds.items():
            for row in connection.execute(statement):
                count += 1
                yield {"line": kind, **{name: _plain(name, row[name]) for name in row.keys()}}  # noqa: SIM118
    yield {"line": "end", "lines": count + 1}


def _first(connection: sqlite3.Connection) -> dict[str, Any]:
    memory = {row["name"]: row["value"] for row in connection.execute("SELECT name, value FROM node")}
    last = connection.execute("SELECT id, at, chain FROM event ORDER BY id DESC LIMIT 1").fetchone()
    return {
        "line": "ledger",
        "format": FORMAT,
        "incarnation": memory.get("incarnation", ""),
        "events": 0 if last is None else last["id"],
        "last_event": "" if last is None else last["at"],
        "head": GENESIS if last is None else last["chain"],
    }


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, bytes):
        return b64encode(value).decode("ascii")
    if name in _JSON_TEXTS:
        return json.loads(value)
    return value
