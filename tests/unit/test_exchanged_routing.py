"""C16: routing is a tree; up at most once, then down; never back over the link it came by."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from exchanged.routing import (
    Passage,
    Route,
    RouteKind,
    may_come_from,
    may_leave_blobs_out,
    next_hop,
    passage,
    receipt_hop,
    route_to_node,
)
from packet_spec.model import Directory, DirectoryAgency, DirectoryNode, NodeRole

NOW = datetime(2026, 7, 1, tzinfo=UTC)
PROVINCE, CITY = "620000-00-00", "620100-00-00"
A, B, C = "620199-01-00", "620199-03-00", "620198-04-00"
BRIDGE = "bridge-east"


def node(code: str, parent: str, role: NodeRole = NodeRole.FRONTEND) -> DirectoryNode:
    return DirectoryNode(code, role, parent, ())


def agency(code: str) -> DirectoryAgency:
    return DirectoryAgency(code, "police", "county", "", code, PROVINCE, "甲", "A")


DIRECTORY = Directory(
    1, NOW, NOW + timedelta(days=1), 1, (),
    (
        node(PROVINCE, "", NodeRole.PROVINCIAL),
        node(CITY, PROVINCE, NodeRole.PROVINCIAL),
        node(A, CITY),
        node(BRIDGE, PROVINCE, NodeRole.BRIDGE),
        node(B, BRIDGE),
        node(C, PROVINCE),
    ),
    (agency(A), agency(B), agency(C)),
)  # fmt: skip


def walk(start: str, target: str) -> list[str]:
    """The nodes from ``start`` to the agency ``target``."""
    way, came_from = [start], ""
    while True:
        route = next_hop(DIRECTORY, way[-1], target, came_from)
        if route.kind is not RouteKind.NEIGHBOUR:
            assert route.kind is RouteKind.HERE
            return way
        came_from = way[-1]
        way.append(route.neighbour)
        assert len(way) < 10


@pytest.mark.parametrize(("start", "target"), list(itertools.permutations((A, B, C), 2)))
def test_c16_every_agency_reaches_every_other_without_turning_back(start: str, target: str) -> None:
    way = walk(start, target)
    assert way[-1] == target
    assert len(way) == len(set(way))


def test_c16_never_back_over_the_link_it_came_by() -> None:
    assert next_hop(DIRECTORY, PROVINCE, A, came_from=CITY).kind is RouteKind.LOOP
    assert next_hop(DIRECTORY, A, C, came_from=CITY).kind is RouteKind.LOOP


def test_unknown_agencies_and_nodes_have_no_route() -> None:
    assert next_hop(DIRECTORY, PROVINCE, "999999-01-00", "").kind is RouteKind.UNKNOWN
    assert route_to_node(DIRECTORY, PROVINCE, "999999-01-00", "").kind is RouteKind.UNKNOWN


def test_a_packet_may_only_come_from_the_side_of_its_sender() -> None:
    assert may_come_from(DIRECTORY, PROVINCE, B, BRIDGE)
    assert not may_come_from(DIRECTORY, PROVINCE, B, CITY)
    assert not may_come_from(DIRECTORY, PROVINCE, A, C)
    assert may_come_from(DIRECTORY, C, A, PROVINCE)


D = "620198-01-00"
BEHIND = replace(
    DIRECTORY,
    nodes=(*DIRECTORY.nodes, node(D, BRIDGE)),
    agencies=(*DIRECTORY.agencies, agency(D), replace(agency("620197-01-00"), node="620197-01-00")),
)


@pytest.mark.parametrize(
    ("came_from", "sender", "recipients", "roads"),
    [
        # towards the admitting node, whoever the recipients are
        (B, B, (D, C), ((D, PROVINCE), (C, PROVINCE))),
        # from there to those behind the bridge, and to nobody else
        (PROVINCE, B, (D, C), ((D, D),)),
        (PROVINCE, C, (B, D), ((B, B), (D, D))),
    ],
)
def test_c14_c16_a_packet_passes_towards_its_admitting_node_and_then_away_from_it(
    came_from: str, sender: str, recipients: tuple[str, ...], roads: tuple[tuple[str, str], ...]
) -> None:
    found = passage(BEHIND, BRIDGE, sender, recipients, came_from)
    assert found == Passage(roads)


def test_c16_nobody_behind_the_bridge_or_an_unknown_sender_is_no_passage() -> None:
    assert passage(BEHIND, BRIDGE, C, (A,), PROVINCE) == Passage(kind=RouteKind.LOOP)
    assert passage(BEHIND, BRIDGE, "620196-01-00", (B,), PROVINCE) == Passage(kind=RouteKind.UNKNOWN)
    # The admitting node itself passes nothing of its agencies on.
    assert passage(BEHIND, PROVINCE, B, (C,), BRIDGE) == Passage(kind=RouteKind.UNKNOWN)


def test_c16_a_packet_from_a_side_where_its_sender_is_not_does_not_belong_here() -> None:
    assert passage(BEHIND, BRIDGE, B, (C,), D) is None
    assert passage(BEHIND, BRIDGE, C, (B,), D) is None


@pytest.mark.parametrize(
    ("here", "came_from", "route"),
    [
        (BRIDGE, D, Route(RouteKind.NEIGHBOUR, PROVINCE)),  # from a recipient: the admitting node first
        (BRIDGE, PROVINCE, Route(RouteKind.NEIGHBOUR, B)),  # from there: to the sender
        (PROVINCE, "", Route(RouteKind.NEIGHBOUR, BRIDGE)),
        (B, BRIDGE, Route(RouteKind.HERE)),
    ],
)
def test_c21_a_receipt_goes_by_way_of_the_admitting_node(here: str, came_from: str, route: Route) -> None:
    assert receipt_hop(BEHIND, here, B, came_from) == route


def test_c9_only_an_agency_and_its_admitting_node_next_door_may_leave_blobs_out() -> None:
    assert may_leave_blobs_out(BEHIND, PROVINCE, C)
    assert may_leave_blobs_out(BEHIND, C, PROVINCE)
    assert not may_leave_blobs_out(BEHIND, PROVINCE, BRIDGE)
    assert not may_leave_blobs_out(BEHIND, BRIDGE, B)
