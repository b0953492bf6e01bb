"""Where a packet is, put together from what one node knows: a pure question, nobody else is asked.

A way is told per destination, hop by hop, from three kinds of evidence: this node's own events, hop notes
that each node on the way signed, and signed receipts. A custody holder is the last node that provably
has it; where nothing came back from there, the answer says so instead of guessing.

Guarantees: only statements about the attempt in hand count, under whatever seal of it; a note about another
recipient's branch is never taken for this one's; where neither event nor statement tells, the state alone
says who may have it. Leaves to others: signatures, verified before a statement entered the ledger, and what
was never judged here (``trace_arrivals``). Known limits: times of other nodes are by their own clocks, so
steps stand in the order of the way and not of the clocks; at a node where a packet branches, notes of a
branch are assigned by the directory, and without it only where they lead to the recipient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from exchanged.acts.values import Outcome
from exchanged.ledger.questions import EventRow, HopRow, PacketFacts
from exchanged.ledger.rows import DestinationRow, PacketRow, ReceiptRow
from exchanged.routing import RouteKind, route_to_node
from exchanged.states import RETRYABLE_DESTINATIONS, DestinationState, Event, PacketState
from exchanged.trace_arrivals import ways_of_arrivals
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
from packet_spec.model import ReceiptKind
from packet_spec.signing import split_signed

_REMEMBERED: Final = "remembered"
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
    # Of this event only what an operator here gave up: what others say stands in their receipts.
    Event.RECEIPT_UNDELIVERABLE.value: StepKind.DISCARDED,
}
_STEP_BEFORE_ROUTES: Final = {
    Event.HOLD.value: StepKind.HELD,
    Event.ADMIT.value: StepKind.ADMITTED,
    Event.DISCARD.value: StepKind.DISCARDED,
    _REMEMBERED: StepKind.REMEMBERED,
}
_TAKEN: Final = frozenset({StepKind.COLLECTED, StepKind.SIGNED})
_ENDED: Final = frozenset({StepKind.REFUSED, StepKind.UNDELIVERABLE, StepKind.EXPIRED})
_DELIVERED: Final = frozenset(
    {DestinationState.DELIVERED, DestinationState.COLLECTED, DestinationState.SIGNED}
)


def trace(facts: PacketFacts, viewpoint: Viewpoint) -> Trace:
    """The ways of a packet as far as ``viewpoint`` knows them; none where it knows statements alone."""
    packet = facts.packet
    arrived = ways_of_arrivals(facts, viewpoint)
    if packet is None:
        return Trace(facts.key, viewpoint.node, None, arrived)
    meant = (
        row for row in facts.receipts if packet.is_meant_by(row.attempt, row.content_digest, row.seal_digest)
    )
    receipts = tuple(sorted(meant, key=_place))
    # A note names its seal alone: that a seal is one of this attempt, the receipts say.
    seals = {packet.seal_digest, *(row.seal_digest for row in receipts)}
    hops = tuple(row for row in facts.hops if _seal_of(row) in seals)
    others = len(facts.receipts) - len(receipts) + len(facts.hops) - len(hops)
    told = _Told(viewpoint, packet, _events_of_attempt(facts), receipts, hops, facts.destinations)
    ways = tuple(told.way(row) for row in facts.destinations) or (told.way_without_destination(),)
    return Trace(facts.key, viewpoint.node, packet.attempt, (*ways, *arrived), others)


def _place(receipt: ReceiptRow) -> tuple[bool, datetime]:
    """In which order receipts count: a restored node takes them back in any."""
    return receipt.kind != ReceiptKind.ACCEPTED.value, receipt.issued_at


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
        self._read_receipts(position, row)
        if row.state is DestinationState.EXPIRED and position.holder.because is Because.ENDED_HERE:
            here = self.viewpoint.node
            position.steps.append(Step(row.since, here, StepKind.EXPIRED, Evidence.OWN_LEDGER))
        return Way(row.recipient, row.state.value, tuple(position.steps), position.holder)

    def way_without_destination(self) -> Way:
        """A packet that was refused here, or had ended elsewhere when a restored node was told of it."""
        holder = Holder(self.viewpoint.node, self.packet.landed_at, Holding.NOBODY, Because.ENDED_HERE)
        if self.packet.state is not PacketState.REFUSED:
            teller, at = self.viewpoint.peer(self.packet.came_by), self._remembered_at()
            holder = Holder(teller, at or self.packet.landed_at, Holding.NOBODY, Because.REMEMBERED)
        position = _Position([*self._beginning()], holder)
        self._read_receipts(position, None)
        return Way("", self.packet.state.value, tuple(position.steps), position.holder)

    def _remembered_at(self) -> datetime | None:
        """When a neighbour last told of it after a restore; None if it is known by its seal alone."""
        return max((event.at for event in self.events if event.kind == _REMEMBERED), default=None)

    def _beginning(self) -> Iterator[Step]:
        packet, here = self.packet, self.viewpoint.node
        if packet.own:
            yield Step(packet.sealed_at, here, StepKind.SEALED, Evidence.OWN_LEDGER)
        else:
            sender = self.viewpoint.node_of(packet.key.sender)
            yield Step(packet.sealed_at, sender, StepKind.SEALED, Evidence.SEAL)
        # What was only told of bears the time of its seal as that of its landing.
        if not packet.own and not (self._remembered_at() and packet.landed_at == packet.sealed_at):
            by_link = f"link {packet.came_by}"
            yield Step(packet.landed_at, here, StepKind.LANDED, Evidence.OWN_LEDGER, detail=by_link)
        for event in self.events:
            kind = None if event.recipient else _STEP_BEFORE_ROUTES.get(event.kind)
            if kind is StepKind.DISCARDED and event.detail.get("outcome") != Outcome.DISCARDED_TOLD:
                # A copy of it, and not the packet.
                continue
            if kind is StepKind.REMEMBERED or (kind is not None and not packet.own):
                said = str(event.detail.get("kept" if kind is StepKind.DISCARDED else "reason", ""))
                yield Step(event.at, here, kind, Evidence.OWN_LEDGER, detail=said)

    def _from_here(self, row: DestinationRow) -> _Position:
        """Own events towards this recipient, and who then holds it by this ledger alone."""
        here, by_state = self.viewpoint.node, self._by_state(row)
        peer = self.viewpoint.peer(row.link) if row.link else ""
        position = _Position([*self._beginning()], by_state)
        for event in self.events:
            kind = _STEP_OF_EVENT.get(event.kind)
            if kind is None or event.recipient != row.recipient:
                continue
            batch, kept = event.detail.get("batch"), str(event.detail.get("kept", ""))
            if kind is StepKind.DISCARDED and not kept:
                continue
            detail = kept if batch is None else f"batch {batch}"
            position.steps.append(Step(event.at, here, kind, Evidence.OWN_LEDGER, to=peer, detail=detail))
            if kind is StepKind.HANDED_OVER:
                position.holder = _last_known(peer, event.at, Because.ACKNOWLEDGED)
            elif kind is StepKind.PLACED:
                position.holder = Holder(here, event.at, Holding.INBOX, Because.PLACED_HERE)
        if row.state in _OPEN_HERE:
            position.holder = by_state
        return position

    def _by_state(self, row: DestinationRow) -> Holder:
        """Who holds it where no event tells: by what the state alone says, and nothing beyond it."""
        here, packet = self.viewpoint.node, self.packet
        because = _OPEN_HERE.get(row.state)
        if because is not None and packet.bytes_at is not None:
            return Holder(here, packet.landed_at, Holding.HERE, because)
        if because is not None:
            # Told of after a restore: whoever sealed it keeps its bytes until it is final (C23).
            return _last_known(self.viewpoint.node_of(packet.key.sender), row.since, Because.REMEMBERED)
        if row.state in RETRYABLE_DESTINATIONS:
            return Holder(here, row.since, Holding.NOBODY, Because.ENDED_HERE)
        if row.state in _DELIVERED and not row.link:
            return Holder(here, row.since, Holding.INBOX, Because.PLACED_HERE)
        told = Because.ACKNOWLEDGED if self._remembered_at() is None else Because.REMEMBERED
        return _last_known(self.viewpoint.peer(row.link), row.since, told)

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
            position.holder = _last_known(here, note.left_at, Because.HOP_NOTE)

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

    def _read_receipts(self, position: _Position, row: DestinationRow | None) -> None:
        """Receipts for the whole packet or for this recipient; of a packet without destination, all."""
        is_here = row is None or row.state in _OPEN_HERE
        goes_on = row is not None and (is_here or row.state in _DELIVERED)
        for receipt in self.receipts:
            if row is not None and receipt.recipient not in ("", row.recipient):
                continue
            kind = StepKind(receipt.kind)
            step = Step(receipt.issued_at, receipt.issued_by, kind, Evidence.RECEIPT)
            if kind is StepKind.ACCEPTED:
                self._read_accepted(position, step, is_here=is_here)
                continue
            position.steps.append(step)
            if kind not in _ENDED or not (goes_on or self._is_late(step)):
                position.holder = _after(position.holder, step)

    def _is_late(self, step: Step) -> bool:
        """The sender of another node's packet says that it expired there: it had left before (C18)."""
        sender = self.packet.key.sender
        by_sender = step.node in (sender, self.viewpoint.node_of(sender))
        return step.kind is StepKind.EXPIRED and by_sender and not self.packet.own

    def _read_accepted(self, position: _Position, step: Step, *, is_here: bool) -> None:
        """``accepted`` proves that its issuer had all of it; what is known beyond that stays.

        ``is_here``: this node has it, so the issuer stands before it on the way.
        """
        before = (StepKind.SEALED, StepKind.LANDED, StepKind.REMEMBERED, StepKind.HELD, StepKind.ADMITTED)
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
                position.holder = _last_known(step.node, step.at, Because.RECEIPT)


def _last_known(node: str, since: datetime, because: Because) -> Holder:
    """Custody passed to ``node``, and nothing is known beyond it."""
    return Holder(node, since, Holding.LAST_KNOWN, because, unknown_beyond=node)


def _after(holder: Holder, step: Step) -> Holder:
    """Who holds the packet after a final receipt. What was delivered stays so whatever comes later (C18)."""
    if step.kind is StepKind.DELIVERED:
        if holder.holding is Holding.CASE_SOFTWARE:
            return holder
        return Holder(step.node, step.at, Holding.INBOX, Because.RECEIPT)
    if step.kind in _TAKEN:
        return Holder(step.node, step.at, Holding.CASE_SOFTWARE, Because.RECEIPT)
    is_with_recipient = holder.holding in (Holding.INBOX, Holding.CASE_SOFTWARE)
    if step.kind is StepKind.REFUSED or (step.kind in _ENDED and not is_with_recipient):
        return Holder(step.node, step.at, Holding.NOBODY, Because.RECEIPT)
    return holder


def _newest(rows: Iterator[HopRow]) -> HopRow | None:
    return max(rows, key=lambda row: row.left_at, default=None)
