"""C18: a whole network that was off for months, or whose clocks jumped, goes on by a person's word."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.node_status import look_at
from exchanged.acts.values import CLOCK, Act
from packet_spec.model import ReceiptKind
from tests.custody.test_front_ends import drop, receipts, status
from tests.support.acting import act, outcomes, recorded
from tests.support.asking import operator
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, SimulatedNode, small_plan

DAY = 86_400.0


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as made:
        drop(made, name="before", seed=1)
        made.run()
        yield made


def switch_off(network: Network, days: float) -> None:
    for node in network.nodes.values():
        node.close()
    network.clock.advance(days * DAY)
    for node in network.nodes.values():
        node.open()


def clock_line(node: SimulatedNode) -> str:
    """What node status says of the clock."""
    found = look_at(node.config, node.clock.now())
    return next(line.detail for line in found.lines if line.name == "clock")


def require_waiting(network: Network) -> None:
    """Two drops wait, and each node says why and what to do, however long one waits."""
    for name, seed in (("one", 2), ("two", 3)):
        drop(network, name=name, seed=seed)
    for _ in range(3):
        network.run()
        network.clock.advance(DAY)
    assert [status(network, name)["state"] for name in ("one", "two")] == ["held", "held"]
    for node in network.nodes.values():
        assert "exchangectl node confirm-clock --reason TEXT" in clock_line(node)


def require_delivered(network: Network) -> None:
    for name in ("one", "two"):
        told = status(network, name)
        assert told["state"] == "delivered"
        assert receipts(network, told["packetId"]) == [ReceiptKind.ACCEPTED, ReceiptKind.DELIVERED]
    for node in network.nodes.values():
        assert node.opened.clock_guard.doubt() == ""
        assert "doubted" not in clock_line(node)


def test_where_all_were_off_for_months_a_word_at_the_province_is_enough(network: Network) -> None:
    switch_off(network, 92)
    require_waiting(network)
    assert outcomes(act(network.nodes[PROVINCE], Act.CLOCK, CLOCK)) == ["clock-confirmed"]
    network.run()
    require_delivered(network)
    # What is sealed now is dated by the clock that was confirmed.
    assert status(network, "one")["updatedAt"][:7] == network.clock.now().isoformat()[:7]
    assert [said["reason"] for _, said in recorded(network.nodes[PROVINCE])] == ["a fictional reason"]


def test_of_several_agencies_one_cannot_tell_the_province_the_time(network: Network) -> None:
    switch_off(network, 92)
    require_waiting(network)
    act(network.nodes[POLICE], Act.CLOCK, CLOCK)
    network.run()
    # What it sealed waits at the province, which dates nothing yet.
    assert network.nodes[PROVINCE].opened.clock_guard.doubt() == "clock-not-confirmed"
    assert status(network, "one")["state"] == "handed-over"
    act(network.nodes[PROVINCE], Act.CLOCK, CLOCK)
    network.run()
    require_delivered(network)


def test_a_word_ends_the_doubt_after_all_clocks_jumped(network: Network) -> None:
    network.clock.jump(5 * DAY)
    network.run()
    require_waiting(network)
    act(network.nodes[PROVINCE], Act.CLOCK, CLOCK)
    network.run()
    require_delivered(network)


def test_a_word_while_the_node_does_not_run_counts_at_its_start(
    network: Network, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    switch_off(network, 92)
    require_waiting(network)
    province = network.nodes[PROVINCE]
    province.close()
    monkeypatch.setattr("exchanged.clock.SystemClock.now", lambda _: network.clock.now())
    command = operator(network.layout.config(PROVINCE), capsys)
    said = command.text("node", "confirm-clock", "--reason", "compared with the radio")
    assert "counts as right" in said
    network.clock.advance(0.5 * DAY)
    province.open()
    network.run()
    require_delivered(network)


def test_a_word_about_a_clock_that_nobody_doubts_changes_nothing(network: Network) -> None:
    assert outcomes(act(network.nodes[PROVINCE], Act.CLOCK, CLOCK)) == ["not-doubted"]
    assert recorded(network.nodes[PROVINCE]) == []


def test_a_node_that_was_off_alone_hears_the_time_from_its_neighbours(network: Network) -> None:
    police = network.nodes[POLICE]
    police.close()
    network.clock.advance(92 * DAY)
    network.run()
    police.open()
    drop(network, name="one", seed=2)
    drop(network, name="two", seed=3)
    network.run()
    network.clock.advance(60)
    network.run()
    require_delivered(network)
