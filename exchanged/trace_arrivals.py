"""Where an item is that landed and was never judged here: it waits, or an operator gave it up.

Guarantees: while something of a packet waits or a packet is known, that alone is told. Known limits: of what
passed through and was forgotten since, a spare copy that was given up tells nothing; several copies that
were given up are one way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from exchanged.ledger.questions import EventRow, PacketFacts, WaitingArrival
from exchanged.states import ArrivalState, Event
from exchanged.trace_values import Because, Evidence, Holder, Holding, Step, StepKind, Viewpoint, Way
from packet_spec.model import ItemKind

_WAITING: Final = {
    ArrivalState.LANDED: (StepKind.LANDED, Because.NOT_JUDGED),
    ArrivalState.NEEDING: (StepKind.NEEDING, Because.LACKS_BLOBS),
    ArrivalState.HELD: (StepKind.HELD, Because.NOT_JUDGED),
    ArrivalState.QUARANTINED: (StepKind.QUARANTINED, Because.NOT_JUDGED),
}
# Until it was given up: what happened, and what of its particulars is shown.
_BEFORE_GIVEN_UP: Final = {
    "landed": (StepKind.LANDED, "link"),
    Event.HOLD.value: (StepKind.HELD, "reason"),
    Event.QUARANTINE.value: (StepKind.QUARANTINED, "reason"),
    Event.DISCARD.value: (StepKind.DISCARDED, "kept"),
}


def ways_of_arrivals(facts: PacketFacts, viewpoint: Viewpoint) -> tuple[Way, ...]:
    """The ways of what waits to be judged; where nothing is known but that, of what was given up."""
    waiting = tuple(_waiting_way(row, viewpoint) for row in facts.arrivals if row.kind is ItemKind.PACKET)
    if waiting or facts.packet is not None:
        return waiting
    return tuple(_given_up(facts.events, viewpoint))


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


def _given_up(events: tuple[EventRow, ...], viewpoint: Viewpoint) -> Iterator[Way]:
    """Given up without a receipt: nothing but events is left of it, and a copy in ``discarded/`` (C21)."""
    ends = [event.at for event in events if event.kind == Event.DISCARD.value]
    if not ends or any(event.kind == Event.ADMIT.value for event in events):
        return
    here, steps = viewpoint.node, []
    for event in events:
        kind, name = _BEFORE_GIVEN_UP.get(event.kind, (None, ""))
        if kind is not None:
            shown = str(event.detail.get(name, ""))
            detail = f"link {shown}" if kind is StepKind.LANDED else shown
            steps.append(Step(event.at, here, kind, Evidence.OWN_LEDGER, detail=detail))
    holder = Holder(here, ends[-1], Holding.NOBODY, Because.ENDED_HERE)
    yield Way("", ArrivalState.DISCARDED.value, tuple(steps), holder)
