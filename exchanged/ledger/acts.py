"""Acts of operators in the ledger: which rows they may be about, and the answer of each request.

An answer is kept under the number of its request, in the transaction of the act itself: who asks again,
because the answer was lost, gets it again and nothing is done twice. The newest 10,000 are kept.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Final

from exchanged.ledger.drops import DropRow, get
from exchanged.ledger.questions_list import DELIVERY_REASON
from exchanged.ledger.rows import PacketRow
from exchanged.ledger.transaction import Transaction
from packet_spec.names import escape_for_display

_KEPT: Final = 10_000

# A filter's own index is walked first when it holds fewer rows than this.
_FEW: Final = 20_000

# Word for word as in the partial indexes, which are used only then.
_ARRIVALS: Final = {
    "landed": "state = 'landed'",
    "needing": "state IN ('needing', 'held', 'quarantined') AND state = 'needing'",
    "held": "state IN ('needing', 'held', 'quarantined') AND state = 'held'",
    "quarantined": "state IN ('needing', 'held', 'quarantined') AND state = 'quarantined'",
}
_HELD_DROPS: Final = (
    "original IN ('outbox', 'kept') AND state IN ('seen', 'incomplete', 'held') AND state = 'held'"
)


def answer_of(connection: sqlite3.Connection, request: str) -> str | None:
    """The answer that was given to that request, if it was done."""
    row = connection.execute("SELECT answer FROM act WHERE request = ?", (request,)).fetchone()
    return None if row is None else str(row["answer"])


def keep_answer(transaction: Transaction, request: str, answer: str) -> None:
    """The request is done, and this was its answer."""
    cursor = transaction.execute(
        "INSERT INTO act (request, at, answer) VALUES (?, ?, ?)", request, transaction.stamp, answer
    )
    transaction.execute("DELETE FROM act WHERE id <= ?", (cursor.lastrowid or 0) - _KEPT)


def delivery_waits_for(connection: sqlite3.Connection, packet: PacketRow) -> str:
    """Why the delivery of what arrived here was put off last; empty where it was not, since it landed."""
    row = connection.execute(
        f"SELECT ({DELIVERY_REASON}) AS detail FROM packet WHERE packet.id = ?",  # noqa: S608 - our own text
        (packet.id,),
    ).fetchone()
    return str(json.loads(row["detail"])["reason"]) if row is not None and row["detail"] else ""


def legs(
    connection: sqlite3.Connection, state: str, recipient: str, sender: str, link: str, limit: int
) -> Iterator[tuple[int, str]]:
    """Packet row and link of destinations in ``state`` (queued, on-hold or arrived), each pair once.

    The oldest first. At most ``limit`` of them. Walks one index, that of the narrowest filter.
    """
    narrowed = {"recipient": recipient, "link": link}
    values: list[object] = [state]
    conditions = "destination.state = ?"
    for column, value in narrowed.items():
        if value:
            # With a sign it is looked at, and not taken for the index.
            sign = "+" if column == "link" and recipient else ""
            conditions += f" AND {sign}destination.{column} = ?"
            values.append(value)
    if not sender:
        tables, order = "destination", "destination.came_at"
    elif _is_few(connection, conditions, values):
        tables = "destination CROSS JOIN packet ON packet.id = destination.packet"
        order = "destination.came_at"
    else:
        tables, order = "packet CROSS JOIN destination ON destination.packet = packet.id", "packet.id"
    if sender:
        conditions += " AND packet.state = 'active' AND packet.sender = ?"
        values.append(sender)
    rows = connection.execute(
        f"SELECT destination.packet, destination.link FROM {tables} WHERE {conditions} ORDER BY {order}",  # noqa: S608
        values,
    )
    found: set[tuple[int, str]] = set()
    for row in rows:
        pair = (row[0], row[1])
        if pair not in found:
            found.add(pair)
            yield pair
        if len(found) == limit:
            return


def _is_few(connection: sqlite3.Connection, conditions: str, values: list[object]) -> bool:
    """So few destinations pass the other filters that looking up the sender of each is no work."""
    row = connection.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM destination WHERE {conditions} LIMIT ?)",  # noqa: S608
        (*values, _FEW),
    ).fetchone()
    return int(row[0]) < _FEW


def arrivals(
    connection: sqlite3.Connection,
    state: str,
    kind: str,
    sender: str,
    link: str,
    reasons: tuple[str, ...],
    limit: int,
) -> Iterator[int]:
    """Rows of arrivals in ``state`` (a key of ``_ARRIVALS``): oldest first, or reason by reason.

    ``kind``, ``sender``, ``link`` and ``reasons`` are empty where any will do.
    """
    conditions, values = _ARRIVALS[state], list[object]()
    if reasons:
        conditions += f" AND reason IN ({', '.join('?' * len(reasons))})"
        values += reasons
    for column, value in (("kind", kind), ("sender", sender), ("link", link)):
        if value:
            conditions += f" AND {column} = ?"
            values.append(value)
    order = "reason, id" if reasons and state != "landed" else "landed_at, id"
    rows = connection.execute(
        f"SELECT id FROM arrival WHERE {conditions} ORDER BY {order} LIMIT ?",  # noqa: S608
        (*values, limit),
    )
    for row in rows:
        yield row[0]


def held_drops(connection: sqlite3.Connection, reasons: tuple[str, ...], limit: int) -> Iterator[int]:
    """Rows of drops that are held, oldest first."""
    among = f" AND reason IN ({', '.join('?' * len(reasons))})" if reasons else ""
    rows = connection.execute(
        f'SELECT id FROM "drop" WHERE {_HELD_DROPS}{among} ORDER BY seen_at, id LIMIT ?',  # noqa: S608
        (*reasons, limit),
    )
    for row in rows:
        yield row[0]


def find_drop(connection: sqlite3.Connection, name: str) -> DropRow | None:
    """The newest drop of that name, as its status file is called, as it lay in the outbox, or as it is shown.

    As it is shown a name of any bytes can be typed; only drops that lie in the outbox are found so.
    """
    row = connection.execute(
        'SELECT max(id) AS id FROM (SELECT max(id) AS id FROM "drop" WHERE status_name = ?'
        " UNION ALL SELECT max(id) FROM \"drop\" WHERE name = ? AND original IN ('outbox', 'kept'))",
        (name, name.encode("utf-8", "surrogateescape")),
    ).fetchone()
    if row["id"] is not None:
        return get(connection, row["id"])
    return _find_shown(connection, name) if "\\" in name else None


def _find_shown(connection: sqlite3.Connection, shown: str) -> DropRow | None:
    rows = connection.execute(
        "SELECT id, name FROM \"drop\" WHERE original IN ('outbox', 'kept') ORDER BY id DESC"
    )
    found = next((row["id"] for row in rows if escape_for_display(row["name"]) == shown), None)
    return None if found is None else get(connection, found)
