"""Where a packet is, put together from what one node knows: a pure question, nobody else is asked.

A way is told per destination, hop by hop, from three kinds of evidence: this node's own events, hop notes
that each node on the way signed, and signed receipts. A custody holder is the last node that provably
has it; where nothing came back from there, the answer says so instead of guessing.

Guarantees: only statements about the attempt in hand count (same seal); a note about another recipient's
branch is never taken for this one's. Leaves to others: signatures, verified before a statement entered
the ledger. Known limits: times of other nodes are by their own clocks, so steps stand in the order of the
way and not of the clocks; at a node where a packet branches, notes of a branch are assigned by the
directory, and without it only where they lead to the recipient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from exchanged.ledger.questions import EventRow, HopRow, PacketFacts, WaitingArrival
from exchanged.ledger.rows import DestinationRow, PacketRow, ReceiptRow
from exchanged.routing import RouteKind, route_to_node
from exchanged.states import ArrivalState, DestinationState, Event, PacketState
from exchanged.trace_values import (
    Because,
    Evidence,
    Holder,
    Holding,
    Step,
    StepKind,
    Trace,
    Viewpoint,
    Way,
)
from packet_spec.errors import ExchangeError
from packet_spec.hop import decode_hop
from packet_spec.model import ItemKind, ReceiptKind
from packet_spec.signing import split_signed

_OPEN_HERE: Final = {
    DestinationState.QUEUED: Because.NOT_OFFERED,
    DestinationState.ON_HOLD: Because.ON_HOLD,
    DestinationState.OFFERED: Because.NOT_ACKNOWLEDGED,
    DestinationState.ARRIVED: Because.BEING_DELIVERED,
    DestinationState.DELIVERING: Because.BEING_DELIVERED,
}
_STEP_OF_EVENT: Final = {
    Event.OFFER.value: StepKind.OFFERED,
    Event.BATCH_BAD.value: StepKind.BATCH_BAD,
    Event.ACKNOWLEDGE.value: StepKind.HANDED_OVER,
    Event.HAND_ON.value: StepKind.HANDED_OVER,
    Event.STAGE.value: StepKind.STAGED,
    Event.PLACE.value: StepKind.PLACED,
    Event.CANCEL.value: StepKind.CANCELLED,
    Event.HOLD.value: StepKind.HELD,
    Event.RELEASE.value: StepKind.RELEASED,
    Event.RELEASE_TO_INBOX.value: StepKind.RELEASED,
}
_STEP_BEFORE_ROUTES: Final = {
    Event.HOLD.value: StepKind.HELD,
    Event.ADMIT.value: StepKind.ADMITTED,
}
_WAITING: Final = {
    ArrivalState.LANDED: (StepKind.LANDED, Because.NOT_JUDGED),
    ArrivalState.NEEDING: (StepKind.NEEDING, Because.LACKS_BLOBS),
    ArrivalState.HELD: (StepKind.HELD, Because.NOT_JUDGED),
    ArrivalState.QUARANTINED: (StepKind.QUARANTINED, Because.NOT_JUDGED),
}
_TAKEN: Final = frozenset({StepKind.COLLECTED, StepKind.SIGNED})
_ENDED: Final = frozenset({StepKind.REFUSED, StepKind.UNDELIVERABLE, StepKind.EXPIRED, StepKind.CANCELLED})


def trace(facts: PacketFacts, viewpoint: Viewpoint) -> Trace:
    """The ways of a packet as far as ``viewpoint`` knows them; none where it knows statements alone."""
    packet = facts.packet
    waiting = tuple(_waiting_way(row, viewpoint) for row in facts.arrivals if row.kind is ItemKind.PACKET)
    if packet is None:
        return Trace(facts.key, viewpoint.node, None, waiting)
    digests = (packet.content_digest, packet.seal_digest)
    receipts = tuple(row for row in facts.receipts if row.speaks_of(*digests))
    hops = tuple(row for row in facts.hops if _seal_of(row) == packet.seal_digest)
    others = len(facts.receipts) - len(receipts) + len(facts.hops) - len(hops)
    told = _Told(viewpoint, packet, _events_of_attempt(facts), receipts, hops, facts.destinations)
    ways = tuple(told.way(row) for row in facts.destinations) or (told.way_without_destination(),)
    return Trace(facts.key, viewpoint.node, packet.attempt, (*ways, *waiting), others)


def _seal_of(row: HopRow) -> str:
    """The seal that a stored hop note speaks of; empty when its document cannot be read (any more)."""
    try:
        return decode_hop(split_signed(row.document)[0]).seal_digest
    except ExchangeError:
        return ""


def _events_of_attempt(facts: PacketFacts) -> tuple[EventRow, ...]:
    """A first attempt has all events; a higher one those since it came (its predecessor's are history).

    What passes through has those of its present passage: the other one led over another link.
    """
    packet = facts.packet
    if packet is None or (packet.attempt == 1 and not packet.transit):
        return facts.events
    return tuple(event for event in facts.events if event.at >= packet.landed_at)


def _waiting_way(row: WaitingArrival, viewpoint: Viewpoint) -> Way:
    """An item that was landed and is not judged. While it lacks a blob, custody is the neighbour's (C6)."""
    kind, because = _WAITING.get(row.state, (StepKind.LANDED, Because.NOT_JUDGED))
    by_link = f"link {row.link}"
    steps = [Step(row.landed_at, viewpoint.node, StepKind.LANDED, Evidence.OWN_LEDGER, detail=by_link)]
    if kind is not StepKind.LANDED:
        steps.append(Step(row.since, viewpoint.node, kind, Evidence.OWN_LEDGER, detail=row.reason))
    holder = Holder(viewpoint.node, row.landed_at, Holding.HERE, because)
    if row.state is ArrivalState.NEEDING:
        holder = Holder(viewpoint.peer(row.link), row.landed_at, Holding.LAST_KNOWN, because)
    return Way("", row.state.value, tuple(steps), holder)


@dataclass(slots=True)
class _Position:
    """How far the way is known while it is being put together."""

    steps: list[Step]
    holder: Holder


@dataclass(frozen=True, slots=True)
class _Told:
    """What is known of one judged packet, and the ways that follow from it."""

    viewpoint: Viewpoint
    packet: PacketRow
    events: tuple[EventRow, ...]
    receipts: tuple[ReceiptRow, ...]
    hops: tuple[HopRow, ...]
    destinations: tuple[DestinationRow, ...]

    def way(self, row: DestinationRow) -> Way:
        """The way to one recipient."""
        position = self._from_here(row)
        self._follow_notes(position, row)
        self._read_receipts(position, row.recipient, is_here=row.state in _OPEN_HERE)
        return Way(row.recipient, row.state.value, tuple(position.steps), position.holder)

    def way_without_destination(self) -> Way:
        """A packet that was refused here has no destination."""
        here = self.viewpoint.node
        because = Because.ENDED_HERE if self.packet.state is PacketState.REFUSED else Because.NOT_JUDGED
        holder = Holder(here, self.packet.landed_at, Holding.NOBODY, because)
        position = _Position([*self._beginning()], holder)
        self._read_receipts(position, "", is_here=True)
        return Way("", self.packet.state.value, tuple(position.steps), position.holder)

    def _beginning(self) -> Iterator[Step]:
        packet, here = self.packet, self.viewpoint.node
        if packet.own:
            yield Step(packet.sealed_at, here, StepKind.SEALED, Evidence.OWN_LEDGER)
            return
        sender = self.viewpoint.node_of(packet.key.sender)
        yield Step(packet.sealed_at, sender, StepKind.SEALED, Evidence.SEAL)
        by_link = f"link {packet.came_by}"
        yield Step(packet.landed_at, here, StepKind.LANDED, Evidence.OWN_LEDGER, detail=by_link)
        for event in self.events:
            kind = None if event.recipient else _STEP_BEFORE_ROUTES.get(event.kind)
            if kind is not None:
                reason = str(event.detail.get("reason", ""))
                yield Step(event.at, here, kind, Evidence.OWN_LEDGER, detail=reason)

    def _from_here(self, row: DestinationRow) -> _Position:
        """Own events towards this recipient, and who then holds it by this ledger alone."""
        here, packet = self.viewpoint.node, self.packet
        peer = self.viewpoint.peer(row.link) if row.link else ""
        holder = Holder(here, packet.landed_at, Holding.HERE, Because.NOT_OFFERED)
        position = _Position([*self._beginning()], holder)
        for event in self.events:
            kind = _STEP_OF_EVENT.get(event.kind)
            if kind is None or event.recipient != row.recipient:
                continue
            batch = event.detail.get("batch")
            detail = "" if batch is None else f"batch {batch}"
            position.steps.append(Step(event.at, here, kind, Evidence.OWN_LEDGER, to=peer, detail=detail))
            self._apply_own(position, kind, event.at, peer)
        because = _OPEN_HERE.get(row.state)
        if because is not None:
            position.holder = replace(position.holder, node=here, holding=Holding.HERE, because=because)
        return position

    def _apply_own(self, position: _Position, kind: StepKind, at: datetime, peer: str) -> None:
        here = self.viewpoint.node
        if kind is StepKind.HANDED_OVER:
            position.holder = Holder(peer, at, Holding.LAST_KNOWN, Because.ACKNOWLEDGED, unknown_beyond=peer)
        elif kind is StepKind.PLACED:
            position.holder = Holder(here, at, Holding.INBOX, Because.PLACED_HERE)
        elif kind is StepKind.CANCELLED:
            position.holder = Holder(here, at, Holding.NOBODY, Because.ENDED_HERE)

    def _follow_notes(self, position: _Position, row: DestinationRow) -> None:
        """From neighbour to neighbour along the notes of this recipient's branch.

        What was not offered yet for this recipient is here, whatever notes tell of other branches.
        """
        if not row.link or row.state in (DestinationState.QUEUED, DestinationState.ON_HOLD):
            return
        here, seen = self.viewpoint.peer(row.link), {(self.viewpoint.node, "")}
        admitting = self.viewpoint.admitting_node_behind(here, self.packet.key.sender)
        # First to the admitting node, then to the recipient: a bridge before both is passed twice (C16).
        target = admitting or self.viewpoint.node_of(row.recipient)
        while (here, target) not in seen:
            seen.add((here, target))
            if here == target == admitting:
                target = self.viewpoint.node_of(row.recipient)
            note = self._note(here, target)
            if note is None:
                return
            position.steps.append(Step(note.landed_at, here, StepKind.LANDED, Evidence.HOP_NOTE))
            if not note.next_node:
                position.steps.append(Step(note.left_at, here, StepKind.PLACED, Evidence.HOP_NOTE))
                position.holder = Holder(here, note.left_at, Holding.INBOX, Because.HOP_NOTE)
                return
            position.steps.append(
                Step(note.left_at, here, StepKind.HANDED_OVER, Evidence.HOP_NOTE, to=note.next_node)
            )
            here = note.next_node
            position.holder = Holder(
                here, note.left_at, Holding.LAST_KNOWN, Because.HOP_NOTE, unknown_beyond=here
            )

    def _note(self, node: str, target: str) -> HopRow | None:
        """The newest note of ``node`` about the way to the node ``target``."""
        notes = [row for row in self.hops if row.node == node]
        directory = self.viewpoint.directory
        if directory is not None:
            route = route_to_node(directory, node, target, came_from="")
            if route.kind is RouteKind.HERE:
                return _newest(row for row in notes if not row.next_node)
            if route.kind is RouteKind.NEIGHBOUR:
                return _newest(row for row in notes if row.next_node == route.neighbour)
        if node == target:
            return _newest(row for row in notes if not row.next_node)
        leading = _newest(row for row in notes if self._leads_to(row.next_node, target, frozenset({node})))
        if leading is None and len(self.destinations) == 1:
            return _newest(row for row in notes if row.next_node)
        return leading

    def _leads_to(self, node: str, target: str, passed: frozenset[str]) -> bool:
        """Notes lead from ``node`` to ``target``."""
        if node == target:
            return True
        if not node or node in passed:
            return False
        onward = {row.next_node for row in self.hops if row.node == node}
        return any(self._leads_to(following, target, passed | {node}) for following in onward)

    def _read_receipts(self, position: _Position, recipient: str, *, is_here: bool) -> None:
        """Receipts for the whole packet or for this recipient, in the order in which they came."""
        for receipt in self.receipts:
            if receipt.recipient and recipient and receipt.recipient != recipient:
                continue
            kind = StepKind(receipt.kind)
            step = Step(receipt.issued_at, receipt.issued_by, kind, Evidence.RECEIPT)
            if receipt.kind == ReceiptKind.ACCEPTED.value:
                self._read_accepted(position, step, is_here=is_here)
            else:
                position.steps.append(step)
                position.holder = _after(position.holder, step)

    def _read_accepted(self, position: _Position, step: Step, *, is_here: bool) -> None:
        """``accepted`` proves that its issuer had all of it; what is known beyond that stays.

        ``is_here``: this node has it, so the issuer stands before it on the way.
        """
        before = (StepKind.SEALED, StepKind.LANDED, StepKind.HELD, StepKind.ADMITTED)
        at_issuer = [
            place
            for place, known in enumerate(position.steps)
            if known.node == step.node and known.kind in before
        ]
        if at_issuer:
            position.steps.insert(at_issuer[-1] + 1, step)
        elif is_here or (not self.packet.own and step.at <= self.packet.landed_at):
            position.steps.insert(1, step)
        else:
            position.steps.append(step)
            holder = position.holder
            if holder.holding in (Holding.HERE, Holding.LAST_KNOWN) and holder.node != step.node:
                position.holder = Holder(
                    step.node, step.at, Holding.LAST_KNOWN, Because.RECEIPT, unknown_beyond=step.node
                )


def _after(holder: Holder, step: Step) -> Holder:
    """Who holds the packet after a final receipt. What was delivered stays so whatever comes later (C18)."""
    if step.kind is StepKind.DELIVERED:
        if holder.holding is Holding.CASE_SOFTWARE:
            return holder
        return Holder(step.node, step.at, Holding.INBOX, Because.RECEIPT)
    if step.kind in _TAKEN:
        return Holder(step.node, step.at, Holding.CASE_SOFTWARE, Because.RECEIPT)
    is_with_recipient = holder.holding in (Holding.INBOX, Holding.CASE_SOFTWARE)
    if step.kind in _ENDED and not (is_with_recipient and step.kind is StepKind.EXPIRED):
        return Holder(step.node, step.at, Holding.NOBODY, Because.RECEIPT)
    return holder


def _newest(rows: Iterator[HopRow]) -> HopRow | None:
    return max(rows, key=lambda row: row.left_at, default=None)
