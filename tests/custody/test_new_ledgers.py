"""A node that begins anew under its name goes on with its neighbours, whatever they had sent it (C5, C23)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from exchanged import missed_numbers
from exchanged.mailbox import ACKNOWLEDGEMENT_NAME, written_by
from packet_spec.restoring import Page, Stream
from tests.custody.test_restoring_liars import tell
from tests.support.asking import operator
from tests.support.bridging import NORTH, in_a_row, point_to_point
from tests.support.encrypted_lab import inbox, publish, rows
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, SimulatedNode, small_plan
from tests.support.province import Province, node
from tests.support.traffic import drop_packet


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    """A province and two agencies that have exchanged packets in both directions."""
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as made:
        exchange(made, range(1, 4))
        yield made


def exchange(network: Network, seeds: range) -> None:
    """One packet after the other, each to its end: every one is in batches of its own."""
    for seed in seeds:
        sender, receiver = (POLICE, PROCURATORATE) if seed % 2 else (PROCURATORATE, POLICE)
        drop_packet(network, seed=seed, sender=sender, receiver=receiver, business_type="info.share")
        network.run()


def states(network: Network, seeds: range) -> list[str]:
    found = []
    for seed in seeds:
        sender = POLICE if seed % 2 else PROCURATORATE
        path = network.agency(sender) / "status" / f"{sender}-{seed}.status.json"
        found.append(json.loads(path.read_text("utf-8"))["state"] if path.exists() else "none")
    return found


def begin_anew(network: Network, code: str, capsys: pytest.CaptureFixture[str]) -> SimulatedNode:
    """What docs/operating.md says for a node without a backup."""
    node = network.nodes[code]
    node.die()
    data = node.config.node.data_dir
    lost = data.with_name("lost")
    data.rename(lost)
    data.mkdir()
    for name in ("keys", "directory"):
        shutil.copytree(lost / name, data / name)
    if not node.config.node.agency:
        for link in node.config.links:
            (Path(link.mailbox) / written_by(link.side) / ACKNOWLEDGEMENT_NAME).unlink()
    else:
        operator(network.layout.config(code), capsys).text("folder", "init", "--accept")
    return node


def check_at_rest(network: Network) -> None:
    """Nothing waits for an acknowledgement anywhere."""
    for each in network.nodes.values():
        assert rows(each, "SELECT link, number, state FROM batch_out WHERE state <> 'closed'") == []


def questions(node: SimulatedNode) -> list[tuple[object, ...]]:
    return rows(node, "SELECT kind FROM event WHERE kind = 'numbers-asked'")


@pytest.mark.parametrize("code", [POLICE, PROCURATORATE, PROVINCE])
def test_c5_a_new_ledger_acknowledges_what_its_neighbours_go_on_with(
    network: Network, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """They go on behind their last number; of those before, which it never saw, none comes again."""
    begin_anew(network, code, capsys).open()
    network.run()
    seeds = range(11, 25)
    exchange(network, seeds)
    assert states(network, seeds) == ["delivered"] * len(seeds)
    assert len(inbox(network, POLICE)) + len(inbox(network, PROCURATORATE)) == 3 + len(seeds)
    check_at_rest(network)


def test_c5_a_link_that_died_of_it_comes_back(
    network: Network, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under a program that did not ask: all that may lie open waits, and nothing new comes to show it."""
    police = begin_anew(network, POLICE, capsys)
    seeds = range(12, 32, 2)
    with monkeypatch.context() as patched:
        patched.setattr(missed_numbers, "ask_for", lambda *_: None)
        police.open()
        exchange(network, seeds)
    assert states(network, seeds).count("delivered") < len(seeds)
    police.close()
    police.open()
    network.run()
    assert states(network, seeds) == ["delivered"] * len(seeds)
    assert len(inbox(network, POLICE)) == 1 + len(seeds)
    check_at_rest(network)


def test_c5_an_agency_that_is_enrolled_again_on_a_new_machine_goes_on(
    network: Network, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its machine was stolen: disabled, then listed again. What waited for it meanwhile comes once."""
    listed = network.nodes[PROVINCE].opened.trust.directory.nodes
    network.nodes[POLICE].die()
    publish(network, nodes=tuple(replace(each, disabled=each.code == POLICE) for each in listed))
    seeds = range(12, 32, 2)
    exchange(network, seeds)
    police = begin_anew(network, POLICE, capsys)
    publish(network, nodes=listed)
    police.open()
    network.run()
    assert states(network, seeds) == ["delivered"] * len(seeds)
    assert len(inbox(network, POLICE)) == 1 + len(seeds)
    check_at_rest(network)


def test_c5_a_bridge_begins_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both of its neighbours go on with it, at once the one behind which the province is."""
    with Network(tmp_path / "lab", in_a_row()) as network:
        exchange(network, range(1, 4))
        assert all(questions(each) == [] for each in network.nodes.values())
        bridge = begin_anew(network, NORTH, capsys)
        bridge.open()
        seeds = range(11, 23)
        exchange(network, seeds)
        assert states(network, seeds) == ["delivered"] * len(seeds)
        assert len(questions(bridge)) == len(bridge.config.links)
        check_at_rest(network)


def test_c5_a_front_end_without_a_province_begins_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Network(tmp_path / "lab", point_to_point()) as network:
        exchange(network, range(1, 4))
        begin_anew(network, POLICE, capsys).open()
        seeds = range(11, 23)
        exchange(network, seeds)
        assert states(network, seeds) == ["delivered"] * len(seeds)
        check_at_rest(network)


def test_c5_nobody_is_told_of_numbers_who_did_not_ask(province: Province) -> None:
    """Numbers that are disposed of unseen are their writer's word, where this node has asked for it alone."""
    police, here = province.police, node(province)
    police.greet()
    province.run()
    page = Page(here.opened.incarnation, True, True, True, Stream(police.incarnation, 40, ()))
    tell(police, page)
    province.run()
    link = here.opened.links.name_of(POLICE)
    (through,) = rows(here, "SELECT through FROM stream_in WHERE link = ?", link)
    assert through[0] < 40
