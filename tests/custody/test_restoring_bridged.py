"""C6, C23: what a restored node lost behind nodes in between, who say of all they handed over that it passed on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.lab.plan import LabPlan, parse_plan
from tests.support.bridging import NORTH, agencies, rows
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network
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


def send(world: World, reference: str = "R-1", **changes: object) -> None:
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
    if is_in_the_backup:
        saved = world.snapshot(PROCURATORATE, tmp_path / "landed")
    receiver.die()
    step_until(world, has(world, NORTH, _PASSED_ON), NORTH)
    world.restore(PROCURATORATE, saved)
    receiver.open()
    world.drain()
    check_books(world)
