"""C6, C14, C23: restored nodes in between and behind them; what was handed over need not be delivered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.lab.plan import LabPlan, parse_plan
from exchanged.acts.values import Act
from exchanged.keys import generate_key
from exchanged.ledger import restoring
from packet_spec.model import DirectoryNode, KeyUse, NodeRole
from tests.support.acting import act, outcomes
from tests.support.bridging import NORTH, agencies, one_for_all, rows
from tests.support.clock import FakeRandomness
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network
from tests.support.renaming import rename_node
from tests.support.restoring import World, check_books
from tests.support.traffic import drop_packet


def receiver_behind_a_bridge() -> LabPlan:
    """police - province - north - procuratorate."""
    return parse_plan(
        {
            "agency": [*agencies(POLICE), {"code": PROCURATORATE, "via": NORTH}],
            "bridge": [{"name": "north", "between": ["province"]}],
        }
    )


@pytest.fixture
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    with Network(tmp_path / "lab", request.param()) as network:
        network.run()
        yield World(network, 1)


def send(world: World, reference: str = "R-1", **changes: Any) -> None:
    path = drop_packet(world.network, seed=len(world.dropped) + 1, sender_ref=reference, **changes)
    world.dropped[reference] = (str(changes.get("sender", POLICE)), path)


def step_until(world: World, is_so: Callable[[], bool], *codes: str) -> None:
    """Rounds of these nodes alone; one stops as soon as it is so."""
    for _ in range(60):
        for code in codes:
            world.network.nodes[code].step()
            world.network.clock.advance(1.0)
            if is_so():
                return
    raise AssertionError("it never came so far")


def has(world: World, code: str, statement: str) -> Callable[[], bool]:
    return lambda: bool(rows(world.network, code, statement))


_LANDED = "SELECT 1 FROM arrival WHERE kind = 'packet'"
_CAME_BY = "SELECT came_by, state FROM packet"
_PASSED_ON = "SELECT 1 FROM destination WHERE state = 'passed-on'"


@pytest.mark.parametrize("world", [receiver_behind_a_bridge], indirect=True, ids=["bridge"])
@pytest.mark.parametrize("is_in_the_backup", [False, True])
def test_c6_c23_what_a_bridge_handed_over_and_nobody_delivered_comes_again(
    world: World, tmp_path: Path, *, is_in_the_backup: bool
) -> None:
    receiver = world.network.nodes[PROCURATORATE]
    saved = world.snapshot(PROCURATORATE, tmp_path / "before")
    send(world)
    step_until(world, has(world, PROCURATORATE, _LANDED), POLICE, PROVINCE, NORTH, PROCURATORATE)
    receiver.acknowledge()
    if is_in_the_backup:
        saved = world.snapshot(PROCURATORATE, tmp_path / "landed")
    receiver.die()
    step_until(world, has(world, NORTH, _PASSED_ON), NORTH)
    world.restore(PROCURATORATE, saved)
    receiver.open()
    world.drain()
    check_books(world)


@pytest.mark.parametrize("world", [one_for_all], indirect=True, ids=["bridge"])
@pytest.mark.parametrize(("is_in_the_backup", "is_late"), [(False, False), (True, False), (True, True)])
def test_c14_c23_what_turned_at_the_province_comes_down_again_to_a_restored_bridge(
    world: World, tmp_path: Path, *, is_in_the_backup: bool, is_late: bool
) -> None:
    """Its way up stands in the same row as its way down."""
    bridge = world.network.nodes[NORTH]
    up = bridge.opened.links.name_of(PROVINCE)
    saved = world.snapshot(NORTH, tmp_path / "before")
    send(world)
    step_until(world, has(world, PROVINCE, _LANDED), POLICE, NORTH, PROVINCE)
    world.network.nodes[PROVINCE].acknowledge()
    step_until(world, has(world, NORTH, _PASSED_ON), NORTH)
    if is_in_the_backup:
        saved = world.snapshot(NORTH, tmp_path / "way-up")
    step_until(world, has(world, NORTH, f"{_LANDED} AND link = '{up}'"), NORTH, PROVINCE)
    bridge.acknowledge()
    bridge.die()
    step_until(world, has(world, PROVINCE, "SELECT 1 FROM destination WHERE state = 'handed-over'"), PROVINCE)
    world.restore(NORTH, saved)
    bridge.open()
    if is_late:
        # The province answers only when the bridge works again.
        world.network.nodes[PROVINCE].die()
        world.drain()
        assert outcomes(act(bridge, Act.SKIP, up)) == ["skipped"]
        world.drain()
        assert not restoring.is_going_on(bridge.opened.ledger.read())
        world.network.nodes[PROVINCE].open()
    world.drain()
    check_books(world)


CITY = "620100-00-00"


def make_provincial(network: Network) -> None:
    """The bridge becomes a provincial node that admits nobody."""
    path = network.layout.data(NORTH) / "keys" / "receipt.key"
    public = generate_key(path, FakeRandomness("north")).public_key

    def change(node: DirectoryNode) -> DirectoryNode:
        key = replace(node.keys[0], key_id=public.key_id, public=public.public, uses=(KeyUse.RECEIPT,))
        return replace(node, role=NodeRole.PROVINCIAL, keys=(*node.keys, key))

    rename_node(network, NORTH, CITY, change, lambda text: text.replace('"bridge"', '"provincial"'))


def lose_at_the_receiver(world: World) -> str:
    """The receiver has landed it, and the node in between knows that."""
    step_until(world, has(world, PROCURATORATE, _LANDED), POLICE, NORTH, PROVINCE, NORTH, PROCURATORATE)
    world.network.nodes[PROCURATORATE].acknowledge()
    world.network.nodes[PROCURATORATE].die()
    up = world.network.nodes[NORTH].opened.links.name_of(PROVINCE)
    step_until(world, lambda: (up, "done") in rows(world.network, NORTH, _CAME_BY), NORTH)
    return PROCURATORATE


def lose_at_the_province(world: World) -> str:
    """The province has landed it, and the node in between knows that."""
    step_until(world, has(world, PROVINCE, _LANDED), POLICE, NORTH, PROVINCE)
    world.network.nodes[PROVINCE].acknowledge()
    world.network.nodes[PROVINCE].die()
    step_until(world, has(world, NORTH, _PASSED_ON), NORTH)
    return PROVINCE


@pytest.mark.parametrize("lose", [lose_at_the_receiver, lose_at_the_province])
def test_c23_past_a_provincial_node_that_only_passes_on_whoever_has_the_bytes_is_asked(
    tmp_path: Path, lose: Callable[[World], str]
) -> None:
    network = Network(tmp_path / "lab", one_for_all())
    make_provincial(network)
    with network:
        network.run()
        world = World(network, 1)
        saved = {code: world.snapshot(code, tmp_path / code) for code in (PROVINCE, PROCURATORATE)}
        send(world)
        lost = lose(world)
        world.restore(lost, saved[lost])
        network.nodes[lost].open()
        world.drain()
        check_books(world)
