"""What an admitting node does with a packet that it decided about before its ledger was restored (C23).

Guarantees: an earlier ``accepted`` receipt is adopted: the legal clock stands where it stood, the packet is
not judged again, and goes on to whoever has not receipted it yet. An earlier refusal stays one. A packet that
was only remembered gets its bytes. Its place in the case is that of its acceptance. On others' bare word
nothing is accepted and nobody becomes party to a case.
"""

from __future__ import annotations

from collections.abc import Mapping

from exchanged.examine import Examined
from exchanged.ledger import (
    Transaction,
    arrivals,
    batches,
    blobs,
    cases,
    packets,
    restoring,
    seals,
    search,
    statements,
)
from exchanged.ledger.rows import ArrivalRow, PacketRow, ReceiptSummary
from exchanged.ledger.times import stamp
from exchanged.recalling import settle_by_receipts
from exchanged.receipts import ORDINARY, URGENT, Statements
from exchanged.states import DestinationState, Event, PacketState
from exchanged.storing import relations_of, store
from packet_spec.identity import PacketKey
from packet_spec.model import ItemKind, Packet, Priority, ReceiptKind, Seal
from packet_spec.seal_document import blob_parts
from packet_spec.waybill_model import BlobReference

_LIES_THERE: frozenset[str] = frozenset(
    {ReceiptKind.DELIVERED, ReceiptKind.COLLECTED, ReceiptKind.SIGNED}
)


def adopted_verdict(transaction: Transaction, seal: Seal) -> ReceiptSummary | None:
    """What this node said of that attempt of the whole packet before it forgot.

    The first ``accepted``, else the first ``refused``.
    """
    said = [
        row
        for row in statements.summaries_of(transaction.connection, seal.key)
        if row.own and row.attempt == seal.attempt and row.content_digest == seal.content_digest
    ]
    for kind in (ReceiptKind.ACCEPTED, ReceiptKind.REFUSED):
        for row in said:
            if row.kind == kind.value and not row.recipient:
                return row
    return None


def is_remembered(known: PacketRow, seal: Seal) -> bool:
    """The packet is under way, known by others' word alone, and these are its bytes."""
    return (
        known.state is PacketState.ACTIVE
        and known.bytes_at is None
        and (known.attempt, known.content_digest) == (seal.attempt, seal.content_digest)
    )


def is_told_wrong(transaction: Transaction, known: PacketRow, seal: Seal) -> bool:
    """What this node decided about is remembered by others' word, with other recipients than in its seal.

    Its content says who they are: whoever leaves one out would keep it from him.
    """
    return (
        not known.own
        and not known.transit
        and known.bytes_at is None
        and (known.attempt, known.content_digest) == (seal.attempt, seal.content_digest)
        and known.recipients != seal.recipients
        and not seals.states(transaction.connection, known)
    )


def was_accepted(transaction: Transaction, key: PacketKey, attempt: int, content_digest: str) -> bool:
    """This node's own ``accepted`` receipt for that attempt and content is recorded."""
    return any(
        row.own and row.kind == ReceiptKind.ACCEPTED.value and not row.recipient
        and (row.attempt, row.content_digest) == (attempt, content_digest)
        for row in statements.summaries_of(transaction.connection, key)
    )  # fmt: skip


def lies_with_all(transaction: Transaction, seal: Seal) -> bool:
    """Every recipient has signed that this attempt is with it."""
    signed = {
        row.recipient
        for row in statements.summaries_of(transaction.connection, seal.key)
        if row.kind in _LIES_THERE
        and (row.attempt, row.content_digest) == (seal.attempt, seal.content_digest)
    }
    return signed.issuperset(seal.recipients)


def note_case(transaction: Transaction, packet: PacketRow) -> None:
    """The case index and the order in the case know a remembered packet by its first number (C15, C17).

    Only what this node accepted, by its own receipt: anybody may say in which case his packet was.
    """
    case = restoring.case_of(packet.case_key)
    if case is None or packet.own or packet.transit or packet.bytes_at is not None:
        return
    if not was_accepted(transaction, packet.key, packet.attempt, packet.content_digest):
        return
    cases.record(
        transaction,
        cases.name_for(transaction.connection, packet.key, packet.attempt, (case,)),
        (),
        (case,),
        (packet.key.sender, *packet.recipients),
        packet.business_type,
        packet.key,
        at=_accepted_at(transaction, packet.key, packet.attempt),
    )


def refuse_again(
    transaction: Transaction, row: ArrivalRow, known: PacketRow | None, examined: Examined, said: Statements
) -> None:
    """It was refused; its sender hears so again, from the same receipt."""
    number = store(transaction, row, known, examined, PacketState.REFUSED)
    arrivals.finish(transaction, row, Event.REFUSE, keeps_bytes=True)
    packets.let_go(transaction, packets.get(transaction.connection, number))
    said.repeat(transaction, examined.seal.key)


def take_back(
    transaction: Transaction,
    row: ArrivalRow,
    known: PacketRow | None,
    examined: Examined,
    roads: Mapping[str, str],
) -> None:
    """It was accepted: stored again, and sent on to those of whom nothing is known.

    ``roads``: recipient -> link.
    """
    seal = examined.seal
    if known is not None and is_remembered(known, seal):
        _give_bytes(transaction, row, known, examined)
        number = known.id
    else:
        number = store(transaction, row, known, examined, PacketState.ACTIVE)
        for recipient, link in roads.items():
            state = DestinationState.QUEUED if link else DestinationState.ARRIVED
            packets.add_destination(transaction, number, recipient, state, link)
    arrivals.finish(transaction, row, Event.ADMIT, keeps_bytes=True, detail={"again": True})
    _send_on(transaction, number, seal)
    settle_by_receipts(transaction, packets.get(transaction.connection, number))
    if examined.packet is not None:
        _note_every_number(transaction, seal, examined.packet)


def _give_bytes(transaction: Transaction, row: ArrivalRow, known: PacketRow, examined: Examined) -> None:
    named = (BlobReference(part.digest, part.size) for part in blob_parts(examined.seal))
    blobs.refer(transaction, known.key, named)
    packets.give_bytes(
        transaction,
        known.id,
        examined.seal,
        seal_digest=examined.seal_digest,
        landed_at=row.landed_at,
        came_by=row.link,
        bytes_at=row.bytes_at,
        relations=relations_of(examined.packet),
    )
    if examined.packet is not None:
        search.note_cases(transaction, known.id, examined.packet.envelope.case_numbers)


def _send_on(transaction: Transaction, number: int, seal: Seal) -> None:
    accepted = [
        row.id
        for row in statements.summaries_of(transaction.connection, seal.key)
        if row.kind == ReceiptKind.ACCEPTED.value and row.attempt == seal.attempt
    ]
    priority = URGENT if seal.priority is Priority.URGENT else ORDINARY
    waiting = [
        row
        for row in packets.destinations(transaction.connection, number)
        if row.state is DestinationState.QUEUED
    ]
    for link in dict.fromkeys(row.link for row in waiting):
        for receipt in accepted:
            batches.enqueue(transaction, link, ItemKind.RECEIPT, receipt, priority, of=seal.key.sender)
        batches.enqueue(transaction, link, ItemKind.PACKET, number, priority, of=seal.key.sender)
    transaction.wake("delivery")


def _note_every_number(transaction: Transaction, seal: Seal, packet: Packet) -> None:
    """Every number of it, as when it was accepted; cases are joined by nobody here."""
    connection, envelope = transaction.connection, packet.envelope
    cases.record(
        transaction,
        cases.name_for(connection, seal.key, seal.attempt, envelope.case_numbers, envelope.in_reply_to),
        (),
        envelope.case_numbers,
        (seal.key.sender, *seal.recipients),
        seal.business_type,
        seal.key,
        at=_accepted_at(transaction, seal.key, seal.attempt),
    )


def _accepted_at(transaction: Transaction, key: PacketKey, attempt: int) -> str:
    """When that attempt was accepted first, for its place in the case; empty where nobody knows."""
    times = [
        row.issued_at
        for row in statements.summaries_of(transaction.connection, key)
        if row.kind == ReceiptKind.ACCEPTED.value and row.attempt == attempt
    ]
    return stamp(min(times)) if times else ""
