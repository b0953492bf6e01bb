"""States, events and the allowed transitions: one table, and nothing else decides.

What a link brings is an *arrival* until it is judged. An admitted packet is ``active``; from then on
state belongs to (packet, recipient), and the packet is ``done`` when all its destinations are final.
An event that the table does not allow raises ``IllegalTransitionError``. docs/state-machine.md is
generated from this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exchanged.errors import IllegalTransitionError
from packet_spec.model import ReceiptKind


class ArrivalState(StrEnum):
    """The state of one item that a link brought, from landing to judgement."""

    LANDED = "landed"
    NEEDING = "needing"
    HELD = "held"
    ADMITTED = "admitted"
    REFUSED = "refused"
    REPEATED = "repeated"
    QUARANTINED = "quarantined"
    DISCARDED = "discarded"


class PacketState(StrEnum):
    """The state of a packet as a whole at this node, once it was sealed or judged here."""

    ACTIVE = "active"
    REFUSED = "refused"
    DONE = "done"


class DestinationState(StrEnum):
    """The state of a packet for one recipient at this node."""

    QUEUED = "queued"
    ON_HOLD = "on-hold"
    OFFERED = "offered"
    HANDED_OVER = "handed-over"
    ACCEPTED = "accepted"
    PASSED_ON = "passed-on"
    ARRIVED = "arrived"
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    COLLECTED = "collected"
    SIGNED = "signed"
    REFUSED = "refused"
    UNDELIVERABLE = "undeliverable"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class DropState(StrEnum):
    """The state of a drop in an agency's outbox, before and after it became a packet."""

    SEEN = "seen"
    INCOMPLETE = "incomplete"
    HELD = "held"
    REFUSED = "refused"
    DUPLICATE = "duplicate"
    TAKEN = "taken"
    WITHDRAWN = "withdrawn"
    DISPOSED = "disposed"


State = ArrivalState | PacketState | DestinationState | DropState


class Event(StrEnum):
    """What can happen to a packet, a destination or a drop."""

    BLOBS_MISSING = "blobs-missing"
    BLOBS_COMPLETE = "blobs-complete"
    ADMIT = "admit"
    REFUSE = "refuse"
    HOLD = "hold"
    RELEASE = "release"
    RELEASE_TO_INBOX = "release-to-inbox"
    REQUEUE = "requeue"
    DISCARD = "discard"
    QUARANTINE = "quarantine"
    REPEAT = "repeat"
    NEW_ATTEMPT = "new-attempt"
    COMPLETE = "complete"
    OFFER = "offer"
    ACKNOWLEDGE = "acknowledge"
    HAND_ON = "hand-on"
    TAKE_AGAIN = "take-again"
    BATCH_BAD = "batch-bad"
    STAGE = "stage"
    UNSTAGE = "unstage"
    PLACE = "place"
    RECALL = "recall"
    CANCEL = "cancel"
    RECEIPT_ACCEPTED = "receipt-accepted"
    RECEIPT_DELIVERED = "receipt-delivered"
    RECEIPT_COLLECTED = "receipt-collected"
    RECEIPT_SIGNED = "receipt-signed"
    RECEIPT_REFUSED = "receipt-refused"
    RECEIPT_UNDELIVERABLE = "receipt-undeliverable"
    RECEIPT_EXPIRED = "receipt-expired"
    LISTED_PART_MISSING = "listed-part-missing"
    TAKE = "take"
    RECOGNISE = "recognise"
    WITHDRAW = "withdraw"
    DISPOSE = "dispose"


@dataclass(frozen=True, slots=True)
class Transition:
    """From ``source`` on ``event`` to ``target``; ``meaning`` is for people."""

    source: State
    event: Event
    target: State
    meaning: str


_A = ArrivalState
_P = PacketState
_D = DestinationState
_O = DropState
_E = Event


def _receipts(
    event: Event, sources: tuple[DestinationState, ...], target: DestinationState, meaning: str
) -> tuple[Transition, ...]:
    return tuple(Transition(source, event, target, meaning) for source in sources)


_ON_THE_WAY: Final = (_D.QUEUED, _D.ON_HOLD, _D.OFFERED, _D.HANDED_OVER)
_NOT_DELIVERED: Final = (*_ON_THE_WAY, _D.ACCEPTED)

TRANSITIONS: Final[tuple[Transition, ...]] = (
    # one item that a link brought
    Transition(
        _A.LANDED, _E.BLOBS_MISSING, _A.NEEDING, "a blob is missing; custody stays with the neighbour (C6)"
    ),
    Transition(_A.NEEDING, _E.BLOBS_COMPLETE, _A.LANDED, "all blobs are here; custody passes"),
    Transition(_A.NEEDING, _E.DISCARD, _A.DISCARDED, "an operator gave it up: a blob never came"),
    Transition(_A.LANDED, _E.ADMIT, _A.ADMITTED, "judged good"),
    Transition(_A.LANDED, _E.REFUSE, _A.REFUSED, "judged and refused, with findings"),
    Transition(_A.LANDED, _E.REPEAT, _A.REPEATED, "known already: the first receipt is repeated (C12)"),
    Transition(_A.LANDED, _E.HOLD, _A.HELD, "could not be judged: doubt holds"),
    Transition(_A.LANDED, _E.QUARANTINE, _A.QUARANTINED, "suspicious; a person must look"),
    Transition(_A.HELD, _E.RELEASE, _A.LANDED, "the reason to hold may be gone; judge again"),
    Transition(_A.HELD, _E.HOLD, _A.HELD, "an operator said wait, whatever held it before"),
    Transition(_A.HELD, _E.QUARANTINE, _A.QUARANTINED, "suspicious; a person must look"),
    Transition(_A.HELD, _E.DISCARD, _A.DISCARDED, "an operator gave it up: what holds it may never end"),
    Transition(_A.QUARANTINED, _E.REQUEUE, _A.LANDED, "an operator looked; judged once more from the start"),
    Transition(_A.QUARANTINED, _E.DISCARD, _A.DISCARDED, "an operator gave it up; its bytes are set aside"),
    # the packet as a whole
    Transition(_P.ACTIVE, _E.COMPLETE, _P.DONE, "every destination is final"),
    Transition(_P.DONE, _E.NEW_ATTEMPT, _P.ACTIVE, "a higher attempt after a refusal (C12)"),
    Transition(_P.REFUSED, _E.NEW_ATTEMPT, _P.ACTIVE, "a higher attempt after a refusal (C12)"),
    Transition(_P.DONE, _E.TAKE_AGAIN, _P.ACTIVE, "a node in between forwards it once more (C14)"),
    Transition(
        _P.REFUSED, _E.TAKE_AGAIN, _P.ACTIVE, "refused here once; now another node admits its sender (C14)"
    ),
    Transition(_P.DONE, _E.REFUSE, _P.REFUSED, "a higher attempt was judged and refused too"),
    Transition(_P.REFUSED, _E.REFUSE, _P.REFUSED, "a higher attempt was judged and refused too"),
    # one destination on its way
    Transition(_D.QUEUED, _E.OFFER, _D.OFFERED, "in a committed batch of the next link"),
    Transition(
        _D.OFFERED, _E.ACKNOWLEDGE, _D.HANDED_OVER, "durable at the neighbour; custody passed (C5, C6)"
    ),
    Transition(
        _D.OFFERED, _E.HAND_ON, _D.PASSED_ON, "custody passed; a node in between owes nothing more (C5, C14)"
    ),
    Transition(_D.OFFERED, _E.BATCH_BAD, _D.QUEUED, "the batch was unreadable there; offered again (C5)"),
    Transition(
        _D.QUEUED, _E.HOLD, _D.ON_HOLD, "an operator said wait, or its stored bytes are rotten: not offered"
    ),
    Transition(_D.ON_HOLD, _E.RELEASE, _D.QUEUED, "an operator let it go on: offered again"),
    Transition(_D.QUEUED, _E.CANCEL, _D.CANCELLED, "cancelled before it was first offered (C18)"),
    Transition(_D.ON_HOLD, _E.CANCEL, _D.CANCELLED, "cancelled before it was first offered (C18)"),
    Transition(_D.QUEUED, _E.RECEIPT_EXPIRED, _D.EXPIRED, "expired before it was first offered (C18)"),
    *_receipts(_E.RECEIPT_ACCEPTED, _ON_THE_WAY, _D.ACCEPTED, "the admitting node has all of it"),
    *_receipts(
        _E.RECEIPT_DELIVERED,
        (*_NOT_DELIVERED, _D.EXPIRED),
        _D.DELIVERED,
        "whole and durable in the receiver's inbox; outranks expired (C18)",
    ),
    *_receipts(
        _E.RECEIPT_COLLECTED, (*_NOT_DELIVERED, _D.DELIVERED), _D.COLLECTED, "the case software took it (C20)"
    ),
    *_receipts(
        _E.RECEIPT_SIGNED,
        (*_NOT_DELIVERED, _D.DELIVERED, _D.COLLECTED),
        _D.SIGNED,
        "signed for by software or a named person (C22)",
    ),
    *_receipts(
        _E.RECEIPT_REFUSED,
        (*_NOT_DELIVERED, _D.DELIVERED, _D.COLLECTED),
        _D.REFUSED,
        "refused by the admitting node or the receiver (C21)",
    ),
    *_receipts(
        _E.RECEIPT_UNDELIVERABLE,
        _NOT_DELIVERED,
        _D.UNDELIVERABLE,
        "cannot reach the receiver, or an operator gave up what is rotten (C21)",
    ),
    *_receipts(
        _E.RECEIPT_EXPIRED,
        (_D.OFFERED, _D.HANDED_OVER, _D.ACCEPTED),
        _D.EXPIRED,
        "expired where C18 allows it",
    ),
    # one destination at the delivering front-end
    Transition(_D.ARRIVED, _E.STAGE, _D.DELIVERING, "staged and synced beside the inbox (C19)"),
    Transition(_D.ARRIVED, _E.HOLD, _D.ON_HOLD, "an operator said wait: not staged"),
    Transition(_D.ON_HOLD, _E.RELEASE_TO_INBOX, _D.ARRIVED, "an operator let it go on: staged next"),
    Transition(_D.ARRIVED, _E.RECEIPT_EXPIRED, _D.EXPIRED, "expired just before staging (C18)"),
    Transition(
        _D.ARRIVED, _E.RECEIPT_REFUSED, _D.REFUSED, "its encrypted parts are not what their sender says (C21)"
    ),
    Transition(
        _D.ARRIVED,
        _E.RECEIPT_UNDELIVERABLE,
        _D.UNDELIVERABLE,
        "an operator gave it up: it cannot be opened, its seal counts no more, or its bytes are rotten (C21)",
    ),
    Transition(_D.DELIVERING, _E.UNSTAGE, _D.ARRIVED, "not renamed: its seal counts no more by now"),
    Transition(_D.DELIVERING, _E.PLACE, _D.DELIVERED, "renamed into the inbox and synced (C19)"),
    Transition(_D.ARRIVED, _E.RECALL, _D.DELIVERED, "our receipt is back: delivered before a restore (C23)"),
    Transition(
        _D.DELIVERING, _E.RECALL, _D.DELIVERED, "our receipt is back: delivered before a restore (C23)"
    ),
    # a drop
    Transition(_O.SEEN, _E.LISTED_PART_MISSING, _O.INCOMPLETE, "something that it lists is not there yet"),
    Transition(_O.SEEN, _E.TAKE, _O.TAKEN, "sealed and committed; the original may move to sent/"),
    Transition(_O.SEEN, _E.REFUSE, _O.REFUSED, "refused with findings; moves to refused/"),
    Transition(_O.SEEN, _E.HOLD, _O.HELD, "could not be checked; tried again"),
    Transition(_O.SEEN, _E.RECOGNISE, _O.DUPLICATE, "the same content was sent before (C13)"),
    Transition(_O.SEEN, _E.WITHDRAW, _O.WITHDRAWN, "the case software took it back"),
    Transition(_O.SEEN, _E.DISPOSE, _O.DISPOSED, "a disposition: the receipt is issued (C22)"),
    Transition(_O.INCOMPLETE, _E.LISTED_PART_MISSING, _O.INCOMPLETE, "still incomplete"),
    Transition(_O.INCOMPLETE, _E.TAKE, _O.TAKEN, "complete, sealed and committed"),
    Transition(_O.INCOMPLETE, _E.REFUSE, _O.REFUSED, "refused with findings"),
    Transition(_O.INCOMPLETE, _E.HOLD, _O.HELD, "could not be checked; tried again"),
    Transition(_O.INCOMPLETE, _E.RECOGNISE, _O.DUPLICATE, "the same content was sent before (C13)"),
    Transition(_O.INCOMPLETE, _E.WITHDRAW, _O.WITHDRAWN, "the case software took it back"),
    Transition(_O.INCOMPLETE, _E.DISPOSE, _O.DISPOSED, "a disposition: the receipt is issued (C22)"),
    Transition(_O.HELD, _E.HOLD, _O.HELD, "still could not be checked"),
    Transition(_O.HELD, _E.LISTED_PART_MISSING, _O.INCOMPLETE, "something that it lists went away"),
    Transition(_O.HELD, _E.TAKE, _O.TAKEN, "checked at last, sealed and committed"),
    Transition(_O.HELD, _E.REFUSE, _O.REFUSED, "checked at last, refused with findings"),
    Transition(_O.HELD, _E.RECOGNISE, _O.DUPLICATE, "the same content was sent before (C13)"),
    Transition(_O.HELD, _E.WITHDRAW, _O.WITHDRAWN, "the case software took it back"),
    Transition(_O.HELD, _E.DISPOSE, _O.DISPOSED, "a disposition: the receipt is issued (C22)"),
)

# With the machine: states of two machines that share a word are equal as texts.
_TARGETS: Final[dict[tuple[type[State], State, Event], State]] = {
    (type(transition.source), transition.source, transition.event): transition.target
    for transition in TRANSITIONS
}

UNTAKEN: Final = frozenset({DropState.SEEN, DropState.INCOMPLETE, DropState.HELD})
"""Drops that still wait for what becomes of them."""

FINAL_DESTINATIONS: Final = frozenset(
    {
        _D.PASSED_ON,
        _D.DELIVERED,
        _D.COLLECTED,
        _D.SIGNED,
        _D.REFUSED,
        _D.UNDELIVERABLE,
        _D.EXPIRED,
        _D.CANCELLED,
    }
)
"""Nothing more is owed by the exchange; a later receipt may still tell more (collected, signed)."""

RETRYABLE_DESTINATIONS: Final = frozenset({_D.REFUSED, _D.CANCELLED, _D.EXPIRED, _D.UNDELIVERABLE})
"""After these the same content may be sent again as a higher attempt (C12, C13)."""

EVENT_OF_RECEIPT: Final[dict[ReceiptKind, Event]] = {
    ReceiptKind.ACCEPTED: _E.RECEIPT_ACCEPTED,
    ReceiptKind.DELIVERED: _E.RECEIPT_DELIVERED,
    ReceiptKind.COLLECTED: _E.RECEIPT_COLLECTED,
    ReceiptKind.SIGNED: _E.RECEIPT_SIGNED,
    ReceiptKind.REFUSED: _E.RECEIPT_REFUSED,
    ReceiptKind.UNDELIVERABLE: _E.RECEIPT_UNDELIVERABLE,
    ReceiptKind.EXPIRED: _E.RECEIPT_EXPIRED,
}

HEADLINE_ORDER: Final = (
    _D.REFUSED,
    _D.UNDELIVERABLE,
    _D.EXPIRED,
    _D.CANCELLED,
    _D.ON_HOLD,
    _D.QUEUED,
    _D.OFFERED,
    _D.HANDED_OVER,
    _D.ACCEPTED,
    _D.PASSED_ON,
    _D.ARRIVED,
    _D.DELIVERING,
    _D.DELIVERED,
    _D.COLLECTED,
    _D.SIGNED,
)
"""Worst first: a status file's headline is the first of these that some destination is in."""


def allows(state: State, event: Event) -> bool:
    """The table has a transition for ``event`` in ``state``."""
    return (type(state), state, event) in _TARGETS


def advance(state: State, event: Event) -> State:
    """The state after ``event``. Raises IllegalTransitionError when the table has no such line."""
    try:
        return _TARGETS[type(state), state, event]
    except KeyError:
        raise IllegalTransitionError(
            f"event {event.value} is not allowed in state {state.value}",
            expected=", ".join(sorted(e.value for m, s, e in _TARGETS if (m, s) == (type(state), state)))
            or "no event: final",
            found=event.value,
        ) from None


def headline(states: tuple[DestinationState, ...]) -> DestinationState:
    """The worst open destination: what a status file shows first. ``states`` is not empty."""
    return min(states, key=HEADLINE_ORDER.index)
