"""What a packet waits for that came before its predecessor (C15): a type of packet, in one of these cases.

Guarantees: a case that changes wakes those whose predecessor it now has, and nobody else, however many wait:
who is woken does not come back to wait. Nothing is kept of an arrival that is gone or woken. What waits in a
known case is kept once, not for each number of that case.
"""

from __future__ import annotations

import json
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

_IS_WAITED_FOR: Final = "SELECT 1 FROM awaited WHERE about = ? LIMIT 1"
_WAITING: Final = (
    "SELECT DISTINCT arrival FROM awaited WHERE about IN (SELECT value FROM json_each(?))"
    " AND type IN (SELECT value FROM json_each(?)) ORDER BY arrival"
)
_THE_CASE_TOO: Final = "INSERT OR IGNORE INTO awaited SELECT ?, type, arrival FROM awaited WHERE about = ?"


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
    had: Callable[[], Iterable[str]],
    about: tuple[str, ...],
    also: tuple[str, ...] = (),
) -> int:
    """Judge again what waits for ``about``, all of it now this case, and for a type that it has ``had``.

    What waits for another type waits for the case from now on, and for nothing else of ``about``; what waits
    for ``also`` waits for the case beside that. Returns how many are judged again.
    """
    named, connection = f"case:{case_id}", transaction.connection
    waited_for = [each for each in (*about, *also) if connection.execute(_IS_WAITED_FOR, (each,)).fetchone()]
    if not waited_for:
        return 0
    count = 0
    types = json.dumps([*had(), ANY])
    for (number,) in transaction.execute(_WAITING, json.dumps(waited_for), types).fetchall():
        row = arrivals.find(connection, number)
        if row is not None and row.state is ArrivalState.HELD and row.reason == FOR_PREDECESSOR:
            arrivals.keep(transaction, row, Event.RELEASE, row.reason)
            count += 1
        # It may lie there for long until it is judged: meanwhile nobody looks at it again.
        _forget(transaction, number)
    for each in waited_for:
        if each != named:
            transaction.execute(_THE_CASE_TOO, named, each)
        if each != named and each in about:
            transaction.execute("DELETE FROM awaited WHERE about = ?", each)
    return count


def _forget(transaction: Transaction, number: int) -> None:
    transaction.execute("DELETE FROM awaited WHERE arrival = ?", number)
