"""What deciding about an arrival can come to, other than that it moves on: it is held, or suspicious.

Guarantees: whoever raises ``Held`` or ``Suspicious`` has decided nothing else: what was written before is
undone (``judge``). Who holds or quarantines and writes more beside it calls ``hold`` or ``quarantine``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from exchanged.ledger import Transaction, arrivals
from exchanged.ledger.awaited import Awaited
from exchanged.ledger.rows import ArrivalRow
from exchanged.log import event_line
from exchanged.states import Event

DIRECTORY_BEHIND: Final = "directory-behind"
"""The reason of what waits for the directory that the neighbour has: a newer one releases it at once."""
DIRECTORY_BEHIND_SECONDS: Final = 600.0
"""A neighbour that was set back may say that it has an older one after all."""


class Held(Exception):  # noqa: N818 - a decision, not an error
    """The packet cannot be decided now: ``reason`` (kebab-case), to be looked at again later.

    ``awaits``: what wakes it before (``ledger.awaited``).
    """

    def __init__(
        self, reason: str, again_in_seconds: float | None = None, awaits: Awaited | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.again_in_seconds = again_in_seconds
        self.awaits = awaits


class Suspicious(Exception):  # noqa: N818 - a decision, not an error
    """The packet is not what it claims to be: ``reason`` (kebab-case); a person must look.

    ``by_directory``: only the directory says so, which may be old. ``beside`` writes what else is to be told.
    """

    def __init__(
        self,
        reason: str,
        *,
        by_directory: bool = False,
        beside: Callable[[Transaction], None] = lambda _: None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.by_directory = by_directory
        self.beside = beside


def hold(
    transaction: Transaction, row: ArrivalRow, reason: str, seconds: float | None = None, note: str = ""
) -> None:
    """Hold the arrival, for so long or until something releases it. ``note`` is for people."""
    again = None if seconds is None else transaction.now + timedelta(seconds=seconds)
    if arrivals.keep(transaction, row, Event.HOLD, reason, retry_at=again, note=note):
        event_line("held", level=30, packet=str(row.key), item=row.kind.value, reason=reason, link=row.link)
    transaction.wake("judge")


def quarantine(transaction: Transaction, row: ArrivalRow, reason: str) -> None:
    """Set the arrival aside until a person has looked."""
    arrivals.keep(transaction, row, Event.QUARANTINE, reason)
    transaction.event("security", row.key, detail={"reason": reason, "link": row.link})
    event_line(
        "quarantined", level=40, packet=str(row.key), item=row.kind.value, reason=reason, link=row.link
    )
