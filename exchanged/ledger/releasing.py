"""What is held comes back to the judge by itself: at its time, at a start, for a directory or a pack.

Guarantees: in groups, so that no write grows with what somebody piled up; of what is still to come back after
a start, a directory or a pack the ledger knows how far it is, and a crash in between forgets none. Whatever
is judged while such a mark is set was either judged by what is new or comes back as well. What comes back
and is held for the same reason once more writes no event and keeps its time (``arrivals.keep``): the ledger
does not grow with the looks.

Leaves to others: what an operator holds stays; what one packet waits for (``arrivals.release_held_of``,
``awaited``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from datetime import datetime
from typing import Final

from exchanged.ledger.arrivals import HELD_BY_OPERATOR
from exchanged.ledger.times import moment
from exchanged.ledger.transaction import Transaction
from exchanged.states import ArrivalState, Event, advance

_ANY: Final = ""
_UNTIL: Final = "arrival INDEXED BY arrival_retry WHERE state = 'held' AND retry_at IS NOT NULL"
# Word for word as the indexes want it, which are named: one agency may make thousands of held rows.
_WAITING: Final = "state IN ('needing', 'held', 'quarantined') AND state = 'held'"
_OF_A_REASON: Final = (
    f"SELECT id FROM arrival INDEXED BY arrival_reason WHERE {_WAITING} AND reason = ?"  # noqa: S608 - ours
    " AND reason <> ? AND id > ? AND id <= ? ORDER BY id LIMIT ?"
)
_OF_ALL: Final = (
    f"SELECT id FROM arrival INDEXED BY arrival_waiting WHERE {_WAITING} AND ? = ''"  # noqa: S608 - ours
    " AND reason <> ? AND id > ? AND id <= ? ORDER BY id LIMIT ?"
)


def mark(transaction: Transaction, reasons: tuple[str, ...] = (_ANY,)) -> None:
    """What is held now for one of ``reasons`` (or for any) is to be judged again, group by group."""
    for reason in reasons:
        transaction.execute(
            "INSERT INTO releasing SELECT ?, 0, coalesce(max(id), 0) FROM arrival WHERE true"
            " ON CONFLICT (reason) DO UPDATE SET after = 0, until = excluded.until",
            reason,
        )
    transaction.wake("judge")


def is_due(connection: sqlite3.Connection, now: datetime) -> bool:
    """Something is to be judged again: it is marked, or its time has come."""
    if connection.execute("SELECT 1 FROM releasing LIMIT 1").fetchone() is not None:
        return True
    first = next_release(connection)
    return first is not None and first <= now


def release(transaction: Transaction, limit: int) -> int:
    """Judge at most ``limit`` again. Returns how many; with fewer, nothing is left."""
    rows = transaction.execute(
        f"SELECT id FROM {_UNTIL} AND retry_at <= ? ORDER BY retry_at LIMIT ?",  # noqa: S608 - ours
        transaction.stamp, limit,
    ).fetchall()  # fmt: skip
    count = _let_go(transaction, [row["id"] for row in rows])
    return count + _release_marked(transaction, limit - count)


def release_held(transaction: Transaction, numbers: Collection[int], reason: str) -> None:
    """Judge these again, as far as they are still held for ``reason``, whenever their time would come."""
    marks = ", ".join("?" * len(numbers))
    rows = transaction.execute(
        f"SELECT id FROM arrival WHERE id IN ({marks}) AND state = 'held' AND reason = ?",  # noqa: S608 - ours
        *numbers, reason,
    ).fetchall()  # fmt: skip
    _let_go(transaction, [row["id"] for row in rows])


def next_release(connection: sqlite3.Connection) -> datetime | None:
    """When the next held arrival is due again."""
    row = connection.execute(f"SELECT min(retry_at) AS at FROM {_UNTIL}").fetchone()  # noqa: S608 - ours
    return None if row["at"] is None else moment(row["at"])


def _release_marked(transaction: Transaction, limit: int) -> int:
    """The oldest of all that are marked, whatever holds them."""
    if limit <= 0:
        return 0
    found: dict[str, list[int]] = {}
    for row in transaction.execute("SELECT reason, after, until FROM releasing").fetchall():
        statement = _OF_A_REASON if row["reason"] else _OF_ALL
        bounds = (row["reason"], HELD_BY_OPERATOR, row["after"], row["until"], limit)
        found[row["reason"]] = [each["id"] for each in transaction.execute(statement, *bounds).fetchall()]
    chosen = sorted({number for numbers in found.values() for number in numbers})[:limit]
    for reason, numbers in found.items():
        if len(numbers) < limit and (not numbers or numbers[-1] <= chosen[-1]):
            transaction.execute("DELETE FROM releasing WHERE reason = ?", reason)
        elif passed := [number for number in numbers if number <= chosen[-1]]:
            transaction.execute("UPDATE releasing SET after = ? WHERE reason = ?", passed[-1], reason)
    return _let_go(transaction, chosen)


def _let_go(transaction: Transaction, numbers: list[int]) -> int:
    landed = advance(ArrivalState.HELD, Event.RELEASE)
    for number in numbers:
        transaction.execute(
            "UPDATE arrival SET state = ?, retry_at = NULL, quiet = 1 WHERE id = ? AND state = 'held'",
            landed.value, number,
        )  # fmt: skip
    return len(numbers)
