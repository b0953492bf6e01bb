"""Silent loss: a drop that should have come, did not, and of which nobody says anything."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from certainty.sweep.ledgers import copied
from certainty.sweep.outside import View
from exchanged.places import LEDGER_FILE

_TOLD_AS_THERE: Final = frozenset({"delivered", "collected", "signed"})
_OVERDUE: Final = '%"receipt-overdue"%'
_KEPT_BACK: Final = frozenset({"held", "quarantined"})


def silent(expected: View, found: View, *, is_named: bool) -> Iterator[tuple[str, str]]:
    """Drops that should have come and did not, though nobody says so: an invariant and a sentence for each.

    ``is_named``: a node told an error, keeps something back, misses a receipt, or has a ledger that is told
    as changed. What is told as delivered must have come, whatever else is told.
    """
    came = sum(times for _, times in found.appeared)
    if came >= sum(times for _, times in expected.appeared):
        return
    for name, status in expected.statuses.items():
        if status.split(" ")[0] not in _TOLD_AS_THERE:
            continue
        state, _, final = found.statuses.get(name, "without a status False").rpartition(" ")
        if state in _TOLD_AS_THERE:
            yield "I7", f"told as {state}, and never appeared: {name}"
        elif not is_named and final != "True" and state != "held":
            yield "I1", f"never appeared, is {state}, and no node says why: {name}"


def tells(data: Path) -> bool:
    """Whether that ledger shows a person something that is held or worse, or that a receipt is overdue."""
    copy = copied(data / LEDGER_FILE)
    try:
        with closing(sqlite3.connect(copy)) as connection:
            states = {
                str(row[0])
                for table in ("arrival", "destination", "packet")
                for row in connection.execute(f"SELECT DISTINCT state FROM {table}")  # noqa: S608
            }
            (overdue,) = connection.execute(
                "SELECT count(*) FROM event WHERE kind = 'notice-raised' AND detail LIKE ?", (_OVERDUE,)
            ).fetchone()
    except sqlite3.DatabaseError:
        # Told as damaged elsewhere, or not at all.
        return False
    finally:
        shutil.rmtree(copy.parent)
    return bool(overdue or states & _KEPT_BACK)
