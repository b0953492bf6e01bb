"""Reception: what a front-end decides about a packet that the province sent down to its agency.

The packet must be sealed by an agency that may reach us over this link, be addressed to our agency,
and be admitted: without the sender's admitting node's ``accepted`` receipt for its content and attempt it is
held. The rules of the standard were checked at the sender and at the province; here seal, envelope
and digests are compared once more.
"""

from __future__ import annotations

from dataclasses import dataclass

from exchanged.decisions import Held, Suspicious
from exchanged.examine import Examined, Scope
from exchanged.ledger import Transaction, arrivals, packets, statements
from exchanged.ledger.rows import ArrivalRow, PacketRow
from exchanged.receipts import Links, Statements
from exchanged.routing import may_come_from
from exchanged.states import DestinationState, Event, PacketState
from exchanged.storing import is_new_attempt, refuse, require_named_blobs, store
from exchanged.trust import Trust
from packet_spec.authority import check_seal_authority
from packet_spec.findings import Outcome
from packet_spec.model import ReceiptKind, Seal


@dataclass(frozen=True, slots=True)
class Reception:
    """The PacketJudge of a front-end. ``agency`` is the one whose inbox lies here."""

    node: str
    agency: str
    trust: Trust
    links: Links
    statements: Statements

    def scope(self, _sender: str) -> Scope:
        """Seal, envelope and digests only."""
        return Scope.ENVELOPE

    def decide(self, transaction: Transaction, row: ArrivalRow, examined: Examined) -> None:
        """Put the packet before delivery, repeat a receipt, refuse, hold or quarantine it."""
        seal = examined.seal
        directory = self.trust.directory
        check_seal_authority(directory, seal, examined.key_id, transaction.now)
        if not may_come_from(directory, self.node, seal.key.sender, self.links.peer_of(row.link)):
            raise Suspicious("packet-by-a-wrong-road")
        if self.agency not in seal.recipients:
            raise Suspicious("not-addressed-to-us")
        known = packets.find(transaction.connection, seal.key)
        if known is not None and not is_new_attempt(transaction, known, seal):
            self._meet_again(transaction, row, known, seal)
            return
        require_named_blobs(transaction, row, seal)
        if not self._is_accepted(transaction, examined):
            raise Held(arrivals.WAITING_FOR_ACCEPTED)
        if examined.verdict.outcome is Outcome.REFUSED:
            refuse(transaction, row, known, examined, examined.verdict.findings, self.statements, self.agency)
            return
        number = store(transaction, row, known, examined, PacketState.ACTIVE)
        packets.add_destination(transaction, number, self.agency, DestinationState.ARRIVED)
        arrivals.finish(transaction, row, Event.ADMIT, keeps_bytes=True)
        transaction.wake("delivery")

    def _meet_again(self, transaction: Transaction, row: ArrivalRow, known: PacketRow, seal: Seal) -> None:
        if known.content_digest != seal.content_digest:
            raise Suspicious("packet-id-reused")
        self.statements.repeat(transaction, known.key)
        arrivals.finish(transaction, row, Event.REPEAT)

    def _is_accepted(self, transaction: Transaction, examined: Examined) -> bool:
        """The admitting node's receipt for this content and attempt lies here, verified when it came.

        Its seal may be an earlier one: what is sealed anew after a restore keeps its first receipt (C12,
        C23).
        """
        seal = examined.seal
        return any(
            receipt.kind == ReceiptKind.ACCEPTED.value and receipt.attempt == seal.attempt
            and receipt.content_digest == seal.content_digest
            for receipt in statements.summaries_of(transaction.connection, seal.key)
        )  # fmt: skip
