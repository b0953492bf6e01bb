"""Dispositions: the recipient signs for a delivered packet (签收) or refuses it, once (C22).

Guarantees: the answer counts only for a packet that was delivered to this agency, at any time after
that, and once; receipt and change of state are one transaction with the end of the drop that said it.
Anything else becomes a finding for the clerk, and nothing changes.

Leaves to others: reading the drop (``packet_spec.disposition``), and its end (``frontend_server.intake``).
Known limit: an answer to an attempt that a higher attempt has replaced counts for the higher one, once
that is delivered, because a disposition names no attempt.
"""

from __future__ import annotations

from exchanged.acts.values import Obstacle
from exchanged.ledger import Connection, Transaction, effects, packets
from exchanged.ledger.rows import DestinationRow, PacketRow
from exchanged.receipts import Statements
from exchanged.states import EVENT_OF_RECEIPT, DestinationState
from frontend_server.delivery import subject_of
from frontend_server.folders import INBOX
from packet_spec.errors import ExchangeError, SchemaError
from packet_spec.findings import Finding
from packet_spec.identity import PacketKey
from packet_spec.model import Disposition, ReceiptKind
from packet_spec.sentences import make_finding

_FILE = "disposition"
_FINDINGS = {
    Obstacle.NO_RECIPIENT: "disposition-unknown-packet",
    Obstacle.ANSWERED: "disposition-repeated",
    Obstacle.EXPIRED: "disposition-expired",
    Obstacle.NOT_DELIVERED: "disposition-too-early",
}
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
        match why_not_answer(self._agency, tx.connection, disposition.key):
            case None:
                self._answer(tx, disposition)
                return ()
            case Obstacle.DELIVERY_UNFINISHED:
                raise DeliveryUnfinishedError("a delivery is not committed yet", where=str(disposition.key))
            case obstacle:
                return (_finding(_FINDINGS[obstacle], disposition),)

    def _answer(self, tx: Transaction, disposition: Disposition) -> None:
        packet, destination = _delivered_here(self._agency, tx.connection, disposition.key)
        assert packet is not None  # noqa: S101 - why_not_answer found both
        assert destination is not None  # noqa: S101 - likewise
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


def why_not_answer(agency: str, connection: Connection, key: PacketKey) -> Obstacle | None:
    """Why ``agency`` cannot answer the packet now; None when it can. The one place that decides (C22)."""
    packet, destination = _delivered_here(agency, connection, key)
    if packet is None or destination is None:
        return Obstacle.NO_RECIPIENT
    match destination.state:
        case DestinationState.DELIVERED | DestinationState.COLLECTED:
            return None
        case DestinationState.DELIVERING:
            return Obstacle.DELIVERY_UNFINISHED
        case DestinationState.SIGNED | DestinationState.REFUSED:
            return Obstacle.ANSWERED
        case DestinationState.EXPIRED:
            return Obstacle.EXPIRED
        case _:
            return Obstacle.NOT_DELIVERED


def _delivered_here(
    agency: str, connection: Connection, key: PacketKey
) -> tuple[PacketRow | None, DestinationRow | None]:
    """The packet, and its destination that is the agency itself."""
    packet = packets.find(connection, key)
    rows = () if packet is None else packets.destinations(connection, packet.id)
    return packet, next((row for row in rows if row.recipient == agency), None)


def _finding(code: str, disposition: Disposition) -> Finding:
    return make_finding(code, file=_FILE, found=str(disposition.key))
