"""C18: what is done to a node while its daemon is down does not vouch for a clock that was set meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exchanged.acts.desk import Desk
from exchanged.acts.opening import no_agency, opened_desk
from exchanged.acts.values import Act
from exchanged.ledger import open_read_only
from exchanged.ledger.times import moment
from exchanged.places import LEDGER_FILE
from exchanged.pool import InlinePool
from frontend_server.role import frontend_agency
from packet_spec.model import NodeRole, ReceiptKind
from tests.custody.test_giving_up import land, quarantine
from tests.support.acting import LI, outcomes, request
from tests.support.asking import operator
from tests.support.clock import FakeRandomness
from tests.support.encrypted_lab import drop, status
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, SimulatedNode, small_plan
from tests.support.province import Province, node
from tests.support.restoring import World

DAYS = 86_400.0
AHEAD = 3 * 365 * DAYS


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as made:
        made.run()
        yield made


@contextmanager
def opened(node: SimulatedNode) -> Iterator[Desk]:
    """The desk of a node whose daemon does not run."""
    agency = frontend_agency(node.config) if node.config.node.role is NodeRole.FRONTEND else no_agency
    with opened_desk(node.config, node.clock, FakeRandomness("x"), InlinePool(), agency) as desk:
        yield desk


def offline(node: SimulatedNode, act: Act, what: str, by: str = "") -> list[str]:
    with opened(node) as desk:
        return outcomes(desk.handle(request(act, what, by=by), LI))


@pytest.mark.parametrize("ahead", [AHEAD, 2 * DAYS, -DAYS])
def test_c18_an_act_without_the_daemon_does_not_vouch_for_the_clock(network: Network, ahead: float) -> None:
    """Also a second one, and one after a start that heard nobody."""
    police = network.nodes[POLICE]
    link = police.opened.links.name_of(PROVINCE)
    network.nodes[PROVINCE].close()
    police.close()
    network.clock.advance(60)
    network.clock.jump(ahead)
    assert offline(police, Act.PAUSE, link) == ["paused"]
    assert offline(police, Act.RESUME, link) == ["resumed"]
    police.open()
    assert police.opened.clock_guard.doubt() == "clock-not-confirmed"
    police.die()
    assert offline(police, Act.PAUSE, link) == ["paused"]
    police.open()
    assert police.opened.clock_guard.doubt() == "clock-not-confirmed"


def test_c18_a_restore_does_not_vouch_for_the_clock(world: World, tmp_path: Path) -> None:
    saved = world.snapshot(POLICE, tmp_path / "saved")
    police = world.network.nodes[POLICE]
    world.network.nodes[PROVINCE].close()
    world.network.clock.advance(60)
    world.network.clock.jump(AHEAD)
    world.restore(POLICE, saved)
    police.open()
    assert police.opened.clock_guard.doubt() == "clock-not-confirmed"
    assert police.opened.clock_guard.dating_doubt()
    # A second restore, of what was saved by a node in doubt.
    world.network.clock.advance(60)
    police.step()
    again = world.snapshot(POLICE, tmp_path / "again")
    world.restore(POLICE, again)
    police.open()
    assert police.opened.clock_guard.doubt() == "clock-not-confirmed"


def test_c18_folders_marked_anew_do_not_vouch_for_the_clock(
    network: Network, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    police = network.nodes[POLICE]
    network.nodes[PROVINCE].close()
    police.close()
    network.clock.jump(AHEAD)
    for path in network.agency(POLICE).rglob(".exchanged-marker"):
        path.unlink()
    monkeypatch.setattr("exchanged.clock.SystemClock", lambda: network.clock)
    operator(network.layout.config(POLICE), capsys).text("folder", "init", "--accept")
    police.open()
    assert police.opened.clock_guard.doubt() == "clock-not-confirmed"


def test_c18_nothing_is_signed_by_a_clock_that_only_the_machine_vouches_for(network: Network) -> None:
    """No later receipt of this node could bear an earlier time."""
    drop(network, "A")
    network.run()
    packet_id = str(status(network, "A")["packetId"])
    receiver = network.nodes[PROCURATORATE]
    receiver.close()
    network.clock.advance(60)
    network.clock.jump(AHEAD)
    assert offline(receiver, Act.SIGN, packet_id, by="虚构丙") == ["clock-doubted"]
    network.clock.jump(-AHEAD)
    assert offline(receiver, Act.SIGN, packet_id, by="虚构丙") == ["signed"]
    receiver.open()
    network.run()
    assert status(network, "A")["state"] == ReceiptKind.SIGNED.value
    connection = open_read_only(receiver.config.node.data_dir / LEDGER_FILE)
    row = connection.execute("SELECT value FROM node WHERE name = 'last-issued-at'").fetchone()
    assert moment(row[0]) <= network.clock.now()


def test_c18_nothing_is_given_up_with_a_receipt_by_such_a_clock(province: Province) -> None:
    packet = province.police.seal(province.request())
    land(province, packet)
    quarantine(province)
    node(province).close()
    province.network.clock.jump(AHEAD)
    assert offline(node(province), Act.DISCARD, packet.key.packet_id) == ["clock-doubted"]
    assert [*(node(province).config.node.data_dir / "discarded").glob("*")] == []
    province.network.clock.jump(-AHEAD)
    assert offline(node(province), Act.DISCARD, packet.key.packet_id) == ["discarded-told"]
    node(province).open()
