"""The commands that act: through the daemon's socket, and with the node's lock where no daemon runs."""

from __future__ import annotations

import io
import json
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest

from cli.acting_text import COMMANDS, HINTS, OBSTACLES, OUTCOMES
from exchanged.acts.values import Act, Answer, Obstacle, Outcome, Request
from exchanged.acts.values import Operator as ActingOperator
from exchanged.clock import SystemClock
from exchanged.control import ControlServer, socket_address
from exchanged.errors import NoSpaceError
from exchanged.ledger import batches, drops, open_read_only
from exchanged.ledger.drops import DropIdentity
from exchanged.ledger.drops import Outcome as DropOutcome
from exchanged.lock import NodeLock, Purpose
from exchanged.places import LEDGER_FILE
from exchanged.states import Event
from packet_spec.names import escape_for_display
from tests.custody.test_front_ends import drop, status
from tests.support.acting import desk, recorded
from tests.support.asking import Operator, operator
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, SimulatedNode, small_plan

WHY = ("--reason", "a fictional reason")


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    """The police alone: three packets wait, because nobody reads the mailbox and the link is paused."""
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as made:
        made.only(POLICE)
        yield made


@pytest.fixture
def police(network: Network) -> SimulatedNode:
    return network.nodes[POLICE]


@pytest.fixture
def asked(network: Network, police: SimulatedNode, capsys: pytest.CaptureFixture[str]) -> Operator:
    return operator(network.layout.config(POLICE), capsys)


def fill(network: Network) -> list[str]:
    """Three packets in the queue. Their ids."""
    for name in ("one", "two", "three"):
        drop(network, name=name)
        network.clock.advance(1.0)
    network.round()
    network.round()
    return [str(status(network, name)["packetId"]) for name in ("one", "two", "three")]


def test_every_outcome_obstacle_and_act_has_its_words() -> None:
    assert set(OUTCOMES) == set(Outcome)
    assert set(OBSTACLES) == set(Obstacle)
    assert set(COMMANDS) == set(Act)
    assert set(HINTS) < set(Obstacle)


def test_acts_go_through_the_daemons_socket(
    network: Network, police: SimulatedNode, asked: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = police.config.control
    server = ControlServer(control.socket, control.group, desk(police), SystemClock(), print)
    server.start()
    link = police.opened.links.name_of(PROVINCE)
    assert "paused" in asked.table("link", "pause", link, *WHY)
    asked.text("link", "pause", link, *WHY, code=5)
    assert f"link pause is not possible: it is paused already: {WHY[1]}: {link}" in asked.errors
    one, two, three = fill(network)
    shown = asked.text("packet", "show", one)
    assert "possible now\n  exchangectl --config" in shown
    assert [line.split(" packet ")[-1].split(" queue ")[-1].split()[0] for line in asked.json(
        "packet", "show", one)["possible"]] == ["cancel", "hold"]
    # Many: shown first, done by consent, which JSON cannot give.
    preview = asked.table("queue", "hold", "--to", PROCURATORATE, *WHY, "--preview")
    assert "would be done: 3" in preview
    asked.text("queue", "hold", "--to", PROCURATORATE, *WHY, "--json", code=2)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    asked.text("queue", "hold", "--to", PROCURATORATE, *WHY, code=2)
    assert "no answer was given" in asked.errors
    assert len(recorded(police)) == 1
    said = asked.json("queue", "hold", "--to", PROCURATORATE, *WHY, "--yes")
    assert [entry["outcome"] for entry in said["answer"]["done"]] == ["on-hold"] * 3
    assert "on-hold" in asked.table("queue", "list", "--state", "on-hold")
    assert "an operator of this node put it on hold" in asked.text("packet", "trace", one)
    # One by the beginning of its id, and what is named wrongly.
    assert "queued again" in asked.table("queue", "release", two, *WHY)
    assert asked.json("packet", "cancel", three, *WHY)["answer"]["done"][0]["outcome"] == "cancelled"
    asked.text("packet", "cancel", three, *WHY, code=5)
    assert "it has ended already" in asked.errors
    assert "hint: exchangectl --config " in asked.errors
    assert " packet show " in asked.errors.partition("hint: ")[2]
    asked.text("packet", "cancel", "0190ffff", *WHY, code=4)
    asked.text("packet", "cancel", one[:6], *WHY, code=2)
    asked.text("queue", "release", "--state", "queued", *WHY, code=2)
    asked.text("queue", "release", *WHY, code=2)
    asked.text("queue", "requeue", "--all", *WHY, code=4)
    asked.text("packet", "cancel", one, "--reason", "two\nlines", code=2)
    asked.text("packet", "cancel", one, code=2)
    server.stop()


def test_a_drop_held_as_poison_is_released_and_who_requeues_it_is_told_so(
    police: SimulatedNode, asked: Operator
) -> None:
    identity = DropIdentity(b"poison.zip", 1, 1, 1, 1, "ab" * 32)
    ledger = police.opened.ledger
    row = ledger.write(lambda tx: drops.register(tx, identity, "poison.zip"))
    ledger.write(lambda tx: drops.move(tx, row, Event.HOLD, DropOutcome(reason="poison")))
    police.die()
    asked.text("queue", "requeue", "poison.zip", *WHY, code=5)
    assert "it is held (poison) and not in quarantine" in asked.errors
    assert " queue release poison.zip --reason TEXT" in asked.errors.partition("hint: ")[2]
    said = asked.json("queue", "release", "--reason-is", "poison", *WHY, "--yes")
    assert [entry["outcome"] for entry in said["answer"]["done"]] == ["to-intake"]
    assert drops.get(open_read_only(police.config.node.data_dir / LEDGER_FILE), row.id).reason == ""


@pytest.mark.parametrize("name", ["虚构材料.xml".encode("gb18030"), b"A$(id).xml", "虚构材料.xml".encode()])
def test_a_drop_of_any_name_is_released_as_the_hint_says(
    police: SimulatedNode, asked: Operator, name: bytes
) -> None:
    """A clerk's program chose the name: bytes of GBK, or words that a shell would carry out."""
    ledger = police.opened.ledger
    row = ledger.write(lambda tx: drops.register(tx, DropIdentity(name, 1, 1, 1, 1, "ab" * 32), "other"))
    ledger.write(lambda tx: drops.move(tx, row, Event.HOLD, DropOutcome(reason="poison")))
    police.die()
    listed = asked.text("queue", "list")
    asked.text("queue", "requeue", escape_for_display(name), *WHY, code=5)
    assert escape_for_display(name) in listed
    hint = next(line for line in asked.errors.splitlines() if line.startswith("hint: "))
    words = shlex.split(hint.partition("exchangectl ")[2])
    asked.text(*words[words.index("queue") : -1], "a fictional reason")
    assert drops.get(open_read_only(police.config.node.data_dir / LEDGER_FILE), row.id).reason == ""


def test_acts_work_with_the_daemon_down_and_are_done_once(
    network: Network, police: SimulatedNode, asked: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same code under the node's lock; what a daemon that starts then sees is as if it had done it."""
    monkeypatch.setattr("cli.acting._LOOKS", 2)
    # Operators here act at the machine's time, nodes at the test's: that is no clock that somebody set.
    monkeypatch.setattr("exchanged.ledger.clock_memory.last_sound", lambda _connection: None)
    link = police.opened.links.name_of(PROVINCE)
    police.die()
    asked.text("link", "pause", link, *WHY)
    police.open()
    one, _, _ = fill(network)
    # A daemon has the lock, and nothing answers at its socket: nothing is done, and it says so.
    asked.text("packet", "cancel", one, *WHY, code=3)
    assert "control-unreachable" in asked.errors
    police.die()
    with socket.socket(socket.AF_UNIX) as left, socket_address(police.config.control.socket) as address:
        left.bind(address)
    assert asked.json("packet", "cancel", one, *WHY)["answer"]["done"][0]["outcome"] == "cancelled"
    police.open()
    network.round()
    assert status(network, "one")["state"] == "cancelled"
    assert [json.dumps(detail["act"]) for _, detail in recorded(police)] == [
        '"link-pause"', '"packet-cancel"', '"packet-cancel"',
    ]  # fmt: skip


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_what_was_done_before_an_error_is_told(
    network: Network, police: SimulatedNode, asked: Operator, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    """Many things are done in groups: the second one fails, and nobody may believe that nothing was done."""
    control, done_by = police.config.control, desk(police)
    police.opened.ledger.write(lambda tx: batches.remember(tx, police.opened.links.names()[0], "paused", "x"))
    fill(network)
    handle, acts = done_by.handle, list[Request]()

    class Failing:
        def handle(self, request: Request, who: ActingOperator) -> Answer:
            acts.append(request)
            if len([each for each in acts if not each.preview]) == 2:
                raise NoSpaceError("no room")
            return handle(request, who)

    server = ControlServer(control.socket, control.group, Failing(), SystemClock(), print)  # type: ignore[arg-type]
    server.start()
    monkeypatch.setattr("cli.acting.MOST_TARGETS", 2)
    words = ("queue", "hold", "--all", *WHY, "--yes", *(["--json"] if as_json else []))
    shown = asked.text(*words, code=3)
    if as_json:
        said = json.loads(shown)
        assert [each["outcome"] for each in said["answer"]["done"]] == ["on-hold", "on-hold"]
        assert (said["error"]["reference"], said["error"]["exit_code"]) == ("no-space", 3)
    else:
        assert "done by" in shown
    assert "no room" in asked.errors
    assert len(recorded(police)) == 3
    server.stop()


def test_an_act_given_during_a_reload_waits_for_the_node(
    network: Network, police: SimulatedNode, asked: Operator
) -> None:
    """The lock is held and nobody listens while the node stops and opens anew: no reason to fail."""
    link, control = police.opened.links.name_of(PROVINCE), police.config.control
    servers: list[ControlServer] = []

    def serve() -> None:
        servers.append(ControlServer(control.socket, control.group, desk(police), SystemClock(), print))
        servers[0].start()

    timer = Timer(0.1, serve)
    timer.start()
    assert "paused" in asked.text("link", "pause", link, *WHY)
    timer.join()
    assert len(recorded(police)) == 1
    servers[0].stop()


def test_a_daemon_that_starts_waits_for_an_act_in_hand_and_for_nothing_else(tmp_path: Path) -> None:
    """The service manager does not start a daemon again that found the lock taken (exit code 7)."""
    act = NodeLock(tmp_path / "lock", Purpose.ACT)
    Timer(0.1, act.release).start()
    daemon = NodeLock(tmp_path / "lock")
    with pytest.raises(Exception, match="another daemon"):
        NodeLock(tmp_path / "lock")
    with pytest.raises(Exception, match="another daemon"):
        NodeLock(tmp_path / "lock", Purpose.ACT)
    daemon.release()
    # For a moment whoever took the lock has not written itself into the file, which names a dead daemon.
    act = NodeLock(tmp_path / "lock", Purpose.ACT)
    (tmp_path / "lock").write_text("12345\n", encoding="ascii")
    Timer(0.1, act.release).start()
    NodeLock(tmp_path / "lock").release()


def test_a_hint_can_be_pasted_where_the_configuration_is_not_the_usual_one(
    network: Network, asked: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A unit's instance has its own file: without it every next command would fail."""
    asked.text("packet", "show", "0190ffff", code=4)
    assert f"hint: exchangectl --config {network.layout.config(POLICE)} packet list" in asked.errors
    monkeypatch.setenv("EXCHANGED_CONFIG", str(network.layout.config(POLICE)))
    asked.text("packet", "show", "0190ffff", code=4)
    assert "hint: exchangectl packet list" in asked.errors
