"""How many blobs the open batches of a link may name: as many as their reader sees and can say that it needs.

A look into a mailbox reads a capped number of names (C2), and an acknowledgement has room for so many needed
blobs (C6); what is beyond either is never taken, and everything behind it waits. So a packet whose blobs find
no room waits in the queue. What names blobs and comes behind it waits too, so that it has its turn; what
names none goes past, unless it is of the same case and receiver (C15; of what only passes through nobody here
knows the case: of the same sender and receiver). With no other blobs under way a packet has room however many
it names: that is ``PARTS`` at most. None has room while twice ``open_batches`` batches wait for theirs: each
acknowledgement of the neighbour names all of these.

Leaves to others: what is in a batch already, however many blobs it names. Known limits: of the names that a
reader reads this node knows only its own setting (``[limits] scan_names``), of which it fills half; and where
what the neighbour cannot take in leaves no room here, packets with blobs stand until it can.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from exchanged.ledger import batches, blobs
from exchanged.ledger.rows import PacketRow
from exchanged.link_context import LinkContext


@dataclass(slots=True)
class BlobRoom:
    """The room for the blobs of one batch that is being composed. Ask for its packets in turn."""

    link: LinkContext
    _room: int = field(init=False)
    _is_alone: bool = field(init=False)
    _is_over: bool = field(init=False)
    _named: set[str] = field(default_factory=set)
    _stopped: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        connection, limits = self.link.ledger.read(), self.link.limits
        under_way = blobs.count_open(connection, self.link.name)
        self._room = min(limits.scan_names // 2, batches.BLOBS_TOLD) - under_way
        self._is_alone = under_way == 0
        rows = batches.open_batches(connection, self.link.name)
        self._is_over = sum(row.state == batches.NEEDING for row in rows) >= 2 * limits.open_batches

    def takes(self, packet: PacketRow) -> bool:
        """It may stand in the batch: its blobs have room, and it overtakes nothing that had none."""
        stream = (packet.key.sender if packet.transit else packet.case_key, packet.receiver)
        if stream not in self._stopped and self._has_room(packet):
            return True
        if packet.transit or packet.case_key:
            self._stopped.add(stream)
        return False

    def _has_room(self, packet: PacketRow) -> bool:
        connection = self.link.ledger.read()
        if self._is_over:
            # Thousands may wait: what each of them names is not counted any more.
            return not blobs.names_any(connection, packet.key)
        named = {blob.digest for blob in blobs.references(connection, packet.key)} - self._named
        is_first = self._is_alone and not self._named
        self._is_over = bool(named) and len(named) > self._room and not is_first
        if self._is_over:
            return False
        self._named |= named
        self._room -= len(named)
        return True
