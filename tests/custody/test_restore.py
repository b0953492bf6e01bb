"""C23: nodes that were put back to older backups lose nothing and double nothing unflagged."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, Network, small_plan
from tests.support.restoring import World, check_books

BOTH = "both"


def restored_at_random(tmp_path: Path, seed: int, who: str) -> None:
    """Traffic, a backup at some time, more traffic, a loss at some time, the backup, and what follows."""
    choice = random.Random(seed)  # noqa: S311 - a test that can be repeated
    agency = choice.choice((POLICE, PROCURATORATE, COURT))
    codes = {"agency": [agency], "province": [PROVINCE], BOTH: [agency, PROVINCE]}[who]
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE, COURT)) as network:
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
        world.drain()
        check_books(world)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("who", ["agency", "province", BOTH])
def test_c23_restored_at_random(tmp_path: Path, seed: int, who: str) -> None:
    restored_at_random(tmp_path, seed, who)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(50))
def test_c23_fifty_restores(tmp_path: Path, seed: int) -> None:
    restored_at_random(tmp_path, seed, ("agency", "province", BOTH)[seed % 3])
