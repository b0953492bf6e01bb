"""A batch that a neighbour leaves lying although it speaks: put again under another name (C4, C5).

A file that was damaged where the key is named looks to its reader as if it were signed with a key that it
does not know yet: it waits for a directory, and answers nothing. So the first open batch of a link that lies
unanswered for a quarter of an hour, in which the neighbour was heard, is put anew; then after twice as long,
at last once a day.

Guarantees: number and items stay, so whoever has landed it knows it again; of a silent neighbour nothing is
concluded. Leaves to others: the new name (``resigning``), putting and removing (``offering``). Known limit:
one batch at a time, because what follows is confirmed with it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from exchanged.ledger import batches, restoring
from exchanged.ledger.rows import BatchRow
from exchanged.link_context import LinkContext
from exchanged.link_health import HEARD_AT
from exchanged.resigning import name_anew

FIRST_SECONDS: Final = 900.0
LAST_SECONDS: Final = 86_400.0


@dataclass(slots=True)
class Unread:
    """The batch that is first in line, since when it lies there, and what was heard last by then."""

    link: LinkContext
    _number: int = 0
    _since: float = 0.0
    _heard: str = ""
    _wait: float = FIRST_SECONDS

    def look(self, rows: Sequence[BatchRow], there: Collection[str]) -> None:
        """Give the first of these open batches another name when it is due. ``there``: what lies there."""
        first = next((row for row in rows if row.state == batches.COMMITTED), None)
        connection = self.link.ledger.read()
        if first is None or first.name not in there or restoring.is_going_on(connection):
            self._number = 0
            return
        now = self.link.clock.monotonic()
        heard = batches.recall(connection, self.link.name, HEARD_AT) or ""
        if first.number != self._number:
            self._number, self._since, self._heard, self._wait = first.number, now, heard, FIRST_SECONDS
        elif heard != self._heard and now - self._since >= self._wait:
            name_anew(self.link, first)
            self._since, self._heard, self._wait = now, heard, min(2 * self._wait, LAST_SECONDS)
