"""What a packet waits for that came before its predecessor (C15): a type of packet, in one of these cases.

Guarantees: a case that changes wakes those whose predecessor it now has, and nobody else, however many wait:
who is woken does not come back to wait. A few are woken in the step that changes the case, the rest group by
group (``wake``), so that no write grows with what somebody piled up; a crash in between forgets none. Nothing
is kept of an arrival that is gone or woken. What waits in a known case is kept once, not for each number of
that case.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from exchanged.ledger import arrivals
from exchanged.ledger.rows import ArrivalRow
from exchanged.ledger.transaction import Transaction
from exchanged.states import ArrivalState, Event
from packet_spec.catalogue import ANY
from packet_spec.identifiers import canonical_case_number
from packet_spec.model import CaseNumber

FOR_PREDECESSOR: Final = "waiting-for-predecessor"
"""The reason of what waits for an earlier packet of its case."""

_AT_ONCE: Final = 16
_IS_WAITED_FOR: Final = "SELECT 1 FROM awaited WHERE about = ? LIMIT 1"
_OF_TYPES: Final = (
    "SELECT type, arrival FROM awaited WHERE about = ? AND type IN (SELECT value FROM json_each(?)) LIMIT ?"
)
_FROM_THERE: Final = (
    "SELECT type, arrival FROM awaited WHERE about = ? AND (type, arrival) > (?, ?)"
    " ORDER BY type, arrival LIMIT ?"
)
_THE_CASE_TOO: Final = (
    "INSERT OR IGNORE INTO awaited SELECT ?, type, arrival FROM awaited"
    " WHERE about = ? AND type = ? AND arrival = ?"
)
_FROM_THE_START: Final = (
    " ON CONFLICT (about, case_id) DO UPDATE SET stays = min(stays, excluded.stays), type = '', arrival = 0"
)

TypesOf = Callable[[str], Iterable[str]]
"""The types of packets that a case has had."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """One packet of ``types`` (``ANY``: of any) in what ``about`` names (``about_case``)."""

    about: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


def about_case(cases: Iterable[str], numbers: Iterable[CaseNumber]) -> tuple[str, ...]:
    """These known cases, and whatever case these numbers may come to name: each once.

    A number that names a known case is not waited for beside that case.
    """
    named = (f"number:{each.kind}:{canonical_case_number(each.value)}" for each in numbers)
    return tuple(dict.fromkeys((*(f"case:{case}" for case in cases), *named)))


def note(transaction: Transaction, row: ArrivalRow, awaited: Awaited) -> None:
    """The arrival waits for this from now on, and for nothing of before."""
    _forget(transaction, row.id)
    for about in awaited.about:
        for code in awaited.types:
            transaction.execute("INSERT INTO awaited VALUES (?, ?, ?)", about, code, row.id)


def release(
    transaction: Transaction,
    case_id: str,
    had: TypesOf,
    about: tuple[str, ...],
    also: tuple[str, ...] = (),
) -> None:
    """Judge again what waits for ``about``, all of it now this case, and for a type that it has ``had``.

    What waits for another type waits for the case from now on, and for nothing else of ``about``; what waits
    for ``also`` waits for the case beside that. What is more than a few is left to ``wake``.
    """
    waited_for = [each for each in (*about, *also) if transaction.execute(_IS_WAITED_FOR, each).fetchone()]
    if not waited_for:
        return
    is_behind = _first(transaction, case_id) is not None
    for each in waited_for:
        if each == f"case:{case_id}" and not _found_of(transaction, each, _types(had, case_id), 1):
            continue
        transaction.execute(
            f"INSERT INTO waking (about, case_id, stays) VALUES (?, ?, ?){_FROM_THE_START}",  # noqa: S608
            each, case_id, int(each not in about),
        )  # fmt: skip
    if not is_behind:
        # Of those who are woken each may change the case in its turn: that wakes no more in the same write.
        wake(transaction, had, _AT_ONCE, case_id)
    if is_due(transaction.connection):
        transaction.wake("judge")


def join(transaction: Transaction, case_id: str, other: str) -> None:
    """The ``other`` case is this one now, also for what is still to be gone through."""
    transaction.execute(
        "INSERT INTO waking (about, case_id, stays) SELECT about, ?, stays FROM waking"  # noqa: S608 - ours
        f" WHERE case_id = ?{_FROM_THE_START}",
        case_id, other,
    )  # fmt: skip
    transaction.execute("DELETE FROM waking WHERE case_id = ?", other)


def is_due(connection: sqlite3.Connection) -> bool:
    """Somebody waits for a case that has changed, and was not looked at since."""
    return connection.execute("SELECT 1 FROM waking LIMIT 1").fetchone() is not None


def wake(transaction: Transaction, had: TypesOf, limit: int, case_id: str = "") -> int:
    """Go through at most ``limit`` of what waits for a case that changed: that case, or whichever was first.

    Returns how many; with fewer, nothing is left.
    """
    left = limit
    while left > 0:
        row = _first(transaction, case_id)
        if row is None:
            break
        left -= max(1, _go_on(transaction, row, _types(had, row["case_id"]), left))
    return limit - left


def _types(had: TypesOf, case_id: str) -> frozenset[str]:
    return frozenset((*had(case_id), ANY))


def _found_of(transaction: Transaction, about: str, types: frozenset[str], limit: int) -> list[sqlite3.Row]:
    return transaction.execute(_OF_TYPES, about, json.dumps(sorted(types)), limit).fetchall()


def _first(transaction: Transaction, case_id: str) -> sqlite3.Row | None:
    """The oldest mark, of that case or of any."""
    if case_id:
        cursor = transaction.execute("SELECT * FROM waking WHERE case_id = ? ORDER BY id LIMIT 1", case_id)
    else:
        cursor = transaction.execute("SELECT * FROM waking ORDER BY id LIMIT 1")
    row: sqlite3.Row | None = cursor.fetchone()
    return row


def _go_on(transaction: Transaction, mark: sqlite3.Row, types: frozenset[str], limit: int) -> int:
    """One mark. Whom it finds is gone from there afterwards, or before the place where it goes on."""
    about, named = mark["about"], f"case:{mark['case_id']}"
    if about == named:
        found = _found_of(transaction, about, types, limit)
    else:
        found = transaction.execute(_FROM_THERE, about, mark["type"], mark["arrival"], limit).fetchall()
    for code, number in found:
        if code in types:
            _let_go(transaction, number)
            continue
        transaction.execute(_THE_CASE_TOO, named, about, code, number)
        if not mark["stays"]:
            transaction.execute(
                "DELETE FROM awaited WHERE about = ? AND type = ? AND arrival = ?", about, code, number
            )
    if len(found) < limit:
        transaction.execute("DELETE FROM waking WHERE id = ?", mark["id"])
    else:
        transaction.execute("UPDATE waking SET type = ?, arrival = ? WHERE id = ?", *found[-1], mark["id"])
    return len(found)


def _let_go(transaction: Transaction, number: int) -> None:
    row = arrivals.find(transaction.connection, number)
    if row is not None and row.state is ArrivalState.HELD and row.reason == FOR_PREDECESSOR:
        arrivals.keep(transaction, row, Event.RELEASE, row.reason)
    # It may lie there for long until it is judged: meanwhile nobody looks at it again.
    _forget(transaction, number)


def _forget(transaction: Transaction, number: int) -> None:
    transaction.execute("DELETE FROM awaited WHERE arrival = ?", number)
