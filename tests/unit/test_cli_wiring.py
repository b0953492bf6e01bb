"""Whether a node could be opened now, asked beside one that runs."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from cli import wiring
from exchanged.errors import ForeignVolumeError, NodeStuckError
from tests.support.network import POLICE, PROVINCE, Network, small_plan


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return Network(tmp_path / "lab", small_plan(POLICE))


def test_an_agency_root_that_is_not_there_is_told_before_anything_is_stopped(network: Network) -> None:
    config = network.nodes[POLICE].config
    wiring.require_openable(config)
    root = network.agency(POLICE)
    root.rename(root.with_name("not-mounted"))
    with pytest.raises(ForeignVolumeError, match="not there"):
        wiring.require_openable(config)
    root.with_name("not-mounted").rename(root)
    wiring.require_openable(config)


def test_a_share_that_does_not_answer_hangs_nobody_who_asks(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    monkeypatch.setattr(wiring, "require_folders", lambda _config: answers.wait(60))
    try:
        with pytest.raises(NodeStuckError, match="do not answer"):
            wiring.require_openable(network.nodes[POLICE].config, 0.05)
    finally:
        answers.set()


def test_a_node_without_agency_folders_needs_none(network: Network) -> None:
    wiring.require_openable(network.nodes[PROVINCE].config)
