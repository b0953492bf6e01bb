"""Settle what the neighbour acknowledges: custody passes item by item, or comes back (C5, C6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

from exchanged import forks, given_back
from exchanged.hourly import is_within_hour
from exchanged.ledger import Transaction, arrivals, batches, blobs, effects, notes, packets
from exchanged.ledger.rows import BatchRow, PacketRow
from exchanged.link_health import ACKNOWLEDGED_AT, DAMAGED_THERE, NUMBER_USED_TWICE
from exchanged.receipts import Statements
from exchanged.states import DestinationState, Event
from packet_spec.identity import sha256_hex
from packet_spec.model import ItemKind
from packet_spec.waybill_model import Acknowledgement, BatchException, ExceptionKind, Waybill
from packet_spec.xml import FORMAT_VERSION

_HELD_TOLD: Final = "held-told"


class _Link(Protocol):
    """The part of a LinkContext that settling needs."""

    @property
    def name(self) -> str: ...
    @property
    def node(self) -> str: ...
    @property
    def peer(self) -> str: ...
    @property
    def incarnation(self) -> str: ...
    @property
    def statements(self) -> Statements: ...


@dataclass(slots=True)
class Settling:
    """Applies the neighbour's acknowledgements of one link.

    ``again`` collects blobs that the neighbour found corrupt in the mailbox and that must be put anew.
    """

    link: _Link
    again: set[str] = field(default_factory=set)
    _asked: dict[int, str] = field(default_factory=dict)

    def apply(self, transaction: Transaction, waybill: Waybill) -> None:
        """Apply the acknowledgement that ``waybill`` carries; an older one is ignored (C5)."""
        acknowledgement = waybill.acknowledgement
        if acknowledgement is None or not self._is_ours(acknowledgement):
            return
        if forks.note_answer(transaction, self.link.name, acknowledgement):
            # It settles what another copy of this ledger sent.
            return
        if waybill.incarnation != batches.current_incarnation(transaction.connection, self.link.name):
            # It may speak of a ledger that the neighbour has lost since (C23).
            return
        if not self._is_newer(transaction, waybill.incarnation, acknowledgement.counter):
            return
        exceptions = {exception.number: exception for exception in acknowledgement.exceptions}
        for batch in batches.open_batches(transaction.connection, self.link.name):
            if batch.number > acknowledgement.through or batch.state not in (
                batches.COMMITTED,
                batches.NEEDING,
            ):
                continue
            self._dispose(transaction, batch, exceptions.get(batch.number))

    def _is_ours(self, acknowledgement: Acknowledgement) -> bool:
        return (acknowledgement.from_node, acknowledgement.incarnation) == (
            self.link.node,
            self.link.incarnation,
        )

    def _is_newer(self, transaction: Transaction, incarnation: str, counter: int) -> bool:
        name = f"ack-counter:{incarnation}"
        last = int(batches.recall(transaction.connection, self.link.name, name) or "0")
        if counter <= last:
            return False
        batches.remember(transaction, self.link.name, name, str(counter))
        batches.remember(transaction, self.link.name, ACKNOWLEDGED_AT, transaction.stamp)
        return True

    def _dispose(self, transaction: Transaction, batch: BatchRow, exception: BatchException | None) -> None:
        if exception is None:
            self._settle(transaction, batch)
        elif exception.kind is ExceptionKind.BAD or _was_damaged(exception):
            self._give_back(transaction, batch, exception.detail)
        elif exception.kind is ExceptionKind.NEED:
            self._needs(transaction, batch, exception)
        else:
            self._is_held(transaction, batch, exception.detail)

    def _settle(self, transaction: Transaction, batch: BatchRow) -> None:
        """Custody of everything in the batch has passed."""
        self._hand_over(transaction, batch, frozenset())
        for digest in batches.batch_blobs(transaction.connection, batch.id):
            blobs.entitle(transaction, digest, self.link.peer)
        notes.forget_brief(transaction, batch.id)
        batches.settle(transaction, batch.id)
        given_back.note_good(transaction, self.link.name)
        self._asked.pop(batch.number, None)

    def _needs(self, transaction: Transaction, batch: BatchRow, exception: BatchException) -> None:
        """Packets that lack a blob there stay in our custody; the others have passed (C6).

        Blobs that nothing in the batch names keep nothing of it here, whatever the neighbour wants with them.
        """
        named = batches.batch_blobs(transaction.connection, batch.id)
        needed = frozenset(exception.blobs).intersection(named)
        if not needed:
            self._settle(transaction, batch)
            return
        # Told in every acknowledgement until the blob is good; only when it happened once more it is news.
        if exception.detail.startswith("again") and self._asked.get(batch.number) != exception.detail:
            self._asked[batch.number] = exception.detail
            self.again |= needed
        told = sha256_hex(" ".join(sorted(needed)).encode())
        if batch.told == told:
            # Nothing has changed, however often it is said.
            return
        for digest in needed:
            blobs.strip_title(transaction, digest, self.link.peer)
        batches.need_blobs(transaction, batch.id, needed, told)
        self._hand_over(transaction, batch, needed)

    def _is_held(self, transaction: Transaction, batch: BatchRow, detail: str) -> None:
        """Said in every acknowledgement, told when it is news; of words that change always, now and then."""
        told = sha256_hex(f"{ExceptionKind.HELD} {detail}".encode())
        if batch.told == told or not is_within_hour(transaction, self.link.name, _HELD_TOLD):
            return
        batches.note_told(transaction, batch.id, told)
        transaction.event(
            "batch-held-by-neighbour",
            detail={"link": self.link.name, "number": batch.number, "detail": detail},
        )

    def _hand_over(self, transaction: Transaction, batch: BatchRow, needed: frozenset[str]) -> None:
        for reference in batches.offered_without(transaction.connection, batch.id, needed):
            packet = packets.get(transaction.connection, reference)
            event = Event.HAND_ON if packet.transit else Event.ACKNOWLEDGE
            moved = self._move_offered(transaction, packet, event, batch)
            if moved and packet.transit:
                arrivals.release_held_of(transaction, packet.key, arrivals.PASSES_ALREADY)
            if moved and not packet.own:
                self.link.statements.note_hop(
                    transaction, packet.key, packet.seal_digest, packet.landed_at, self.link.peer
                )

    def _give_back(self, transaction: Transaction, batch: BatchRow, detail: str) -> None:
        transaction.event(
            "batch-bad-at-neighbour",
            detail={"link": self.link.name, "number": batch.number, "detail": detail},
        )
        given_back.note_bad(transaction, self.link.name)
        if detail != NUMBER_USED_TWICE:
            batches.remember(transaction, self.link.name, DAMAGED_THERE, transaction.stamp)
        for kind, reference in batches.still_carried(transaction.connection, batch.id):
            if kind is ItemKind.PACKET:
                packet = packets.get(transaction.connection, reference)
                self._move_offered(transaction, packet, Event.BATCH_BAD, batch)
        batches.give_back(transaction, batch.id)

    def _move_offered(
        self, transaction: Transaction, packet: PacketRow, event: Event, batch: BatchRow
    ) -> bool:
        moved = False
        for destination in packets.destinations(transaction.connection, packet.id):
            if destination.link == self.link.name and destination.state is DestinationState.OFFERED:
                packets.move(transaction, packet, destination, event, detail={"batch": batch.number})
                moved = True
        if moved and packet.own:
            # The admitting node mostly says "accepted" within seconds: then one status file tells both.
            effects.intend_by_the_way(transaction, "status", f"packet:{packet.id}")
        return moved


def _was_damaged(exception: BatchException) -> bool:
    """Held for a version that it does not bear: we wrote one that the neighbour speaks, as it says itself."""
    words = exception.detail.split()
    return words[:1] == ["speaks"] and FORMAT_VERSION in words
