"""C16: routing is a tree; up at most once, then down; never back over the link it came by."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from exchanged.routing import RouteKind, may_come_from, next_hop, route_to_node
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
