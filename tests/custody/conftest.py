"""A simulated province with hand-driven neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, Network, small_plan
from tests.support.peer import Peer
from tests.support.province import Province
from tests.support.restoring import World


@pytest.fixture
def province(tmp_path: Path) -> Iterator[Province]:
    """A province whose agencies are driven by hand."""
    network = Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE, COURT))
    network.only(PROVINCE)
    with network:
        yield Province(network, Peer(network, POLICE), Peer(network, PROCURATORATE))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Three agencies at their province, whose nodes may be put back to backups."""
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE, COURT)) as network:
        network.run()
        yield World(network, 1)
