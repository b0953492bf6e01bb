"""What waits on a link goes to the neighbour that it was queued for, whatever is configured (I1, C5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cli import wiring
from exchanged.acts.opening import opened_desk
from exchanged.config import Config
from exchanged.errors import LinkPeerError
from exchanged.ledger.link_peers import known_peers
from exchanged.pool import InlinePool
from tests.custody.test_ledger_of_another_node import books
from tests.support.asking import operator
from tests.support.clock import FakeRandomness
from tests.support.encrypted_lab import drop, rows, status
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, Network, SimulatedNode, small_plan


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as made:
        yield made


@pytest.fixture
def province(network: Network) -> SimulatedNode:
    """It has a packet that is to go to the procuratorate, and is down."""
    network.run()
    network.nodes[PROCURATORATE].die()
    drop(network, "A")
    network.run()
    node = network.nodes[PROVINCE]
    assert status(network, "A")["state"] == "accepted"
    node.close()
    return node


def changed(config: Config, neighbour: str, **changes: str) -> Config:
    """The same, but for the link to that neighbour."""
    links = tuple(
        replace(link, **changes) if link.peer == neighbour else link for link in config.links  # type: ignore[arg-type]
    )
    return replace(config, links=links)


CHANGES = pytest.mark.parametrize("changes", [{"peer": COURT}, {"name": "another"}], ids=["peer", "name"])


@CHANGES
def test_c5_a_link_that_leads_to_another_neighbour_is_refused_before_anything_is_written(
    network: Network, province: SimulatedNode, changes: dict[str, str]
) -> None:
    """Under its name another agency would get what waits; under another name it would stay there."""
    before, mailbox = books(province), sorted(network.mailbox(PROCURATORATE).rglob("*"))
    own = province.config
    province.config = changed(own, PROCURATORATE, **changes)
    with pytest.raises(LinkPeerError) as raised:
        province.open()
    assert {raised.value.expected, raised.value.found} & {*changes.values()}
    assert "put the old" in raised.value.advice
    desk = opened_desk(province.config, network.clock, FakeRandomness("x"), InlinePool())
    with pytest.raises(LinkPeerError), desk:
        pass
    assert books(province) == before
    assert sorted(network.mailbox(PROCURATORATE).rglob("*")) == mailbox
    province.config = own
    province.open()
    network.nodes[PROCURATORATE].open()
    network.run()
    assert status(network, "A")["state"] == "delivered"


@CHANGES
def test_c5_a_reload_with_such_a_link_is_refused_while_the_node_works(
    network: Network, changes: dict[str, str]
) -> None:
    network.run()
    node = network.nodes[PROVINCE]
    wiring.require_openable(node.config)
    with pytest.raises(LinkPeerError):
        wiring.require_openable(changed(node.config, PROCURATORATE, **changes))


def test_a_link_by_which_nothing_ever_went_may_lead_elsewhere(tmp_path: Path) -> None:
    """As one whose neighbour was mistyped when it was set up."""
    network = Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE))
    province = network.nodes[PROVINCE]
    own = province.config
    province.config = changed(own, PROCURATORATE, peer=COURT)
    network.only(PROVINCE, POLICE)
    with network:
        network.run()
        name = next(link.name for link in own.links if link.peer == PROCURATORATE)
        assert name not in known_peers(province.opened.ledger.read())
        province.close()
        province.config = own
        province.open()
        network.run()
        assert rows(province, "SELECT value FROM link_memory WHERE name = 'peer' AND link = ?", name) == [
            (PROCURATORATE,)
        ]


def test_a_ledger_of_before_this_was_remembered_learns_it_at_the_next_start(
    network: Network, province: SimulatedNode
) -> None:
    province.open()
    province.opened.ledger.write(lambda tx: tx.execute("DELETE FROM link_memory WHERE name = 'peer'"))
    province.close()
    province.open()
    known = known_peers(province.opened.ledger.read())
    assert known == {link.name: link.peer for link in province.config.links}
    assert set(known.values()) == {POLICE, PROCURATORATE}
    network.nodes[PROCURATORATE].open()


def test_the_check_of_the_configuration_and_the_status_say_so(
    network: Network, province: SimulatedNode, capsys: pytest.CaptureFixture[str]
) -> None:
    path = network.layout.config(PROVINCE)
    text = path.read_text("utf-8")
    link = next(link for link in province.config.links if link.peer == PROCURATORATE)
    asked = operator(path, capsys)
    names = [check["name"] for check in asked.json("config", "check")["checks"]]
    assert not [name for name in names if name.startswith(("neighbour of ", "stranded "))]

    path.write_text(text.replace(f'peer = "{PROCURATORATE}"', f'peer = "{COURT}"'), "utf-8")
    found = {check["name"]: check for check in asked.json("config", "check", code=2)["checks"]}
    assert found[f"neighbour of {link.name}"]["state"] == "problem"
    assert PROCURATORATE in found[f"neighbour of {link.name}"]["detail"]
    assert f"neighbour of {link.name}" in asked.text("node", "status", code=2)

    head, *sections = text.split("[[link]]")
    left = [section for section in sections if PROCURATORATE not in section]
    assert len(left) == len(sections) - 1
    path.write_text("[[link]]".join((head, *left)), "utf-8")
    found = {check["name"]: check for check in asked.json("config", "check", code=1)["checks"]}
    assert found[f"stranded {link.name}"]["state"] == "warning"
    assert PROCURATORATE in found[f"stranded {link.name}"]["detail"]
    assert f"stranded {link.name}" in asked.text("node", "status", code=3)
