"""What receipts say of a packet that the ledger was told about, or had forgotten more of: the states follow (C23).

Guarantees: only receipts that are recorded, so verified, count, of this very attempt and content; states move along
the table, never back. An own receipt that came back says what this node itself did before it forgot.
"""

from __future__ import annotations

from exchanged.ledger import Transaction, packets, statements
from exchanged.ledger.rows import PacketRow, ReceiptRow
from exchanged.states import EVENT_OF_RECEIPT, DestinationState, Event, allows
from packet_spec.model import ReceiptKind

_NOT_YET: frozenset[DestinationState] = frozenset({DestinationState.ARRIVED, DestinationState.DELIVERING})
_LIES_THERE: frozenset[ReceiptKind] = frozenset(
    {ReceiptKind.DELIVERED, ReceiptKind.COLLECTED, ReceiptKind.SIGNED}
)


def receipts_about(transaction: Transaction, packet: PacketRow) -> tuple[ReceiptRow, ...]:
    """Recorded receipts of this attempt and content, under whatever seal, the oldest first."""
    return tuple(
        row
        for row in statements.receipts_of(transaction.connection, packet.key)
        if (row.attempt, row.content_digest) == (packet.attempt, packet.content_digest)
    )


def settle_by_receipts(transaction: Transaction, packet: PacketRow) -> None:
    """Bring every destination as far as the recorded receipts say."""
    for receipt in receipts_about(transaction, packet):
        kind = ReceiptKind(receipt.kind)
        if kind is ReceiptKind.ACCEPTED and not packet.own:
            # Here custody alone counts: an accepted packet still has to be handed on.
            continue
        for destination in packets.destinations(transaction.connection, packet.id):
            if receipt.recipient and destination.recipient != receipt.recipient:
                continue
            if kind in _LIES_THERE and destination.state in _NOT_YET and receipt.own:
                packets.move(transaction, packet, destination, Event.RECALL, detail={"by": receipt.issued_by})
                (destination,) = (
                    row
                    for row in packets.destinations(transaction.connection, packet.id)
                    if row.recipient == destination.recipient
                )
            event = EVENT_OF_RECEIPT[kind]
            if allows(destination.state, event) and not (destination.state in _NOT_YET and not receipt.own):
                packets.move(transaction, packet, destination, event, detail={"by": receipt.issued_by})
