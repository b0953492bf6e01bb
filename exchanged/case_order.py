"""Which of the packets that wait on a link may go into the next batch, for the order of their cases (C15).

Guarantees: an own packet waits, beside what ``order`` says, while an earlier one of its case and receiver
that names blobs is under way and neither accepted nor final: whatever is so large that the admitting node
checks it apart (ADR 13) names blobs, and there what is small would go past it. That wait ends at most
``order_wait`` after the earlier one was handed over. Nothing overtakes an earlier one of its case whose blobs
are still on their way to the mailbox.

Leaves to others: what only passes through, which keeps the order of landing.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from exchanged.ledger import batches, blobs, packets, undecided
from exchanged.ledger.rows import BatchRow, PacketRow
from exchanged.ledger.undecided import Undecided
from exchanged.link_context import LinkContext
from exchanged.order import Candidate, choose
from exchanged.putting import Putting
from exchanged.states import DestinationState, PacketState
from packet_spec.identity import PacketKey

# Looked at again so soon when a packet waits for the blobs of an earlier one.
_LATE_SECONDS: Final = 1.0
# Neither accepted nor final (C15).
_UNDECIDED: Final = (
    DestinationState.QUEUED,
    DestinationState.ON_HOLD,
    DestinationState.OFFERED,
    DestinationState.HANDED_OVER,
)


@dataclass(frozen=True, slots=True)
class CaseOrder:
    """The order on one link."""

    link: LinkContext
    putting: Putting

    def allowed(
        self, found: Mapping[int, PacketRow], again: Container[int], rows: Sequence[BatchRow]
    ) -> tuple[frozenset[int], float | None]:
        """Of the packets ``found``, by number in the queue, those that may go; and when to look again.

        What is offered ``again`` came in its order before. ``rows`` are the open batches.
        """
        first = {number: packet for number, packet in found.items() if number not in again}
        behind = self._behind_late_blobs(first, rows)
        ordered = {number: packet for number, packet in first.items() if number not in behind}
        allowed, waits = self._in_order(ordered)
        if behind:
            waits = _LATE_SECONDS if waits is None else min(waits, _LATE_SECONDS)
        return allowed | (found.keys() - first.keys()), waits

    def _behind_late_blobs(self, found: Mapping[int, PacketRow], rows: Sequence[BatchRow]) -> set[int]:
        """Which of these would overtake an earlier one of their case whose blobs are on their way (C15)."""
        streams = self.putting.late_streams(rows)
        return {
            number
            for number, packet in found.items()
            if streams.get((packet.case_key, packet.receiver), packet.id) < packet.id
        }

    def _in_order(self, found: Mapping[int, PacketRow]) -> tuple[frozenset[int], float | None]:
        """C15 binds the sender's own packets; what passes through keeps the order of landing."""
        passing = {number for number, packet in found.items() if not packet.own}
        connection, link = self.link.ledger.read(), self.link.name
        in_a_case = any(packet.own and packet.case_key for packet in found.values())
        held = batches.held_streams(connection, link) if in_a_case else {}
        large = undecided.with_blobs(connection, link) if in_a_case else {}
        own = []
        for number, packet in found.items():
            if packet.own:
                stream = (packet.case_key, packet.receiver)
                is_stopped = held.get(stream, packet.id) < packet.id or self._has_open_named(packet)
                own.append(self._candidate(number, packet, large.get(stream, ()), is_stopped=is_stopped))
        choice = choose(own, self.link.clock.now(), self.link.limits.order_wait_seconds)
        return frozenset(passing | set(choice.offer)), choice.look_again_seconds

    def _candidate(
        self, number: int, packet: PacketRow, large: Sequence[Undecided], *, is_stopped: bool
    ) -> Candidate:
        # The wait for what is only offered has not begun: how long that takes says nothing of its check.
        now = self.link.clock.now()
        earlier = [each.handed_over_at or now for each in large if each.packet < packet.id]
        return Candidate(
            number,
            max([packet.sealed_at, *earlier]),
            packet.case_key,
            packet.receiver,
            bool(earlier) or is_stopped,
            bool(packet.case_key) and blobs.names_any(self.link.ledger.read(), packet.key),
        )

    def _has_open_named(self, packet: PacketRow) -> bool:
        connection = self.link.ledger.read()
        for packet_id in (packet.in_reply_to, packet.supersedes):
            if not packet_id:
                continue
            named = packets.find(connection, PacketKey(packet.key.sender, packet_id))
            if named is None or named.id == packet.id or named.state is not PacketState.ACTIVE:
                continue
            if any(row.state in _UNDECIDED for row in packets.destinations(connection, named.id)):
                return True
        return False
