"""Receipts, hop notes and notes that a link brought: verify, keep, apply, send on (C5, C21, C23).

A receipt moves a destination only when it speaks of the very content that this node knows under that
identity, under its seal or as the same attempt. One about an earlier attempt is shown to the sender; any
other is kept and told. Receipts are idempotent: the same bytes change nothing twice, and a late one never
moves a state back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from exchanged.concerning import check_hop, check_new_hop_here, check_new_receipt_here, check_receipt
from exchanged.decisions import Held, Suspicious
from exchanged.ledger import (
    Transaction,
    arrivals,
    batches,
    blobs,
    cases,
    effects,
    log_views,
    notes,
    packets,
    restoring,
    statements,
    undecided,
)
from exchanged.ledger.rows import ArrivalRow, PacketRow
from exchanged.readmission import note_case
from exchanged.recalling import settle_by_receipts
from exchanged.receipts import URGENT, Statements
from exchanged.routing import RouteKind
from exchanged.states import EVENT_OF_RECEIPT, FINAL_DESTINATIONS, DestinationState, Event, allows
from exchanged.trust import Trust
from packet_spec.authority import check_hop_authority, check_note_authority, check_receipt_authority
from packet_spec.errors import AuthorityError, FormatError
from packet_spec.hop import open_hop
from packet_spec.identity import PacketKey, sha256_hex
from packet_spec.model import CaseNumber, ItemKind, NodeRole, Receipt, ReceiptKind
from packet_spec.note import Note, open_note
from packet_spec.note_rules import may_send_note
from packet_spec.receipt import open_receipt
from packet_spec.restoring import Numbers

# It came whole, and it never came: no two of these can both be true of one delivery.
_CAME: Final = frozenset({DestinationState.DELIVERED, DestinationState.COLLECTED, DestinationState.SIGNED})
_NEVER_CAME: Final = frozenset(
    {DestinationState.UNDELIVERABLE, DestinationState.EXPIRED, DestinationState.CANCELLED}
)
# A delivery is answered once (C22).
_ANSWERS: Final = frozenset({DestinationState.SIGNED, DestinationState.REFUSED})


class NoteHandler(Protocol):
    """What a node does with the notes of one kind that are for it."""

    def take(self, transaction: Transaction, note: Note, row: ArrivalRow) -> bool:
        """Do what the note asks for; it was verified. False: nothing came of it, and it is not kept.

        The same words may come twice, after a restore for example. Raises Held, Suspicious, or as ``apply``,
        before anything is written: then the note waits or is set aside.
        """


@dataclass(frozen=True, slots=True)
class Applying:
    """Applies verified statements at one node."""

    node: str
    trust: Trust
    statements: Statements
    handlers: Mapping[str, NoteHandler] = field(default_factory=dict)

    def apply(self, transaction: Transaction, row: ArrivalRow, document: bytes) -> None:
        """Apply one landed statement and finish its arrival.

        Raises UnknownKeyError (hold), SignatureError, AuthorityError or FormatError (quarantine).
        """
        if row.kind is ItemKind.RECEIPT:
            self._receipt(transaction, row, document)
        elif row.kind is ItemKind.HOP:
            self._hop(transaction, row, document)
        else:
            self._note(transaction, row, document)

    def _note(self, transaction: Transaction, row: ArrivalRow, document: bytes) -> None:
        note, key_id = open_note(document, self.trust.key)
        _require_same(row.key, note.key)
        check_note_authority(self.trust.directory, note, key_id, transaction.now)
        if not self.statements.is_on_its_road(note, row.link):
            raise Suspicious("note-by-a-wrong-road")
        if notes.is_known(transaction.connection, document):
            arrivals.finish(transaction, row, Event.REPEAT)
            return
        # Recorded last: what is held is not known yet, and must be looked at again.
        if may_send_note(self.trust.directory, note.kind, note.from_node, note.to_node) is None:
            # A newer program may know who may say that to whom; before, nothing is passed on either.
            raise Held("unknown-note-kind")
        if note.to_node != self.node:
            self.statements.pass_note_on(transaction, note, document, came_by=row.link)
        elif (handler := self.handlers.get(note.kind)) is None:
            raise Held("unknown-note-kind")
        elif handler.take(transaction, note, row):
            notes.record(transaction, note, document)
        arrivals.finish(transaction, row, Event.ADMIT)

    def _hop(self, transaction: Transaction, row: ArrivalRow, document: bytes) -> None:
        hop, key_id = open_hop(document, self.trust.key)
        _require_same(row.key, hop.key)
        check_hop_authority(self.trust.directory, hop, key_id, transaction.now)
        number = statements.record_hop(transaction, hop, document)
        if number is None:
            arrivals.finish(transaction, row, Event.REPEAT)
            return
        check_hop(transaction, self.trust.directory, self.node, self.statements.peer_of(row.link), hop)
        check_new_hop_here(transaction, self.trust.directory, hop, key_id, row.link)
        self.statements.send_to_agency(transaction, ItemKind.HOP, number, hop.key.sender, came_by=row.link)
        arrivals.finish(transaction, row, Event.ADMIT)

    def _receipt(self, transaction: Transaction, row: ArrivalRow, document: bytes) -> None:
        receipt, key_id = open_receipt(document, self.trust.key)
        _require_same(row.key, receipt.key)
        try:
            check_receipt_authority(self.trust.directory, receipt, key_id, transaction.now)
        except AuthorityError as error:
            detail = {"kind": receipt.kind.value, "key": key_id}
            raise Suspicious(
                error.reference,
                by_directory=True,
                beside=lambda tx: tx.event("receipt-without-authority", receipt.key, detail=detail),
            ) from error
        if not self.statements.has_road(receipt.key.sender, came_by=row.link):
            # Recorded here and never sent on it would be lost to its sender.
            raise Held(RouteKind.UNKNOWN.value)
        is_ours = self.statements.is_ours(receipt.issued_by)
        if not statements.is_recorded(transaction.connection, document):
            self._check_new(transaction, row, receipt, key_id, is_ours=is_ours)
        number = statements.record_receipt(transaction, receipt, document, own=is_ours)
        if number is not None and is_ours:
            # Given back after a restore (C23): it counts as it did, and its number is never used again.
            restoring.skip_numbers(transaction, Numbers(receipt=receipt.number, issued_at=receipt.issued_at))
        if number is not None and receipt.kind is ReceiptKind.ACCEPTED and self._is_front_end():
            log_views.await_accepted(transaction, receipt, sha256_hex(document))
        packet = packets.find(transaction.connection, receipt.key)
        if number is None:
            if self._passes_through(receipt.key.sender):
                # On its way back from the admitting node, or asked for again: in between nothing ends.
                number = statements.number_of(transaction.connection, document)
                self._send_on(transaction, number, receipt, row.link)
                if packet is not None and packet.transit and receipt.kind is ReceiptKind.ACCEPTED:
                    self._follow(transaction, packet, number, row.link)
            arrivals.finish(transaction, row, Event.REPEAT)
            return
        if packet is not None:
            if is_ours:
                settle_by_receipts(transaction, packet)
                note_case(transaction, packet)
            self._apply_to(transaction, packet, receipt, number)
            if packet.transit and receipt.kind is ReceiptKind.ACCEPTED:
                self._follow(transaction, packet, number, row.link)
        self._send_on(transaction, number, receipt, row.link)
        if receipt.kind is ReceiptKind.ACCEPTED:
            arrivals.release_held_of(transaction, receipt.key, arrivals.WAITING_FOR_ACCEPTED)
        arrivals.finish(transaction, row, Event.ADMIT)

    def _check_new(
        self, transaction: Transaction, row: ArrivalRow, receipt: Receipt, key_id: str, *, is_ours: bool
    ) -> None:
        """The road first: what was forged by a third is set aside, and waits for no directory."""
        directory = self.trust.directory
        if not is_ours:
            peer = self.statements.peer_of(row.link)
            check_receipt(transaction, directory, self.node, peer, receipt, row.link)
        check_new_receipt_here(transaction, directory, receipt, key_id, row)

    def _is_front_end(self) -> bool:
        node = self.trust.directory.node(self.node)
        return node is not None and node.role is NodeRole.FRONTEND

    def _passes_through(self, sender: str) -> bool:
        """This node neither seals nor admits for that sender."""
        agency = self.trust.directory.agency(sender)
        return agency is not None and self.node not in (agency.node, agency.admitting_node)

    def _send_on(self, transaction: Transaction, number: int, receipt: Receipt, came_by: str) -> None:
        self.statements.send_to_agency(
            transaction, ItemKind.RECEIPT, number, receipt.key.sender, came_by=came_by
        )

    def _apply_to(self, transaction: Transaction, packet: PacketRow, receipt: Receipt, number: int) -> None:
        if not packet.is_meant_by(receipt.attempt, receipt.content_digest, receipt.seal_digest):
            if packet.own and _is_of_earlier_attempt(transaction, packet, receipt):
                # A delivery that was refused may have been opened since. It is true, and its sender is told.
                transaction.event(
                    "receipt-of-earlier-attempt",
                    packet.key,
                    recipient=receipt.recipient,
                    detail={"kind": receipt.kind.value, "attempt": receipt.attempt},
                )
                self._tell_sender(transaction, packet, number)
                return
            transaction.event(
                "receipt-for-other-content",
                packet.key,
                recipient=receipt.recipient,
                detail={"kind": receipt.kind.value, "attempt": receipt.attempt},
            )
            return
        if receipt.kind is ReceiptKind.EXPIRED and self._is_late(packet, receipt):
            transaction.event(
                "receipt-contradicted",
                packet.key,
                recipient=receipt.recipient,
                detail={"kind": receipt.kind.value, "by": receipt.issued_by},
            )
            return
        event = EVENT_OF_RECEIPT[receipt.kind]
        if not packet.own and receipt.kind is ReceiptKind.ACCEPTED:
            # Here custody alone counts: an accepted packet still has to be handed on.
            return
        if packet.own and receipt.kind is ReceiptKind.ACCEPTED:
            # Also where it comes late, and moves no state any more.
            self._note_case(transaction, packet)
        was_on_hold = False
        for destination in packets.destinations(transaction.connection, packet.id):
            if receipt.recipient and destination.recipient != receipt.recipient:
                continue
            is_odd = _contradict(destination.state, receipt.kind)
            if is_odd:
                transaction.event(
                    "receipt-contradicted",
                    packet.key,
                    recipient=destination.recipient,
                    detail={
                        "kind": receipt.kind.value,
                        "by": receipt.issued_by,
                        "state": destination.state.value,
                    },
                )
            if allows(destination.state, event) and not _is_for_delivery_here(packet, destination.link):
                packets.move(transaction, packet, destination, event, detail={"by": receipt.issued_by})
                was_on_hold |= destination.state is DestinationState.ON_HOLD
            elif (
                destination.state in FINAL_DESTINATIONS
                and receipt.kind is not ReceiptKind.ACCEPTED
                and not is_odd
            ):
                transaction.event(
                    "receipt-noted",
                    packet.key,
                    recipient=destination.recipient,
                    detail={"kind": receipt.kind.value, "state": destination.state.value},
                )
        if was_on_hold:
            let_go_on(transaction, packet)
        if receipt.kind is ReceiptKind.DELIVERED and receipt.recipient in packet.recipients:
            self._entitle(transaction, receipt)
        if packet.own:
            self._tell_sender(transaction, packet, number)

    def _tell_sender(self, transaction: Transaction, packet: PacketRow, number: int) -> None:
        effects.intend(transaction, "receipt-file", str(number))
        effects.intend(transaction, "status", f"packet:{packet.id}")
        transaction.wake("intake")
        undecided.wake_behind(transaction, packet.id)

    def _follow(self, transaction: Transaction, packet: PacketRow, number: int, came_by: str) -> None:
        """A receiver can do nothing with a packet whose ``accepted`` receipt stayed behind here (C14)."""
        links = {row.link for row in packets.destinations(transaction.connection, packet.id)}
        for link in sorted(links - {came_by, ""}):
            batches.enqueue(transaction, link, ItemKind.RECEIPT, number, URGENT, of=packet.key.sender)

    def _is_late(self, packet: PacketRow, receipt: Receipt) -> bool:
        """The sender says that its packet expired with it, and here it is: it had left (C18)."""
        sender = self.trust.directory.agency(packet.key.sender)
        return not packet.own and sender is not None and receipt.issued_by in (sender.code, sender.node)

    def _note_case(self, transaction: Transaction, packet: PacketRow) -> None:
        """Point to point each side admits the other's packets, so each must know its own as well (C17).

        By its first case number, the one that stands in the ledger.
        """
        sender = self.trust.directory.agency(packet.key.sender)
        admitting = None if sender is None else self.trust.directory.node(sender.admitting_node)
        kind, colon, value = packet.case_key.partition(":")
        if admitting is None or admitting.role is not NodeRole.FRONTEND or not colon:
            return
        numbers = (CaseNumber(kind, value),)
        cases.record(
            transaction,
            cases.name_for(transaction.connection, packet.key, packet.attempt, numbers),
            (),
            numbers,
            (packet.key.sender, *packet.recipients),
            packet.business_type,
            packet.key,
        )

    def _entitle(self, transaction: Transaction, receipt: Receipt) -> None:
        """The receiver has proved that it holds the packet's blobs (C9)."""
        agency = self.trust.directory.agency(receipt.recipient)
        if agency is not None:
            for blob in blobs.references(transaction.connection, receipt.key):
                blobs.entitle(transaction, blob.digest, agency.node)


def _is_of_earlier_attempt(transaction: Transaction, packet: PacketRow, receipt: Receipt) -> bool:
    """It speaks of what a higher attempt has replaced (C12).

    Each attempt has the content of the one before. Where it was encrypted the bytes differ each time: then
    what its admitting node accepted says what it was.
    """
    if receipt.attempt >= packet.attempt:
        return False
    if receipt.content_digest == packet.content_digest:
        return True
    return any(
        each.kind == ReceiptKind.ACCEPTED.value
        and each.attempt == receipt.attempt
        and each.speaks_of(receipt.content_digest, receipt.seal_digest)
        for each in statements.summaries_of(transaction.connection, packet.key)
    )


def let_go_on(transaction: Transaction, packet: PacketRow) -> None:
    """Where nobody behind a link is on hold any more, nothing is left that an operator could release."""
    states: dict[str, set[DestinationState]] = {}
    for row in packets.destinations(transaction.connection, packet.id):
        states.setdefault(row.link, set()).add(row.state)
    for link, found in states.items():
        if DestinationState.ON_HOLD not in found:
            batches.set_held(transaction, link, ItemKind.PACKET, packet.id, held=False)


def _is_for_delivery_here(packet: PacketRow, link: str) -> bool:
    """At the delivering front-end only the delivery itself moves the destination."""
    return not packet.own and not link


def _require_same(announced: PacketKey, found: PacketKey) -> None:
    if announced != found:
        raise FormatError("a statement speaks of another packet than the waybill says")


def _contradict(state: DestinationState, kind: ReceiptKind) -> bool:
    """What is known and what is said now are not both true (C18, C22). Whoever reads the ledger is told."""
    if kind is ReceiptKind.ACCEPTED:
        return False
    said = DestinationState(kind.value)
    pair = {state, said}
    return bool(pair & _CAME and pair & _NEVER_CAME) or pair == _ANSWERS
