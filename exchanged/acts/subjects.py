"""What acts are about, read out of the ledger: by its name, by a token of an earlier answer, by a filter.

A *leg* is a packet on one link, for all recipients behind it: they travel together, so they wait together.
A leg without a link is a packet that arrived for this node's own agency.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

from exchanged import forks
from exchanged.acts.values import CLOCK, LINK_ACTS, Act, Filter, SubjectKind, Target
from exchanged.errors import AmbiguousError, NotFoundError, RequestError
from exchanged.ledger import Connection, arrivals, batches, clock_memory, drops, packets, restoring
from exchanged.ledger import acts as rows
from exchanged.ledger.arrivals import GIVEN_UP_WHEN_HELD, HELD_BY_OPERATOR
from exchanged.ledger.drops import DropRow
from exchanged.ledger.questions import find_keys
from exchanged.ledger.rows import ArrivalRow, DestinationRow, PacketRow
from exchanged.ledger.times import stamp
from exchanged.states import HEADLINE_ORDER, ArrivalState, DestinationState
from packet_spec.identity import PacketKey, is_agency_code
from packet_spec.model import ItemKind
from packet_spec.names import escape_for_display

_ID: Final = re.compile(r"[0-9a-f-]{6,36}")
_SHOWN: Final = 20
_WAITS: Final = "exchangectl queue list shows what waits, and in which state"

# State -> which kind of subject is in it.
_LEG_STATES: Final = {
    Act.HOLD: (DestinationState.QUEUED, DestinationState.ARRIVED),
    Act.RELEASE: (DestinationState.ON_HOLD,),
    Act.DISCARD: (DestinationState.ARRIVED, DestinationState.ON_HOLD),
}
_ARRIVAL_STATES: Final = {
    Act.HOLD: (ArrivalState.LANDED,),
    Act.RELEASE: (ArrivalState.HELD,),
    Act.REQUEUE: (ArrivalState.QUARANTINED,),
    Act.DISCARD: (ArrivalState.QUARANTINED, ArrivalState.NEEDING, ArrivalState.HELD),
}
# What may go on by itself is given up only where its state is named.
_ONLY_NAMED: Final = frozenset(
    {DestinationState.ARRIVED, DestinationState.ON_HOLD, ArrivalState.NEEDING, ArrivalState.HELD}
)


@dataclass(frozen=True, slots=True)
class Leg:
    """A packet on one link; ``destinations`` are those behind it, in whatever state."""

    packet: PacketRow
    link: str
    destinations: tuple[DestinationRow, ...]


@dataclass(frozen=True, slots=True)
class Whole:
    """A packet as a whole. ``packet`` is None where only statements or arrivals are known of it."""

    key: PacketKey
    packet: PacketRow | None
    destinations: tuple[DestinationRow, ...]


@dataclass(frozen=True, slots=True)
class LinkName:
    """A configured link, and the reason why it is paused if it is.

    ``forked``: how the neighbour contradicts itself, if it does. ``set_back``: this node itself was set back.
    ``waits``: whom this restored node waits for over the link; None where it is not restoring.
    """

    name: str
    paused: str
    forked: str = ""
    set_back: str = ""
    waits: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """What was seen is no more, or has changed since; ``state`` is what it is in now, if anything."""

    state: str


@dataclass(frozen=True, slots=True)
class MachineClock:
    """The clock of this machine. ``since``: when it was sound last, while the node doubts it.

    ``links`` are those that state its time.
    """

    since: str
    links: tuple[str, ...]


Thing = Leg | Whole | ArrivalRow | DropRow | LinkName | MachineClock | Gone


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing that an act is about, as it is now."""

    kind: SubjectKind
    token: str
    name: str
    state: str
    since: str
    thing: Thing

    @property
    def key(self) -> PacketKey | None:
        """The packet that it belongs to, if there is one."""
        match self.thing:
            case Leg():
                return self.thing.packet.key
            case Whole() | ArrivalRow():
                return self.thing.key
            case _:
                return None


def by_name(connection: Connection, act: Act, what: str, links: tuple[str, ...]) -> tuple[Subject, ...]:
    """The subjects that ``what`` names for ``act``: a packet (or the beginning of its id), a drop, a link ...

    Raises NotFoundError, AmbiguousError.
    """
    if act in LINK_ACTS:
        return (link(connection, what, links),)
    if act is Act.CLOCK:
        return (clock(connection, links),)
    drop = rows.find_drop(connection, what)
    if drop is not None and drop.packet is None:
        return (drop_subject(drop),)
    key = packets.get(connection, drop.packet).key if drop is not None and drop.packet else None
    key = key or _identify(connection, what)
    if act in (Act.CANCEL, Act.SIGN, Act.RESEND):
        return (whole(connection, key),)
    found = of_packet(connection, key)
    if not found:
        raise NotFoundError("only statements about this packet are known here", where=str(key))
    return found


def of_packet(connection: Connection, key: PacketKey) -> tuple[Subject, ...]:
    """Whatever of one packet can be held, released, requeued or discarded: arrivals, then legs."""
    found = [arrival_subject(row) for row in arrivals.of_packet(connection, key)]
    packet = packets.find(connection, key)
    if packet is not None:
        links = dict.fromkeys(row.link for row in packets.destinations(connection, packet.id))
        found += [leg(connection, packet, link) for link in links]
    return tuple(found)


def by_token(connection: Connection, target: Target) -> Subject:
    """The subject of an earlier answer: Gone unless it is as it was then. Raises RequestError."""
    found = _find(connection, target.token)
    if found is not None and (found.state, found.since) == (target.state, target.since):
        return found
    kind, name, state = SubjectKind.ARRIVAL, target.token, ""
    if found is not None:
        kind, name, state = found.kind, found.name, found.state
    return Subject(kind, target.token, name, state, target.since, Gone(state))


def read_again(connection: Connection, seen: Subject, links: tuple[str, ...]) -> Subject:
    """What was seen before, read once more: Gone where it has changed in a way that matters."""
    match seen.thing:
        case Whole():
            return whole(connection, seen.thing.key)
        case LinkName():
            return link(connection, seen.thing.name, links)
        case MachineClock():
            return clock(connection, links)
        case Gone():
            return seen
        case _:
            now = by_token(connection, Target(seen.token, seen.state, seen.since))
            # What is gone has no name of its own any more.
            return replace(now, kind=seen.kind, name=seen.name) if isinstance(now.thing, Gone) else now


def _find(connection: Connection, token: str) -> Subject | None:
    kind, _, rest = token.partition(":")
    number, _, name = rest.partition(":")
    if not number.isdecimal() or len(number) > 18:
        raise RequestError("a target that cannot be read")
    try:
        match kind:
            case SubjectKind.LEG:
                return leg(connection, packets.get(connection, int(number)), name)
            case SubjectKind.ARRIVAL:
                row = arrivals.find(connection, int(number))
                return None if row is None else arrival_subject(row)
            case SubjectKind.DROP:
                return drop_subject(drops.get(connection, int(number)))
            case _:
                raise RequestError("a target that cannot be read")
    except NotFoundError:
        return None


def by_filter(connection: Connection, act: Act, wanted: Filter) -> tuple[tuple[Subject, ...], bool]:
    """What passes the filter and the act is meant for, and whether there is more than its limit.

    Raises RequestError for a state that the act never leaves.
    """
    _require_left(act, wanted.state)
    limit = wanted.limit + 1
    found: list[Subject] = []
    for subject in chain(*_sources(connection, act, wanted, limit)):
        if len(found) == limit:
            break
        found.append(subject)
    return tuple(found[: wanted.limit]), len(found) == limit


def narrowed(act: Act, named: Sequence[Subject], wanted: Filter) -> tuple[Subject, ...]:
    """Those of one name that pass the filter too.

    Raises NotFoundError when none does, RequestError for a state that the act never leaves.
    """
    _require_left(act, wanted.state)
    found = tuple(subject for subject in named if _fits(subject, wanted))
    if not found:
        raise NotFoundError("nothing of it waits that this fits", where=named[0].name, hint=_WAITS)
    return found


def _fits(subject: Subject, wanted: Filter) -> bool:
    states, recipients, reasons, link = {subject.state}, set[str](), set[str](), ""
    match subject.thing:
        case Leg(link=link, destinations=behind):
            states = {row.state.value for row in behind}
            recipients = {row.recipient for row in behind}
            reasons = {HELD_BY_OPERATOR} if DestinationState.ON_HOLD in states else set()
        case ArrivalRow(link=link, reason=reason):
            reasons = {reason}
        case DropRow(reason=reason):
            reasons = {reason}
    sender = "" if subject.key is None else subject.key.sender
    return (
        wanted.only in ("", subject.token)
        and wanted.state in ("", *states)
        and wanted.recipient in ("", *recipients)
        and wanted.sender in ("", sender)
        and wanted.link in ("", link)
        and (not wanted.reasons or not reasons.isdisjoint(wanted.reasons))
    )


def _require_left(act: Act, state: str) -> None:
    """Raises RequestError for a state that the act never leaves."""
    known = [*_LEG_STATES.get(act, ()), *_ARRIVAL_STATES.get(act, ()), *(["held"] * (act is Act.RELEASE))]
    if state and state not in known:
        raise RequestError(
            f"{act} takes nothing out of that state",
            expected=", ".join(sorted(set(map(str, known)))),
            found=state,
        )


def _sources(connection: Connection, act: Act, wanted: Filter, limit: int) -> Iterator[Iterator[Subject]]:
    if not wanted.reasons or HELD_BY_OPERATOR in wanted.reasons:
        for state in _LEG_STATES.get(act, ()):
            is_named = wanted.state == state or (not wanted.state and not _is_only_named(act, state))
            if is_named and (state is DestinationState.ON_HOLD or not wanted.reasons):
                yield _legs(connection, wanted, state, limit)
    if wanted.recipient:
        # Only a judged packet has recipients.
        return
    for waiting in _ARRIVAL_STATES.get(act, ()):
        if wanted.state == waiting or (not wanted.state and not _is_only_named(act, waiting)):
            yield _arrivals(connection, act, wanted, waiting, limit)
    if act is Act.RELEASE and wanted.state in ("", "held") and not (wanted.sender or wanted.link):
        yield (
            drop_subject(drops.get(connection, number))
            for number in rows.held_drops(connection, wanted.reasons, limit)
        )


def _is_only_named(act: Act, state: ArrivalState | DestinationState) -> bool:
    return act is Act.DISCARD and state in _ONLY_NAMED


def is_held_for_good(row: ArrivalRow) -> bool:
    """A packet that is held for a reason that may never end."""
    is_packet = row.kind is ItemKind.PACKET
    return is_packet and row.state is ArrivalState.HELD and row.reason in GIVEN_UP_WHEN_HELD


def _legs(connection: Connection, wanted: Filter, state: DestinationState, limit: int) -> Iterator[Subject]:
    found = rows.legs(connection, state.value, wanted.recipient, wanted.sender, wanted.link, limit)
    for number, link in found:
        yield leg(connection, packets.get(connection, number), link)


def _arrivals(
    connection: Connection, act: Act, wanted: Filter, state: ArrivalState, limit: int
) -> Iterator[Subject]:
    """What the act never takes is left out in the ledger, so that it uses up nothing of the limit."""
    kind, reasons = "", wanted.reasons
    if act is Act.HOLD:
        kind = ItemKind.PACKET.value
    elif act is Act.DISCARD and state is ArrivalState.HELD:
        kind = ItemKind.PACKET.value
        reasons = tuple(sorted(GIVEN_UP_WHEN_HELD.intersection(reasons or GIVEN_UP_WHEN_HELD)))
        if not reasons:
            return
    for number in rows.arrivals(connection, state.value, kind, wanted.sender, wanted.link, reasons, limit):
        if (row := arrivals.find(connection, number)) is not None:
            yield arrival_subject(row)


def leg(connection: Connection, packet: PacketRow, link: str) -> Subject:
    """A packet on one link."""
    behind = tuple(row for row in packets.destinations(connection, packet.id) if row.link == link)
    worst = min(behind, key=lambda row: HEADLINE_ORDER.index(row.state), default=None)
    return Subject(
        SubjectKind.LEG,
        f"{SubjectKind.LEG}:{packet.id}:{link}",
        str(packet.key),
        "" if worst is None else worst.state.value,
        "" if worst is None else stamp(worst.since),
        Leg(packet, link, behind),
    )


def whole(connection: Connection, key: PacketKey) -> Subject:
    """A packet as a whole."""
    packet = packets.find(connection, key)
    behind = () if packet is None else packets.destinations(connection, packet.id)
    state = "" if packet is None else packet.state.value
    token = f"{SubjectKind.PACKET}:{key}"
    return Subject(SubjectKind.PACKET, token, str(key), state, "", Whole(key, packet, behind))


def arrival_subject(row: ArrivalRow) -> Subject:
    """An item that is not judged."""
    token = f"{SubjectKind.ARRIVAL}:{row.id}"
    return Subject(SubjectKind.ARRIVAL, token, str(row.key), row.state.value, stamp(row.since), row)


def drop_subject(row: DropRow) -> Subject:
    """A drop in the outbox, or what became of it."""
    token, shown = f"{SubjectKind.DROP}:{row.id}", escape_for_display(row.name)
    return Subject(SubjectKind.DROP, token, shown, row.state.value, stamp(row.since), row)


def link(connection: Connection, name: str, links: tuple[str, ...]) -> Subject:
    """A configured link. Raises NotFoundError."""
    if name not in links:
        raise NotFoundError("there is no such link", found=name, expected=", ".join(sorted(links)))
    paused = batches.paused_because(connection, name)
    marks = forks.marks(connection, name)
    state = "held" if marks else "paused" if paused else "working"
    waits = None
    if restoring.is_going_on(connection):
        peers = restoring.peers(connection)
        waits = tuple(peer.node for peer in peers if peer.link == name and peer.state not in restoring.OVER)
    thing = LinkName(name, paused, marks.forked, marks.set_back, waits)
    return Subject(SubjectKind.LINK, f"{SubjectKind.LINK}:{name}", name, state, "", thing)


def clock(connection: Connection, links: tuple[str, ...]) -> Subject:
    """The clock of the machine, as the node sees it."""
    since = clock_memory.doubtful_since(connection)
    thing = MachineClock("" if since is None else stamp(since), links)
    state = "doubted" if thing.since else "sound"
    return Subject(SubjectKind.CLOCK, SubjectKind.CLOCK, CLOCK, state, thing.since, thing)


def _identify(connection: Connection, text: str) -> PacketKey:
    sender, slash, prefix = text.strip().rpartition("/")
    prefix = prefix.lower()
    if (slash and not is_agency_code(sender)) or _ID.fullmatch(prefix) is None:
        raise NotFoundError(
            "no packet and no drop of that name",
            found=text[:100],
            hint="a packet is named by 6 or more characters of its id, or SENDER/ID; "
            "exchangectl queue list shows what waits",
        )
    keys = find_keys(connection, prefix, sender, _SHOWN + 1)
    if not keys:
        raise NotFoundError(
            "this node knows no such packet", where=text, hint="exchangectl packet list shows the newest ones"
        )
    if len(keys) > 1:
        shown = ", ".join(str(key) for key in keys[:_SHOWN]) + (" ..." if len(keys) > _SHOWN else "")
        raise AmbiguousError("several packets fit", where=text, expected="one of them", found=shown)
    return keys[0]
