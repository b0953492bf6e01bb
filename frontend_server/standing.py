"""Was this content sent before? The sending front-end's memory for ever (custody C13).

Guarantees: asked of the ledger over all time, inside the transaction that takes the drop as well; one
content is under way at most once, and one packet id never stands for two contents.

Leaves to others: assigning an id, and what happens to the drop. Known limit: a packet with several
recipients is sent again as a whole, so only when it failed for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from exchanged.ledger import Connection, ciphertexts, packets
from exchanged.ledger.rows import PacketRow
from exchanged.states import RETRYABLE_DESTINATIONS, PacketState
from packet_spec.identity import PacketKey
from packet_spec.model import Envelope


class Standing(StrEnum):
    """What a drop is to the packets known so far."""

    NEW = "new"
    AGAIN = "again"
    DUPLICATE = "duplicate"
    REUSED = "reused"


@dataclass(frozen=True, slots=True)
class Answer:
    """``packet`` is the one known: to be sent again, or the first of which this is a duplicate."""

    standing: Standing
    packet: PacketRow | None = None

    @property
    def attempt(self) -> int:
        """The attempt that a packet made of this drop bears."""
        return 1 if self.packet is None else self.packet.attempt + 1


def find_standing(connection: Connection, envelope: Envelope, content_digest: str) -> Answer:
    """The standing of a drop with this envelope and content, as it was dropped."""
    if envelope.packet_id is None:
        known = packets.find_same_content(
            connection, envelope.sender, envelope.sender_ref, envelope.business_type, content_digest
        )
    else:
        known = packets.find(connection, PacketKey(envelope.sender, envelope.packet_id))
    if known is None:
        return Answer(Standing.NEW)
    if _failed_for_all(connection, known):
        return Answer(Standing.AGAIN, known)
    is_same = known.content_digest == content_digest or ciphertexts.is_same_drop(
        connection, known.id, content_digest
    )
    return Answer(Standing.DUPLICATE if is_same else Standing.REUSED, known)


def _failed_for_all(connection: Connection, packet: PacketRow) -> bool:
    """The last attempt ended refused, cancelled, expired or undeliverable for every recipient."""
    if packet.state is PacketState.ACTIVE:
        return False
    rows = packets.destinations(connection, packet.id)
    return all(row.state in RETRYABLE_DESTINATIONS for row in rows)
