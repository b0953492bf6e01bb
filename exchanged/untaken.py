"""A directory or pack in the mailbox that the neighbour lacks although it speaks: put again (C24).

It may have been damaged where it lies: then its reader refuses it, and can say no more than that it lacks it
still. So it is put anew after a quarter of an hour in which the neighbour was heard, then after twice as
long, at last once a day.

Guarantees: of a silent neighbour nothing is concluded, and one that never takes it costs a few files a day.
Leaves to others: what the neighbour lacks (``published``), putting and removing (``offering``). Known limit:
after a start the quarter of an hour begins anew.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from exchanged.ledger import batches
from exchanged.link_context import LinkContext
from exchanged.link_health import HEARD_AT
from exchanged.log import event_line

FIRST_SECONDS: Final = 900.0
LAST_SECONDS: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class _Lying:
    """Since when one file lies there, what was heard last by then, and how long it may."""

    since: float
    heard: str
    wait: float


@dataclass(slots=True)
class Untaken:
    """What is published over one link."""

    link: LinkContext
    _lying: dict[str, _Lying] = field(default_factory=dict)

    def look(self, wanted: Collection[str], there: set[str]) -> None:
        """Take out of ``there``, what lies there, those of the ``wanted`` files that are to be put again."""
        self._lying = {name: lying for name, lying in self._lying.items() if name in wanted}
        lying_there = there.intersection(wanted)
        if not lying_there:
            return
        now = self.link.clock.monotonic()
        heard = batches.recall(self.link.ledger.read(), self.link.name, HEARD_AT) or ""
        for name in lying_there:
            lying = self._lying.get(name)
            if lying is None:
                self._lying[name] = _Lying(now, heard, FIRST_SECONDS)
            elif heard != lying.heard and now - lying.since >= lying.wait:
                there.discard(name)
                self._lying[name] = _Lying(now, heard, min(2 * lying.wait, LAST_SECONDS))
                event_line("published-put-again", link=self.link.name, file=name)
