"""A ledger opens for the node that it belongs to, and for no other (I1, I2, I8).

On the ledger of another node, what waits there would leave under a wrong name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exchanged import backup, restore_node
from exchanged.errors import ConfigurationError
from exchanged.ledger.owner import Owner, owner_of
from packet_spec.model import NodeRole
from tests.support.asking import Operator, operator
from tests.support.encrypted_lab import drop, status
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, SimulatedNode, small_plan

OWN = Owner(POLICE, "frontend", POLICE)


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as made:
        yield made


@pytest.fixture
def police(network: Network) -> SimulatedNode:
    """It has a packet that is to leave, and is down."""
    network.nodes[PROVINCE].die()
    drop(network, "A")
    for _ in range(4):
        network.round()
    node = network.nodes[POLICE]
    node.close()
    return node


@pytest.fixture
def mistaken(network: Network, police: SimulatedNode, capsys: pytest.CaptureFixture[str]) -> Operator:
    """Who typed another code into the file, and left data_dir as it was."""
    path = network.layout.config(POLICE)
    other = path.with_name("mistaken.toml")
    other.write_text(
        path.read_text("utf-8").replace(f'code = "{POLICE}"', f'code = "{PROCURATORATE}"'), encoding="utf-8"
    )
    return operator(other, capsys)


def books(node: SimulatedNode) -> dict[Path, bytes]:
    data = node.config.node.data_dir
    paths = [data / "ledger.sqlite3", data / "ledger.sqlite3-wal", *data.glob("spool/*")]
    return {path: path.read_bytes() for path in paths if path.exists()}


@pytest.mark.parametrize(
    "changes",
    [
        {"code": PROCURATORATE},
        {"agency": PROCURATORATE},
        {"code": PROCURATORATE, "agency": PROCURATORATE},
        {"role": NodeRole.PROVINCIAL, "agency": ""},
    ],
    ids=["code", "agency", "both", "role"],
)
def test_a_start_as_another_node_is_refused_before_anything_is_written(
    network: Network, police: SimulatedNode, changes: dict[str, Any]
) -> None:
    before, mailbox = books(police), sorted(network.mailbox(POLICE).rglob("*"))
    own = police.config
    police.config = replace(own, node=replace(own.node, **changes))
    with pytest.raises(ConfigurationError) as raised:
        police.open()
    (problem,) = raised.value.problems
    other = police.config.node
    assert f"belongs to {OWN}, and the configuration says code {other.code}, role {other.role}" in problem
    assert "a data_dir of its own" in problem
    assert books(police) == before
    assert sorted(network.mailbox(POLICE).rglob("*")) == mailbox
    police.config = own
    police.open()
    network.nodes[PROVINCE].open()
    network.run()
    assert status(network, "A")["state"] == "delivered"


def test_a_ledger_of_before_this_was_remembered_learns_it_at_the_next_start(police: SimulatedNode) -> None:
    police.open()
    police.opened.ledger.write(lambda tx: tx.execute("DELETE FROM node WHERE name GLOB 'owner-*'"))
    assert owner_of(police.opened.ledger.read()) is None
    police.close()
    police.open()
    assert owner_of(police.opened.ledger.read()) == OWN


@pytest.mark.parametrize(
    "words",
    [
        ("link", "pause", "province", "--reason", "a fictional reason"),
        ("folder", "init"),
        ("folder", "init", "--accept"),
    ],
    ids=" ".join,
)
def test_without_a_daemon_nothing_is_done_as_another_node(
    network: Network, police: SimulatedNode, mistaken: Operator, words: tuple[str, ...]
) -> None:
    before, folders = books(police), sorted(network.agency(POLICE).rglob("*"))
    mistaken.text(*words, code=2)
    said = " ".join(mistaken.errors.split())
    assert f"belongs to {OWN}" in said
    assert PROCURATORATE in said
    assert books(police) == before
    assert sorted(network.agency(POLICE).rglob("*")) == folders


def test_the_check_of_the_configuration_says_so(
    network: Network, mistaken: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {check["name"]: check for check in mistaken.json("config", "check", code=2)["checks"]}
    assert found["ledger"]["state"] == "problem"
    assert str(OWN) in found["ledger"]["detail"]
    own = operator(network.layout.config(POLICE), capsys)
    assert "ledger" not in {check["name"] for check in own.json("config", "check")["checks"]}


def test_no_backup_is_made_in_the_name_of_another_node(mistaken: Operator, tmp_path: Path) -> None:
    mistaken.text("backup", "create", tmp_path / "saved", code=2)
    assert f"belongs to {OWN}" in " ".join(mistaken.errors.split())
    assert not (tmp_path / "saved" / "manifest.json").exists()


def test_a_restored_ledger_belongs_to_the_same_node(
    network: Network, police: SimulatedNode, tmp_path: Path
) -> None:
    own, now = police.config, network.clock.now()
    backup.create(own, network.layout.config(POLICE), tmp_path / "saved", now)
    plan = restore_node.plan(own, tmp_path / "saved", now)
    restore_node.restore(own, tmp_path / "saved", plan, network.clock)
    police.config = replace(own, node=replace(own.node, agency=PROCURATORATE))
    with pytest.raises(ConfigurationError, match="belongs to"):
        police.open()
    police.config = own
    police.open()
    assert owner_of(police.opened.ledger.read()) == OWN
