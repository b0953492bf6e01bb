"""Keep a judged packet: as a new one or as a higher attempt of a refused one (C12).

Shared by admission and reception. The arrival's hold on the spool file passes to the packet row.
"""

from __future__ import annotations

from exchanged.decisions import Suspicious
from exchanged.examine import Examined
from exchanged.ledger import Connection, Transaction, arrivals, blobs, packets, seals, search
from exchanged.ledger.rows import ArrivalRow, PacketRow
from exchanged.receipts import Statements, Subject
from exchanged.states import RETRYABLE_DESTINATIONS, Event, PacketState
from packet_spec.findings import Finding
from packet_spec.identifiers import canonical_case_number
from packet_spec.model import Packet, ReceiptKind, Seal
from packet_spec.seal_document import blob_parts
from packet_spec.waybill_model import BlobReference


def subject_of(seal: Seal, seal_digest: str) -> Subject:
    """The packet that a receipt about this seal speaks of."""
    return Subject(seal.key, seal.attempt, seal.content_digest, seal_digest, seal.business_type)


def relations_of(packet: Packet | None) -> tuple[str, str, str]:
    """Packet id named in inReplyTo, the one in supersedes, and the case key; empty where absent.

    The case key holds the first number in its one form: order in a case does not hang on its brackets (C15).
    """
    if packet is None:
        return ("", "", "")
    envelope = packet.envelope
    first = envelope.case_numbers[0] if envelope.case_numbers else None
    return (
        envelope.in_reply_to.packet_id if envelope.in_reply_to else "",
        envelope.supersedes or "",
        f"{first.kind}:{canonical_case_number(first.value)}" if first else "",
    )


def require_named_blobs(transaction: Transaction, row: ArrivalRow, seal: Seal) -> None:
    """Every blob of the seal was named by the waybill, and so proved at landing (C8, C9).

    Otherwise a packet could be accepted without its parts, or make this node send out a blob to which
    the neighbour has no title. Raises Suspicious.
    """
    named = blobs.named_by(transaction.connection, row.id)
    for part in blob_parts(seal):
        size = blobs.live_size(transaction.connection, part.digest)
        if named.get(part.digest) != part.size or size != part.size:
            raise Suspicious("waybill-names-other-blobs")


def is_new_attempt(transaction: Transaction, known: PacketRow, seal: Seal) -> bool:
    """A higher attempt after the last one was refused, cancelled, expired or undeliverable (C12)."""
    return is_higher_attempt(transaction.connection, known, seal)


def is_higher_attempt(connection: Connection, known: PacketRow, seal: Seal) -> bool:
    """The same, asked without a transaction."""
    states = {row.state for row in packets.destinations(connection, known.id)}
    refused = known.state is PacketState.REFUSED or bool(states and states <= RETRYABLE_DESTINATIONS)
    return refused and seal.attempt > known.attempt


def store(
    transaction: Transaction,
    row: ArrivalRow,
    known: PacketRow | None,
    examined: Examined,
    state: PacketState,
    *,
    transit: bool = False,
) -> int:
    """The packet row for a judged arrival, new or in place of an earlier one. Its row number.

    An earlier one is a refused attempt or, in ``transit``, the same packet that passed before.
    """
    named = (BlobReference(part.digest, part.size) for part in blob_parts(examined.seal))
    blobs.refer(transaction, examined.seal.key, named)
    number = _keep(transaction, row, known, examined, state, transit=transit)
    if not transit:
        seals.keep(transaction, examined.seal, examined.seal_digest, examined.seal_bytes, examined.signature)
    if examined.packet is not None:
        search.note_cases(transaction, number, examined.packet.envelope.case_numbers)
    return number


def _keep(
    transaction: Transaction,
    row: ArrivalRow,
    known: PacketRow | None,
    examined: Examined,
    state: PacketState,
    *,
    transit: bool,
) -> int:
    if known is None:
        return packets.insert(
            transaction,
            examined.seal,
            seal_digest=examined.seal_digest,
            landed_at=row.landed_at,
            came_by=row.link,
            bytes_at=row.bytes_at,
            relations=relations_of(examined.packet),
            state=state,
            transit=transit,
        )
    again = Event.TAKE_AGAIN if transit else Event.NEW_ATTEMPT
    packets.replace(
        transaction,
        known,
        again if state is PacketState.ACTIVE else Event.REFUSE,
        examined.seal,
        seal_digest=examined.seal_digest,
        landed_at=row.landed_at,
        came_by=row.link,
        bytes_at=row.bytes_at,
        relations=relations_of(examined.packet),
        transit=transit,
    )
    return known.id


def refuse(
    transaction: Transaction,
    row: ArrivalRow,
    known: PacketRow | None,
    examined: Examined,
    findings: tuple[Finding, ...],
    statements: Statements,
    recipient: str,
) -> None:
    """Refuse the packet with findings: remembered, so that a repeat is recognised; its bytes go.

    ``recipient`` is empty when the whole packet is refused by its admitting node.
    """
    number = store(transaction, row, known, examined, PacketState.REFUSED)
    arrivals.finish(transaction, row, Event.REFUSE, keeps_bytes=True)
    packets.let_go(transaction, packets.get(transaction.connection, number))
    statements.issue(
        transaction,
        ReceiptKind.REFUSED,
        subject_of(examined.seal, examined.seal_digest),
        recipient=recipient,
        findings=findings,
    )
