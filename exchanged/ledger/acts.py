"""Acts of operators in the ledger: which rows they may be about, and the answer of each request.

An answer is kept under the number of its request, in the transaction of the act itself: who asks again,
because the answer was lost, gets it again and nothing is done twice. The newest 10,000 are kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

from exchanged.ledger.drops import DropRow, get
from exchanged.ledger.questions_list import OPEN_SQL
from exchanged.ledger.transaction import Transaction

_KEPT: Final = 10_000

# Word for word as in the partial indexes, which are used only then.
_LEGS: Final = {
    "queued": f"destination.state IN {OPEN_SQL} AND destination.state = 'queued'",
    "on-hold": "destination.state = 'on-hold'",
    "arrived": "destination.state IN ('arrived', 'delivering') AND destination.state = 'arrived'",
}
_ARRIVALS: Final = {
    "landed": "state = 'landed'",
    "held": "state IN ('needing', 'held', 'quarantined') AND state = 'held'",
    "quarantined": "state IN ('needing', 'held', 'quarantined') AND state = 'quarantined'",
}


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


def legs(
    connection: sqlite3.Connection, state: str, recipient: str, sender: str, link: str, limit: int
) -> Iterator[tuple[int, str]]:
    """Packet row and link of destinations in ``state`` (queued, on-hold or arrived), each pair once."""
    rows = connection.execute(
        "SELECT DISTINCT destination.packet, destination.link FROM destination"  # noqa: S608
        " JOIN packet ON packet.id = destination.packet"
        f" WHERE {_LEGS[state]}"
        " AND (? = '' OR destination.recipient = ?) AND (? = '' OR packet.sender = ?)"
        " AND (? = '' OR destination.link = ?) LIMIT ?",
        (recipient, recipient, sender, sender, link, link, limit),
    )
    for row in rows:
        yield row[0], row[1]


def arrivals(
    connection: sqlite3.Connection, state: str, sender: str, link: str, reasons: tuple[str, ...], limit: int
) -> Iterator[int]:
    """Rows of arrivals in ``state`` (landed, held or quarantined), oldest first."""
    among = f" AND reason IN ({', '.join('?' * len(reasons))})" if reasons else ""
    rows = connection.execute(
        f"SELECT id FROM arrival WHERE {_ARRIVALS[state]}{among}"  # noqa: S608
        " AND (? = '' OR sender = ?) AND (? = '' OR link = ?) ORDER BY id LIMIT ?",
        (*reasons, sender, sender, link, link, limit),
    )
    for row in rows:
        yield row[0]


def held_drops(connection: sqlite3.Connection, reasons: tuple[str, ...], limit: int) -> Iterator[int]:
    """Rows of drops that are held, oldest first."""
    among = f" AND reason IN ({', '.join('?' * len(reasons))})" if reasons else ""
    rows = connection.execute(
        "SELECT id FROM \"drop\" WHERE original IN ('outbox', 'kept') AND state = 'held'"  # noqa: S608
        f"{among} ORDER BY id LIMIT ?",
        (*reasons, limit),
    )
    for row in rows:
        yield row[0]


def find_drop(connection: sqlite3.Connection, name: str) -> DropRow | None:
    """The newest drop of that name, as its status file is called or as it lay in the outbox."""
    row = connection.execute(
        'SELECT max(id) AS id FROM (SELECT max(id) AS id FROM "drop" WHERE status_name = ?'
        " UNION ALL SELECT max(id) FROM \"drop\" WHERE name = ? AND original IN ('outbox', 'kept'))",
        (name, name.encode("utf-8", "surrogateescape")),
    ).fetchone()
    return None if row["id"] is None else get(connection, row["id"])
