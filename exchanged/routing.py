"""Where a packet goes next: a pure question to the directory (custody C16).

Routing is a tree: up at most once, then down, never back over the link that it came by.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from packet_spec.directory import ancestors
from packet_spec.model import Directory, NodeRole


class RouteKind(StrEnum):
    """What to do with something addressed to an agency."""

    HERE = "here"
    NEIGHBOUR = "neighbour"
    LOOP = "routing-loop"
    UNKNOWN = "no-route"


@dataclass(frozen=True, slots=True)
class Route:
    """The answer: deliver here, hand to ``neighbour`` (a node code), or why neither is possible."""

    kind: RouteKind
    neighbour: str = ""


def route_to_node(directory: Directory, here: str, target: str, came_from: str) -> Route:
    """The next hop from node ``here`` to node ``target``; ``came_from`` is a node code or empty."""
    if target == here:
        return Route(RouteKind.HERE)
    way_up = ancestors(directory, target)
    if here in way_up:
        neighbour = way_up[way_up.index(here) - 1]
        return _unless_back(neighbour, came_from)
    own = directory.node(here)
    if not way_up or own is None or not own.parent:
        return Route(RouteKind.UNKNOWN)
    if came_from == own.parent:
        return Route(RouteKind.LOOP)
    return _unless_back(own.parent, came_from)


def next_hop(directory: Directory, here: str, agency: str, came_from: str) -> Route:
    """The next hop from node ``here`` to the node that serves ``agency``."""
    listed = directory.agency(agency)
    if listed is None:
        return Route(RouteKind.UNKNOWN)
    return route_to_node(directory, here, listed.node, came_from)


def way_to(directory: Directory, here: str, target: str) -> tuple[str, ...]:
    """The nodes on the way from ``here`` to ``target``, the target last; empty where no road leads."""
    way: list[str] = []
    came_from = ""
    while here != target:
        route = route_to_node(directory, here, target, came_from)
        if route.kind is not RouteKind.NEIGHBOUR or route.neighbour in way:
            return ()
        came_from, here = here, route.neighbour
        way.append(here)
    return tuple(way)


def has_to_do_with(
    directory: Directory, here: str, node: str, sender: str, recipients: tuple[str, ...]
) -> bool:
    """``node`` seals, admits, passes on or delivers that packet, as seen from ``here``.

    Those who share a link with ``node``, behind a bridge, do not make it so.
    """
    listed = directory.agency(sender)
    ends = {"" if listed is None else listed.admitting_node}
    for code in (sender, *recipients):
        agency = directory.agency(code)
        ends.add("" if agency is None else agency.node)
    return any(node in way_to(directory, here, end) for end in ends if end)


@dataclass(frozen=True, slots=True)
class Passage:
    """Where a node in between hands a packet: recipient -> neighbour. Empty: ``kind`` says why not."""

    roads: tuple[tuple[str, str], ...] = ()
    kind: RouteKind = RouteKind.NEIGHBOUR


def passage(
    directory: Directory, here: str, sender: str, recipients: tuple[str, ...], came_from: str
) -> Passage | None:
    """The way of a packet through a node that neither sealed, admits nor delivers it (C14, C16).

    First to the sender's admitting node, whoever the recipients are; from there to the recipients behind
    this node. None when ``came_from`` stands on neither of these ways: it does not belong here.
    """
    listed = directory.agency(sender)
    if listed is None:
        return Passage(kind=RouteKind.UNKNOWN)
    admitting = route_to_node(directory, here, listed.admitting_node, came_from="")
    if admitting.kind is not RouteKind.NEIGHBOUR:
        return Passage(kind=RouteKind.UNKNOWN)
    if came_from == admitting.neighbour:
        routes = {code: next_hop(directory, here, code, came_from) for code in recipients}
        behind = tuple(
            (code, route.neighbour) for code, route in routes.items() if route.kind is RouteKind.NEIGHBOUR
        )
        return Passage(behind, RouteKind.NEIGHBOUR if behind else RouteKind.LOOP)
    if not may_come_from(directory, here, sender, came_from):
        return None
    return Passage(tuple((code, admitting.neighbour) for code in recipients))


def receipt_hop(directory: Directory, here: str, sender: str, came_from: str) -> Route:
    """The next hop of a receipt about a packet of ``sender``.

    By way of the sender's admitting node, which has to know it too; from there to the sender (C21).
    """
    direct = next_hop(directory, here, sender, came_from)
    listed = directory.agency(sender)
    if direct.kind is RouteKind.HERE or listed is None or listed.admitting_node == here:
        return direct
    towards = route_to_node(directory, here, listed.admitting_node, came_from)
    return towards if towards.kind is RouteKind.NEIGHBOUR else direct


def may_leave_blobs_out(directory: Directory, one: str, other: str) -> bool:
    """One link joins an agency and its admitting node: only there may a blob stay behind (C9)."""
    return any(
        {agency.node, agency.admitting_node} == {one, other} and agency.node != agency.admitting_node
        for agency in directory.agencies
    )


def may_come_from(directory: Directory, here: str, agency: str, neighbour: str) -> bool:
    """A packet sealed by ``agency`` may reach ``here`` over the link to ``neighbour``.

    True when the way from ``here`` to the agency's node begins with that neighbour: an agency's
    packet in another agency's mailbox is refused by this question (fault F81).
    """
    listed = directory.agency(agency)
    return listed is not None and node_may_come_from(directory, here, listed.node, neighbour)


def node_may_come_from(directory: Directory, here: str, node: str, neighbour: str) -> bool:
    """What ``node`` says may reach ``here`` over the link to ``neighbour``: the way there begins so."""
    route = route_to_node(directory, here, node, came_from="")
    return route.kind is RouteKind.NEIGHBOUR and route.neighbour == neighbour


def _unless_back(neighbour: str, came_from: str) -> Route:
    if neighbour == came_from:
        return Route(RouteKind.LOOP)
    return Route(RouteKind.NEIGHBOUR, neighbour)


def origin_of(directory: Directory, link: str, neighbour: str, sender: str) -> str:
    """Among whose items one counts that came over ``link``: the link's, if one agency stands there.

    Of a link that carries the packets of many, the sender's; such a link may name whom it likes.
    """
    node = directory.node(neighbour)
    is_agency = node is not None and node.role is NodeRole.FRONTEND
    return link if is_agency else f"{link} {sender}"
