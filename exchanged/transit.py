"""Transit: dumb custody of packets that only pass through, at bridges and between provincial nodes (C14).

Guarantees: a packet is forwarded as the bytes that came, towards the sender's admitting node first and from
there to the recipients behind this node; it is suppressed only while these very bytes are still held for
the same way, and taken and forwarded again at any other time, because only its ends remember for ever.
Nothing of its content is looked at beyond the seal and the digests that the seal names; no receipt is
issued. A packet that meets itself (up to the admitting node, down again to a neighbour of its sender)
waits until the first passage has been acknowledged.

Leaves to others: custody itself (``settling``), the notes of the way (``receipts``), and forgetting
(``sweep``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from exchanged.decisions import DIRECTORY_BEHIND, DIRECTORY_BEHIND_SECONDS, Held, Suspicious
from exchanged.examine import Examined, Scope
from exchanged.ledger import Transaction, arrivals, batches, packets, statements
from exchanged.ledger.rows import ArrivalRow, PacketRow
from exchanged.receipts import ORDINARY, URGENT, Links
from exchanged.routing import RouteKind, passage
from exchanged.states import DestinationState, Event, PacketState
from exchanged.storing import require_named_blobs, store
from exchanged.trust import Trust
from packet_spec.authority import check_seal_authority
from packet_spec.model import ItemKind, Priority, ReceiptKind, Seal

# The acknowledgement that ends the first passage travels with what made us meet the packet again; where a
# link is down, or an operator said wait, it may be days.
_MEETS_ITSELF_SECONDS: Final = 0.5
_AT_MOST_SECONDS: Final = 60.0


def meets_itself(row: ArrivalRow) -> Held:
    """Waits for the other passage; released when that ends (``settling``), asked again ever more rarely."""
    return Held(
        arrivals.PASSES_ALREADY, min(_MEETS_ITSELF_SECONDS * 2.0 ** min(row.tries, 8), _AT_MOST_SECONDS)
    )


@dataclass(frozen=True, slots=True)
class Transit:
    """The PacketJudge of a node in between."""

    node: str
    trust: Trust
    links: Links

    def scope(self, _sender: str) -> Scope:
        """The seal alone: what it carries is between its ends."""
        return Scope.SEAL

    def decide(self, transaction: Transaction, row: ArrivalRow, examined: Examined) -> None:
        """Forward the packet, suppress what is held already, hold or quarantine it."""
        seal, directory = examined.seal, self.trust.directory
        check_seal_authority(directory, seal, examined.key_id, transaction.now)
        roads = self._roads(row, seal)
        is_behind = batches.neighbour_directory(transaction.connection, row.link) > self.trust.edition
        if is_behind and not roads.keys() >= set(seal.recipients):
            # Whom we do not know, or know elsewhere, may stand behind us since: nobody else would serve them.
            raise Held(DIRECTORY_BEHIND, DIRECTORY_BEHIND_SECONDS)
        known = packets.find(transaction.connection, seal.key)
        if known is not None and known.state is PacketState.ACTIVE:
            if (known.came_by, known.seal_digest) != (row.link, examined.seal_digest):
                raise meets_itself(row)
            arrivals.finish(transaction, row, Event.REPEAT)
            return
        require_named_blobs(transaction, row, seal)
        self._forward(transaction, row, known, examined, roads)

    def _roads(self, row: ArrivalRow, seal: Seal) -> dict[str, str]:
        """Recipient -> link. Raises Held without a way, Suspicious on a wrong one."""
        found = passage(
            self.trust.directory, self.node, seal.key.sender, seal.recipients, self.links.peer_of(row.link)
        )
        if found is None:
            raise Suspicious("packet-by-a-wrong-road")
        if not found.roads:
            raise Held(found.kind.value)
        roads = {recipient: self.links.name_of(neighbour) for recipient, neighbour in found.roads}
        if not all(roads.values()):
            raise Held(RouteKind.UNKNOWN.value)
        return roads

    def _forward(
        self,
        transaction: Transaction,
        row: ArrivalRow,
        known: PacketRow | None,
        examined: Examined,
        roads: dict[str, str],
    ) -> None:
        """Queue it, and before it what its receiver needs: the ``accepted`` receipt, if it came by here."""
        seal = examined.seal
        number = store(transaction, row, known, examined, PacketState.ACTIVE, transit=True)
        arrivals.finish(transaction, row, Event.ADMIT, keeps_bytes=True, detail={"transit": True})
        priority = URGENT if seal.priority is Priority.URGENT else ORDINARY
        for recipient, link in roads.items():
            packets.add_destination(transaction, number, recipient, DestinationState.QUEUED, link)
        accepted = [
            receipt.id
            for receipt in statements.summaries_of(transaction.connection, seal.key)
            if receipt.kind == ReceiptKind.ACCEPTED.value
        ]
        for link in dict.fromkeys(roads.values()):
            for receipt in accepted:
                batches.enqueue(transaction, link, ItemKind.RECEIPT, receipt, priority, of=seal.key.sender)
            batches.enqueue(transaction, link, ItemKind.PACKET, number, priority, of=seal.key.sender)
