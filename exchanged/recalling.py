"""States follow what receipts say of a packet that the ledger was told about, or had forgotten (C23).

Guarantees: only receipts that are recorded, so verified, count, of this very attempt and content; states move
along the table, never back. An own receipt that came back says what this node itself did before it forgot.
"""

from __future__ import annotations

from exchanged.ledger import Transaction, effects, packets, statements
from exchanged.ledger.rows import DestinationRow, PacketRow, ReceiptSummary
from exchanged.states import EVENT_OF_RECEIPT, DestinationState, Event, allows
from packet_spec.model import ReceiptKind

_NOT_YET: frozenset[DestinationState] = frozenset({DestinationState.ARRIVED, DestinationState.DELIVERING})
_LIES_THERE: frozenset[ReceiptKind] = frozenset(
    {ReceiptKind.DELIVERED, ReceiptKind.COLLECTED, ReceiptKind.SIGNED}
)


def receipts_about(transaction: Transaction, packet: PacketRow) -> tuple[ReceiptSummary, ...]:
    """Recorded receipts of this attempt and content, under whatever seal, the oldest first."""
    return tuple(
        row
        for row in statements.summaries_of(transaction.connection, packet.key)
        if (row.attempt, row.content_digest) == (packet.attempt, packet.content_digest)
    )


def settle_by_receipts(transaction: Transaction, packet: PacketRow) -> None:
    """Bring every destination as far as the recorded receipts say."""
    for receipt in receipts_about(transaction, packet):
        if receipt.kind == ReceiptKind.ACCEPTED.value and not packet.own:
            # Here custody alone counts: an accepted packet still has to be handed on.
            continue
        for recipient in [row.recipient for row in packets.destinations(transaction.connection, packet.id)]:
            if receipt.recipient in ("", recipient):
                _apply(transaction, packet, recipient, receipt)


def settle_sealed_again(transaction: Transaction, packet: PacketRow) -> None:
    """What was sealed here just now may have left before, forgotten since: its receipts may be here already.

    The same receipts coming once more are repeats, and move nothing.
    """
    receipts = receipts_about(transaction, packet)
    if receipts:
        settle_by_receipts(transaction, packet)
    for receipt in receipts:
        effects.intend(transaction, "receipt-file", str(receipt.id))


def _apply(transaction: Transaction, packet: PacketRow, recipient: str, receipt: ReceiptSummary) -> None:
    kind, detail = ReceiptKind(receipt.kind), {"by": receipt.issued_by}
    destination = _destination(transaction, packet, recipient)
    if destination.state in _NOT_YET:
        if not receipt.own:
            # At the delivering front-end only its own word moves the destination.
            return
        if kind in _LIES_THERE:
            packets.move(transaction, packet, destination, Event.RECALL, detail=detail)
            destination = _destination(transaction, packet, recipient)
    if allows(destination.state, EVENT_OF_RECEIPT[kind]):
        packets.move(transaction, packet, destination, EVENT_OF_RECEIPT[kind], detail=detail)


def _destination(transaction: Transaction, packet: PacketRow, recipient: str) -> DestinationRow:
    rows = packets.destinations(transaction.connection, packet.id)
    return next(row for row in rows if row.recipient == recipient)
