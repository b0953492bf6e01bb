"""What items that landed over a link lack: when they have it, and how much of that one link may pile up (C6).

Guarantees: what lacks nothing any more goes to the judge in groups, because one blob may complete thousands;
after a crash in between the next start goes on with it. A link whose waiting items lack very much lands
nothing more that lacks something: such a batch stays where it is, in its sender's custody, and is looked at
again when there is less. Leaves to others: fetching blobs, and who may know of one (``landing``).
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Final

from exchanged.batch import LandedBatch, LandedItem
from exchanged.ledger import Transaction, arrivals, batches, blobs
from exchanged.link_context import LinkContext
from exchanged.log import event_line
from exchanged.states import ArrivalState, Event

LACKED_A_LINK: Final = 8_192
"""Blobs that are lacked over one link, one counted for each item that waits for it.

Each look at the link and each acknowledgement goes through them.
"""
_COMPLETED_A_WRITE: Final = 256


@dataclass(slots=True)
class Needing:
    """Of one link. Call ``blobs_came`` in the step in which some did, and ``complete`` in each."""

    link: LinkContext
    # Blobs came that nobody has gone through yet; at a start nobody knows.
    _may_complete: bool = True
    _put_off: set[str] = field(default_factory=set)

    def blobs_came(self) -> None:
        """Some items may lack nothing any more."""
        self._may_complete = True

    def complete(self) -> None:
        """Let the judge have what lacks nothing any more, group by group."""
        ledger, link = self.link.ledger, self.link.name
        while self._may_complete:
            numbers = blobs.complete_arrivals(ledger.read(), link, _COMPLETED_A_WRITE)
            if numbers:
                ledger.write(lambda transaction, numbers=numbers: _are_complete(transaction, numbers))  # type: ignore[misc]
            self._may_complete = len(numbers) == _COMPLETED_A_WRITE
        if batches.needs_are_met(ledger.read(), link):
            ledger.write(lambda transaction: batches.clear_exceptions(transaction, link))

    def missing(self, transaction: Transaction, entry: LandedItem) -> set[str]:
        """The blobs that an item names and that the neighbour has not put here (C9)."""
        return {
            blob.digest
            for blob in entry.item.blobs
            if not blobs.is_present_for(transaction.connection, blob.digest, self.link.peer)
        }

    def puts_off(self, transaction: Transaction, name: str, batch: LandedBatch) -> bool:
        """The batch of that file name lacks blobs, and so much does already that it is not landed now."""
        if not any(self.missing(transaction, entry) for entry in batch.items):
            return False
        if not blobs.are_many_lacking(transaction.connection, self.link.name, LACKED_A_LINK):
            return False
        self._put_off.add(name)
        event_line("batch-put-off", level=30, link=self.link.name, number=batch.waybill.number or 0)
        return True

    def is_put_off(self, name: str) -> bool:
        """Nothing has become less since it was put off."""
        return name in self._put_off

    def forget_absent(self, files: Container[str]) -> None:
        """What this remembers is bounded by the files that lie there, and ends when there is room."""
        self._put_off = {name for name in self._put_off if name in files}
        connection = self.link.ledger.read()
        if self._put_off and not blobs.are_many_lacking(connection, self.link.name, LACKED_A_LINK):
            self._put_off.clear()


def _are_complete(transaction: Transaction, numbers: tuple[int, ...]) -> None:
    for number in numbers:
        row = arrivals.find(transaction.connection, number)
        if row is not None and row.state is ArrivalState.NEEDING:
            arrivals.keep(transaction, row, Event.BLOBS_COMPLETE, "")
