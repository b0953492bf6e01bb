"""What a packet waits for that came before its predecessor (C15): a type of packet, in one of these cases.

Guarantees: a case that changes wakes those whose predecessor it now has, and nobody else, however many wait:
who is woken does not come back to wait. Nothing is kept of an arrival that is gone.
"""

from __future__ import annotations

from collections.abc import Iterable
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

_WAITING: Final = (
    "SELECT DISTINCT arrival FROM awaited WHERE about IN ({}) AND type IN"
    " (SELECT business_type FROM case_history WHERE case_id = ? UNION SELECT ?) ORDER BY arrival"
)
_THE_CASE: Final = (
    "INSERT OR IGNORE INTO awaited SELECT ?, type, arrival FROM awaited WHERE about IN ({})"
)


@dataclass(frozen=True, slots=True)
class Awaited:
    """One packet of ``types`` (``ANY``: of any) in what ``about`` names (``about_case``)."""

    about: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


def about_case(cases: Iterable[str], numbers: Iterable[CaseNumber]) -> tuple[str, ...]:
    """These known cases, and whatever case these numbers may come to name: each once."""
    named = (f"number:{each.kind}:{canonical_case_number(each.value)}" for each in numbers)
    return tuple(dict.fromkeys((*(f"case:{case}" for case in cases), *named)))


def note(transaction: Transaction, row: ArrivalRow, awaited: Awaited) -> None:
    """The arrival waits for this from now on, and for nothing of before."""
    transaction.execute("DELETE FROM awaited WHERE arrival = ?", row.id)
    for about in awaited.about:
        for code in awaited.types:
            transaction.execute("INSERT INTO awaited VALUES (?, ?, ?)", about, code, row.id)


def release(transaction: Transaction, case_id: str, about: tuple[str, ...]) -> int:
    """Judge again what waits for ``about``, all of it now this case, and for a type that it has had.

    What waits for another type waits for the case from now on. Returns how many are judged again.
    """
    count = 0
    marks = ", ".join("?" * len(about))
    for (number,) in transaction.execute(_WAITING.format(marks), *about, case_id, ANY).fetchall():
        row = arrivals.find(transaction.connection, number)
        if row is not None and row.state is ArrivalState.HELD and row.reason == FOR_PREDECESSOR:
            arrivals.keep(transaction, row, Event.RELEASE, row.reason)
            count += 1
    transaction.execute(_THE_CASE.format(marks), f"case:{case_id}", *about)
    return count
