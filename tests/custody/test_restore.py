"""C23: nodes that were put back to older backups lose nothing and double nothing unflagged."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.lab.plan import Standard
from exchanged import restore_answers, restore_portions
from tests.support.encrypting import ROUTES
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, Network, small_plan
from tests.support.restoring import World, check_books

BOTH = "both"
WHO = ("agency", "province", BOTH)


def restored_at_random(tmp_path: Path, seed: int, who: str, *, quiet: int = 12) -> None:
    """Traffic, a backup at some time, more traffic, a loss at some time, the backup, and what follows."""
    choice = random.Random(seed)  # noqa: S311 - a test that can be repeated
    agency = choice.choice((POLICE, PROCURATORATE, COURT))
    codes = {"agency": [agency], "province": [PROVINCE], BOTH: [agency, PROVINCE]}[who]
    plan = small_plan(POLICE, PROCURATORATE, COURT)
    if seed % 4 == 1:
        plan = replace(plan, standard=Standard(routes=ROUTES))
    with Network(tmp_path / "lab", plan) as network:
        world = World(network, seed)
        backups = {}
        world.traffic(choice.randrange(2, 12), 3)
        for code in codes:
            world.traffic(choice.randrange(6), 2)
            backups[code] = world.snapshot(code, tmp_path / f"backup-{code}")
        world.traffic(choice.randrange(3, 25), 5)
        for code in codes:
            world.restore(code, backups[code])
        world.traffic(choice.randrange(4), 1)
        for code in codes:
            network.nodes[code].open()
        world.traffic(choice.randrange(10), 2)
        world.drain(rounds=40 * quiet, quiet=quiet)
        check_books(world)


QUICK = 1
SEEDS = [pytest.param(seed, marks=[pytest.mark.slow] if seed >= QUICK else []) for seed in range(50)]


@pytest.mark.parametrize("seed", SEEDS)
def test_c23_fifty_restores_lose_nothing_and_double_nothing_unflagged(
    tmp_path: Path, seed: int, record_property: Any
) -> None:
    """From old snapshots of an agency, the province, and both; every fourth time parts are encrypted."""
    restored_at_random(tmp_path, seed, WHO[seed % 3])
    report(seed, record_property)


def report(seed: int, record_property: Any) -> None:
    """How many were restored of which kind."""
    record_property("agency_restores", int(seed % 3 == 0))
    record_property("province_restores", int(seed % 3 == 1))
    record_property("restores_of_both", int(seed % 3 == 2))


@pytest.mark.parametrize("seed", SEEDS[1:12])
def test_c23_restores_that_are_answered_in_the_smallest_pages_lose_and_double_nothing(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    """One packet or one receipt in each, one page under way, and everything goes on between them."""
    for name in ("_PACKETS", "_STATEMENTS", "_LOOKS"):
        monkeypatch.setattr(restore_portions, name, 2 if name == "_LOOKS" else 1)
    monkeypatch.setattr(restore_answers, "_UNDER_WAY", 1)
    # Pages come and go without an event.
    restored_at_random(tmp_path, seed, WHO[seed % 3], quiet=60)
    report(seed, record_property)
