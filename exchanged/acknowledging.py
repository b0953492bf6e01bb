"""What every waybill of a link says beside its items, and when that is said in a file of its own (C4, C5).

Each batch bears the acknowledgement of the other direction. Its own file, which the next one replaces, is put
at once when it tells anything but progress. Mere progress waits ``HOLD_SECONDS`` for a batch to ride on: the
receipts for what has just landed mostly come by then, and an upload and a look of the neighbour are saved.
The file says so as well, ``BEHIND_SECONDS`` later at most, for whoever could not read the batch, or has lost
what it said.

Guarantees: only progress waits, no longer than that, and never behind anything that takes time; it rides on a
small batch alone that lies in the mailbox; the first acknowledgement of a process is put before its batches,
so that none of an earlier incarnation lies beside a batch of this one. Leaves to others: what is acknowledged
(``landing``), when it seems unread (``ack_again``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from exchanged import forks
from exchanged.ack_again import AckAgain
from exchanged.batch import BatchSource
from exchanged.landing import Landing
from exchanged.ledger import Transaction, batches
from exchanged.link_context import LinkContext
from exchanged.mailbox import ACKNOWLEDGEMENT_NAME
from exchanged.published import lacked_here
from exchanged.putting import Putting
from packet_spec.signing import PrivateKey
from packet_spec.waybill import SPEAKS, encode_waybill, sign_waybill
from packet_spec.waybill_model import Acknowledgement, BatchException, ExceptionKind, Waybill, WaybillItem

SIGN_OF_LIFE_SECONDS: Final = 3600
# A receipt follows its packet sooner, and for custody to pass waits only the room of a mailbox.
HOLD_SECONDS: Final = 0.15
BEHIND_SECONDS: Final = 5.0

# What an acknowledgement tells, without counter and times; the progress apart from the rest.
News = tuple[int, tuple[object, ...]]


@dataclass(slots=True)
class Acknowledging:
    """Acknowledges for one link."""

    link: LinkContext
    landing: Landing
    putting: Putting
    _again: AckAgain = field(init=False)
    # What the file tells, and what a batch told last.
    _told: News | None = None
    _rode: News | None = None
    # When the file must tell what nothing tells yet, and what only a batch does.
    _hold_until: float | None = None
    _behind_until: float | None = None

    def __post_init__(self) -> None:
        self._again = AckAgain(self.link.clock, self.link.randomness, SIGN_OF_LIFE_SECONDS)

    @property
    def waits(self) -> float | None:
        """In how many seconds the file must tell more; None: it tells everything."""
        due = [until for until in (self._hold_until, self._behind_until) if until is not None]
        return max(0.0, min(due) - self.link.clock.monotonic()) if due else None

    def may_ride(self, current: Acknowledgement | None) -> bool:
        """A small batch may be put before the file, and tell it."""
        return self._is_progress(self._news(current))

    def note_ridden(self, current: Acknowledgement | None) -> None:
        """A batch that tells it lies in the mailbox."""
        self._rode = self._news(current)

    def put(self, current: Acknowledgement | None, *, may_wait: bool = False) -> bool:
        """Put the file when it must tell more. True when it was put. ``may_wait``: the next step is near."""
        news = self._news(current)
        if (may_wait or news == self._rode) and self._waits(news):
            return False
        is_news = news != self._told or ACKNOWLEDGEMENT_NAME not in self.putting.there
        if not is_news and not self._again.is_due(self.landing.lying):
            return False
        key = self.link.link_key(self.link.clock.now())
        data = self.link.ledger.write(
            lambda transaction: encode_waybill(self.waybill(transaction, key, None, ()))
        )
        source = BatchSource(self.link.spool, data, sign_waybill(data, key), (), ())
        if not self.putting.put_beside(ACKNOWLEDGEMENT_NAME, source):
            return False
        self._told, self._rode, self._hold_until, self._behind_until = news, None, None, None
        if is_news:
            self._again.note_news()
        return True

    def _is_progress(self, news: News) -> bool:
        """What the file tells there is all true still, but not all that has landed."""
        is_there = ACKNOWLEDGEMENT_NAME in self.putting.there
        return is_there and self._told is not None and news[1] == self._told[1]

    def _waits(self, news: News) -> bool:
        if news == self._told or not self._is_progress(news):
            return False
        now = self.link.clock.monotonic()
        if self._behind_until is None:
            self._behind_until = now + BEHIND_SECONDS
        if news == self._rode:
            self._hold_until = None
        elif self._hold_until is None:
            self._hold_until = now + HOLD_SECONDS
        return self.waits != 0.0

    def waybill(
        self, transaction: Transaction, key: PrivateKey, number: int | None, items: tuple[WaybillItem, ...]
    ) -> Waybill:
        """The waybill of a batch, or of the file, as of this transaction."""
        return Waybill(
            speaks=SPEAKS,
            from_node=self.link.node,
            to_node=self.link.peer,
            incarnation=self.link.incarnation,
            number=number,
            items=items,
            acknowledgement=self._acknowledgement(transaction),
            ledger_head=transaction.head,
            events=transaction.head_id,
            directory_epoch=self.link.trust.edition.epoch,
            directory_version=self.link.trust.edition.version,
            lacks=lacked_here(self.link),
            sent_at=transaction.now,
            key_id=key.key_id,
        )

    def _acknowledgement(self, transaction: Transaction) -> Acknowledgement | None:
        current = batches.acknowledgement(transaction.connection, self.link.name, self.link.peer)
        if current is None:
            return None
        counter = transaction.next_number(f"ack-counter:{self.link.name}")
        exceptions = tuple(self._detailed(exception) for exception in current.exceptions)
        if said := forks.what_to_say(transaction.connection, self.link.name):
            # Of the next number: nothing is disposed of by it.
            held = BatchException(current.through + 1, ExceptionKind.HELD, said)
            exceptions = (*(each for each in exceptions if each.number != held.number), held)
        return Acknowledgement(current.from_node, current.incarnation, current.through, counter, exceptions)

    def _detailed(self, exception: BatchException) -> BatchException:
        """``again N`` asks the neighbour to put blobs anew whose mailbox files were corrupt N times (C8)."""
        corrupt = sum(map(self.landing.blobs.corrupt.times, exception.blobs))
        if exception.kind is ExceptionKind.NEED and corrupt:
            return BatchException(exception.number, exception.kind, f"again {corrupt}", exception.blobs)
        return exception

    def _news(self, current: Acknowledgement | None) -> News:
        """What an acknowledgement would tell now.

        The hour belongs to it: an idle link shows a sign of life every hour, with the clock of this node.
        """
        hour = int(self.link.clock.now().timestamp() // SIGN_OF_LIFE_SECONDS)
        said = forks.what_to_say(self.link.ledger.read(), self.link.name)
        # Under a new key as well: under one that ended nobody believes what it says.
        key_id = self.link.link_key(self.link.clock.now()).key_id
        always = (self.link.trust.edition, lacked_here(self.link), hour, said, key_id)
        if current is None:
            return 0, ("nothing", *always)
        exceptions = tuple(self._detailed(exception) for exception in current.exceptions)
        return current.through, (current.incarnation, exceptions, *always)
