"""What is allowed now, and what would come of it: one place for ``packet show``, previews and the deeds.

Pure questions to the ledger. The deeds ask again inside their transaction, so a text and a deed can only
differ when something happened in between, and then the deed says so.

Cancelling belongs to the sender's node alone, and only while the packet provably has not left (C18). The
rule would also allow it at the delivering front-end just before staging; nobody does, because no receipt
says "cancelled" (C21), so the sender would never learn of it. There a packet is held, or refused by the
recipient after its delivery (C22).

Known limit: a packet that stood in a batch before counts as one that may have left, and so does a higher
attempt of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from exchanged import forks
from exchanged.acts.subjects import (
    Gone,
    Leg,
    LinkName,
    MachineClock,
    Subject,
    Whole,
    is_held_for_good,
    of_packet,
    whole,
)
from exchanged.acts.values import Act, Obstacle, Outcome
from exchanged.errors import StoredPacketRottenError, StoredPartRottenError
from exchanged.ledger import Connection, batches, restoring, rotten, spoken, statements
from exchanged.ledger import acts as rows
from exchanged.ledger.arrivals import HELD_BY_OPERATOR, is_doubted
from exchanged.ledger.drops import DropRow, Original
from exchanged.ledger.rows import ArrivalRow
from exchanged.ledger.times import stamp
from exchanged.states import FINAL_DESTINATIONS, UNTAKEN, ArrivalState, DestinationState, DropState
from packet_spec.errors import (
    AuthorityError,
    DecryptionKeyMissingError,
    DigestMismatchError,
    RevokedSinceError,
)
from packet_spec.identity import PacketKey
from packet_spec.model import ItemKind

_D = DestinationState
_NOT_SENT = frozenset({_D.QUEUED, _D.ON_HOLD})
NOT_STAGED: Final = frozenset({_D.ARRIVED, _D.ON_HOLD})
"""States at the delivering front-end in which nothing of a packet can have reached the inbox."""

GIVEN_UP_WHEN_ARRIVED: Final = frozenset(
    {
        RevokedSinceError.reference,
        AuthorityError.reference,
        DecryptionKeyMissingError.reference,
        StoredPartRottenError.reference,
        StoredPacketRottenError.reference,
        DigestMismatchError.reference,
    }
)
"""Why the delivery of a packet may be given up: it waits for what may never come."""


_SIGNED: Final = frozenset({Outcome.SIGNED, Outcome.REFUSED, Outcome.DISCARDED_TOLD})
"""Outcomes that are a receipt, signed now."""


def nobody_answers(_connection: Connection, _key: PacketKey) -> Obstacle | None:
    """For nodes without an agency: nothing is delivered here, so nothing is signed for here."""
    return Obstacle.NO_RECIPIENT


def no_doubt() -> str:
    """For a running node, which hears from its neighbours what time it is, and whoever only asks."""
    return ""


@dataclass(frozen=True, slots=True)
class Standpoint:
    """The node that acts. ``why_not_answer`` knows whether its agency may sign for a packet (C22).

    ``dating_doubt``: why nothing that others will read may be dated now, or empty (C18).
    """

    links: tuple[str, ...]
    why_not_answer: Callable[[Connection, PacketKey], Obstacle | None] = nobody_answers
    dating_doubt: Callable[[], str] = no_doubt


@dataclass(frozen=True, slots=True)
class Verdict:
    """What would come of an act, or the obstacle; ``fields`` fill the sentence that says so."""

    outcome: Outcome | None = None
    obstacle: Obstacle | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


def consider(
    connection: Connection,
    act: Act,
    subject: Subject,
    here: Standpoint,
    *,
    without_parts: bool = False,
    incarnation: str = "",
) -> Verdict:
    """Whether ``act`` is allowed on ``subject`` now.

    ``without_parts``: the operator says that what is still to be put by a neighbour will not come.
    ``incarnation``: the one that is to count of a neighbour.
    """
    match subject.thing:
        case Leg():
            return if_it_may_sign(connection, _leg(connection, act, subject.thing), here)
        case Whole():
            return if_it_may_sign(connection, _whole(connection, act, subject.thing, here), here)
        case ArrivalRow():
            return _arrival(act, subject.thing, without_parts=without_parts)
        case DropRow():
            return _drop(act, subject.thing)
        case LinkName():
            return _link(connection, act, subject.thing, incarnation)
        case MachineClock(since=since):
            return _yes(Outcome.CLOCK_CONFIRMED, since=since) if since else _no(Obstacle.NOT_DOUBTED)
        case Gone():
            return _no(Obstacle.CHANGED, state=subject.thing.state)


def if_it_may_sign(connection: Connection, verdict: Verdict, here: Standpoint) -> Verdict:
    """The same, or what stands in the way where a receipt would be signed now.

    A restored node may have said the contrary, and forgotten it, until others have given that back (C23).
    """
    if verdict.outcome not in _SIGNED:
        return verdict
    if restoring.is_going_on(connection):
        return Verdict(obstacle=Obstacle.NODE_RESTORING, fields=verdict.fields)
    if doubt := here.dating_doubt():
        return Verdict(obstacle=Obstacle.CLOCK_DOUBTED, fields={**verdict.fields, "why": doubt})
    return verdict


def allowed(connection: Connection, key: PacketKey, here: Standpoint) -> Iterator[tuple[Act, Subject]]:
    """Every act that is allowed now on anything of one packet.

    A discard also where the operator has to say that missing parts will not come. Whether its sender can be
    told is not asked: that needs a look at the seal (``giving_up``).
    """
    pairs = [(act, whole(connection, key)) for act in (Act.CANCEL, Act.SIGN, Act.RESEND)]
    for subject in of_packet(connection, key):
        pairs += [(act, subject) for act in (Act.HOLD, Act.RELEASE, Act.REQUEUE, Act.DISCARD)]
    for act, subject in pairs:
        if consider(connection, act, subject, here, without_parts=True).outcome is not None:
            yield act, subject


def go_apart(act: Act, found: Iterable[tuple[Subject, Verdict]]) -> bool:
    """Whether these are not to be released under one name: who means one of them may not see the others.

    Each receipt that a thief may have signed is vouched for by itself.
    """
    ways = {
        subject.token if verdict.outcome is Outcome.TO_COUNT else verdict.outcome
        for subject, verdict in found
        if verdict.outcome is not None
    }
    return act is Act.RELEASE and len(ways) > 1


def _no(obstacle: Obstacle, **fields: str) -> Verdict:
    return Verdict(obstacle=obstacle, fields=fields)


def _yes(outcome: Outcome, **fields: str) -> Verdict:
    return Verdict(outcome, fields=fields)


# --- a packet on one link ----------------------------------------------------------------------


def _leg(connection: Connection, act: Act, leg: Leg) -> Verdict:
    if act is Act.HOLD:
        return _hold_leg(connection, leg)
    if act is Act.DISCARD:
        return _give_up_leg(connection, leg)
    if act is not Act.RELEASE:
        return _no(Obstacle.NOT_IN_QUARANTINE, state=_said(leg))
    if all(row.state is not _D.ON_HOLD for row in leg.destinations):
        return _no(Obstacle.NOT_HELD, state=_said(leg))
    return _yes(Outcome.TO_LINK if leg.link else Outcome.TO_INBOX, to=_whom(leg), link=leg.link)


def _hold_leg(connection: Connection, leg: Leg) -> Verdict:
    states, whom = {row.state for row in leg.destinations}, _whom(leg)
    if _D.ARRIVED in states and not leg.link:
        return _yes(Outcome.ON_HOLD, to=whom, link="")
    if _D.QUEUED in states and batches.is_waiting(connection, leg.link, ItemKind.PACKET, leg.packet.id):
        return _yes(Outcome.ON_HOLD, to=whom, link=leg.link)
    if _D.ON_HOLD in states:
        return _no(Obstacle.ALREADY_HELD)
    if states & {_D.QUEUED, _D.OFFERED}:
        return _no(Obstacle.IN_BATCH, link=leg.link)
    if _D.DELIVERING in states:
        return _no(Obstacle.BEING_DELIVERED)
    return _no(Obstacle.ENDED if states <= FINAL_DESTINATIONS else Obstacle.HAS_LEFT, state=_said(leg))


def _give_up_leg(connection: Connection, leg: Leg) -> Verdict:
    """What arrived for this node's agency, and cannot be delivered for a reason that may never end.

    Or what this node admitted and cannot send on, because its stored bytes are rotten: its sender has them.
    """
    states, packet = {row.state for row in leg.destinations}, leg.packet
    if leg.link:
        is_admitted = not (packet.own or packet.transit)
        if _D.ON_HOLD in states and is_admitted and rotten.is_packet_noted(connection, packet.id):
            return _yes(Outcome.DISCARDED_TOLD)
        return _no(Obstacle.NOT_IN_QUARANTINE, state=_said(leg))
    if _D.DELIVERING in states:
        return _no(Obstacle.BEING_DELIVERED)
    if states & NOT_STAGED and rows.delivery_waits_for(connection, leg.packet) in GIVEN_UP_WHEN_ARRIVED:
        return _yes(Outcome.DISCARDED_TOLD)
    return _no(Obstacle.NOT_IN_QUARANTINE, state=_said(leg))


def _whom(thing: Leg | Whole) -> str:
    return ", ".join(row.recipient for row in thing.destinations)


def _said(thing: Leg | Whole) -> str:
    """Where each destination is, for a sentence."""
    return ", ".join(f"{row.recipient}: {row.state} since {stamp(row.since)}" for row in thing.destinations)


# --- a packet as a whole -----------------------------------------------------------------------


def _whole(connection: Connection, act: Act, thing: Whole, here: Standpoint) -> Verdict:
    if act is Act.CANCEL:
        return _cancel(connection, thing)
    if act is Act.SIGN:
        obstacle = here.why_not_answer(connection, thing.key)
        return Verdict(Outcome.SIGNED) if obstacle is None else _no(obstacle, state=_said(thing))
    own = [row for row in statements.summaries_of(connection, thing.key) if row.own]
    if not own:
        return _no(Obstacle.NONE_ISSUED)
    return _yes(Outcome.RESENT, receipts=", ".join(f"{row.kind} {row.attempt}" for row in own))


def _cancel(connection: Connection, thing: Whole) -> Verdict:
    """C18: an own packet, nothing of which ever stood in a batch that may have been put somewhere."""
    packet = thing.packet
    if packet is None or not packet.own:
        return _no(Obstacle.NOT_OWN, sender=thing.key.sender)
    states = {row.state for row in thing.destinations}
    if states <= FINAL_DESTINATIONS:
        return _no(Obstacle.ENDED, state=_said(thing) or packet.state.value)
    if not states <= _NOT_SENT:
        return _no(Obstacle.HAS_LEFT, state=_said(thing))
    if batches.was_offered(connection, ItemKind.PACKET, packet.id):
        return _no(Obstacle.MAY_HAVE_LEFT, state=_said(thing))
    return _yes(Outcome.CANCELLED, to=_whom(thing))


# --- what is not judged, what is not taken, links ----------------------------------------------


def _arrival(act: Act, row: ArrivalRow, *, without_parts: bool) -> Verdict:
    fields = {"item": row.kind.value, "held_by": row.reason or row.state.value, "link": row.link}
    leaving = {Act.REQUEUE: Outcome.REQUEUED, Act.DISCARD: Outcome.DISCARDED}.get(act)
    if leaving is not None:
        is_lacking = row.state is ArrivalState.NEEDING and act is Act.DISCARD
        may_be_given_up = act is Act.DISCARD and is_held_for_good(row)
        if row.state is ArrivalState.QUARANTINED or may_be_given_up or (is_lacking and without_parts):
            return Verdict(leaving, fields=fields)
        if is_lacking:
            return Verdict(obstacle=Obstacle.LACKS_BLOBS, fields=fields)
        return _no(Obstacle.NOT_IN_QUARANTINE, state=row.state.value)
    if row.state is ArrivalState.QUARANTINED:
        return Verdict(obstacle=Obstacle.IN_QUARANTINE, fields=fields)
    if row.state is ArrivalState.NEEDING:
        return Verdict(obstacle=Obstacle.LACKS_BLOBS, fields=fields)
    return _release_arrival(row, fields) if act is Act.RELEASE else _hold_arrival(row, fields)


def _release_arrival(row: ArrivalRow, fields: Mapping[str, str]) -> Verdict:
    if row.state is ArrivalState.HELD:
        return Verdict(Outcome.TO_COUNT if is_doubted(row) else Outcome.TO_JUDGE, fields=fields)
    return _no(Obstacle.NOT_HELD, state=row.state.value)


def _hold_arrival(row: ArrivalRow, fields: Mapping[str, str]) -> Verdict:
    if row.kind is not ItemKind.PACKET:
        return Verdict(obstacle=Obstacle.STATEMENT, fields=fields)
    if row.reason == HELD_BY_OPERATOR and row.state is ArrivalState.HELD:
        return Verdict(obstacle=Obstacle.ALREADY_HELD, fields=fields)
    return Verdict(Outcome.HELD, fields=fields)


def _drop(act: Act, row: DropRow) -> Verdict:
    if row.state not in UNTAKEN or row.original not in (Original.OUTBOX, Original.KEPT):
        return _no(Obstacle.DROP_ENDED, state=row.state.value)
    if act is Act.REQUEUE and row.state is DropState.HELD:
        return _no(Obstacle.HELD_DROP, held_by=row.reason)
    if act is not Act.RELEASE:
        return _no(Obstacle.NOT_SEALED, state=row.state.value)
    if row.state is DropState.HELD:
        return _yes(Outcome.TO_INTAKE, held_by=row.reason)
    return _no(Obstacle.NOT_HELD, state=row.state.value)


def _link(connection: Connection, act: Act, link: LinkName, incarnation: str) -> Verdict:
    if act is Act.ACCEPT:
        return _accept(connection, link, incarnation)
    if act is Act.SKIP:
        if link.waits is None:
            return _no(Obstacle.NOT_RESTORING)
        if not link.waits:
            is_asking = bool(restoring.peers(connection))
            return _no(Obstacle.ANSWERED_ALREADY if is_asking else Obstacle.NOT_ASKED_YET)
        return _yes(Outcome.SKIPPED, nodes=", ".join(link.waits))
    if act is Act.PAUSE:
        return _no(Obstacle.PAUSED_ALREADY, because=link.paused) if link.paused else _yes(Outcome.PAUSED)
    return _yes(Outcome.RESUMED, because=link.paused) if link.paused else _no(Obstacle.NOT_PAUSED)


def _accept(connection: Connection, link: LinkName, incarnation: str) -> Verdict:
    """What an operator said of an incarnation can be taken back: a closed one may count after all."""
    if link.set_back:
        return _no(Obstacle.SET_BACK)
    because = link.forked
    if not because and spoken.is_closed(connection, link.name, incarnation):
        because = forks.CLOSED
    if not because:
        return _no(Obstacle.NOT_FORKED)
    is_known = spoken.is_met(connection, link.name, incarnation)
    return _yes(Outcome.ACCEPTED if is_known else Outcome.ACCEPTED_UNHEARD, because=because)
