"""Dispositions: the recipient signs for a delivered packet (签收) or refuses it, once (C22).

Guarantees: the answer counts only for a packet that was delivered to this agency, at any time after
that, and once; receipt and change of state are one transaction with the end of the drop that said it.
Anything else becomes a finding for the clerk, and nothing changes.

Leaves to others: reading the drop (``packet_spec.disposition``), and its end (``frontend_server.intake``).
Known limit: an answer to an attempt that a higher attempt has replaced counts for the higher one, once
that is delivered, because a disposition names no attempt.
"""

from __future__ import annotations

from exchanged.ledger import Transaction, effects, packets
from exchanged.ledger.rows import DestinationRow, PacketRow
from exchanged.receipts import Statements
from exchanged.states import EVENT_OF_RECEIPT, DestinationState
from frontend_server.delivery import subject_of
from frontend_server.folders import INBOX
from packet_spec.errors import ExchangeError, SchemaError
from packet_spec.findings import Finding
from packet_spec.model import Disposition, ReceiptKind
from packet_spec.sentences import make_finding

_FILE = "disposition"
_ANSWERS = (ReceiptKind.SIGNED, ReceiptKind.REFUSED)


class DeliveryUnfinishedError(ExchangeError):
    """The packet may lie in the inbox already, but its delivery is not committed: take the drop again soon.

    Case software that answers within the same second must not be told that it was too early.
    """

    reference = "delivery-unfinished"
    temporary = True


class Dispositions:
    """Takes the answers of one agency."""

    def __init__(self, agency: str, statements: Statements) -> None:
        self._agency = agency
        self._statements = statements

    def take(self, tx: Transaction, disposition: Disposition) -> tuple[Finding, ...]:
        """Issue the receipt and move the packet; findings instead when the answer does not count.

        Raises DeliveryUnfinishedError (take it again), and SchemaError for a kind that is no answer.
        """
        if disposition.kind not in _ANSWERS:
            raise SchemaError("not an answer", expected="signed or refused", found=disposition.kind.value)
        packet = packets.find(tx.connection, disposition.key)
        destination = None if packet is None else self._own_destination(tx, packet)
        if packet is None or destination is None:
            return (_finding("disposition-unknown-packet", disposition),)
        match destination.state:
            case DestinationState.DELIVERED | DestinationState.COLLECTED:
                self._answer(tx, packet, destination, disposition)
                return ()
            case DestinationState.DELIVERING:
                raise DeliveryUnfinishedError("a delivery is not committed yet", where=str(packet.key))
            case DestinationState.SIGNED | DestinationState.REFUSED:
                return (_finding("disposition-repeated", disposition),)
            case DestinationState.EXPIRED:
                return (_finding("disposition-expired", disposition),)
            case _:
                return (_finding("disposition-too-early", disposition),)

    def _own_destination(self, tx: Transaction, packet: PacketRow) -> DestinationRow | None:
        rows = packets.destinations(tx.connection, packet.id)
        return next((row for row in rows if row.recipient == self._agency), None)

    def _answer(
        self, tx: Transaction, packet: PacketRow, destination: DestinationRow, disposition: Disposition
    ) -> None:
        packets.move(tx, packet, destination, EVENT_OF_RECEIPT[disposition.kind])
        self._statements.issue(
            tx,
            disposition.kind,
            subject_of(packet),
            recipient=self._agency,
            by=disposition.by,
            findings=disposition.findings,
        )
        effects.intend(tx, "counts", INBOX)


def _finding(code: str, disposition: Disposition) -> Finding:
    return make_finding(code, file=_FILE, found=str(disposition.key))
