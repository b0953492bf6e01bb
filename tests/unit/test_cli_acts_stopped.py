"""Ctrl-C while the daemon acts: the act is not withdrawn, and the command says so and how to look."""

from __future__ import annotations

import json
import shlex
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli import acting
from exchanged.acts.desk import Desk
from exchanged.acts.values import Answer, Request
from exchanged.acts.values import Operator as ActingOperator
from exchanged.clock import SystemClock
from exchanged.control import ControlServer
from exchanged.ledger import batches
from tests.support.acting import desk, recorded
from tests.support.asking import Operator, operator
from tests.support.network import POLICE, PROCURATORATE, Network, SimulatedNode, small_plan
from tests.unit.test_cli_acts import WHY, fill

Stops = Callable[[Request, int], bool]
Serve = Callable[[Stops], ControlServer]


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Whoever runs the tests in the background may have it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as made:
        made.only(POLICE)
        yield made


@pytest.fixture
def police(network: Network) -> SimulatedNode:
    """Its link is paused, so that what waits there stays."""
    node = network.nodes[POLICE]
    node.opened.ledger.write(lambda tx: batches.remember(tx, node.opened.links.names()[0], "paused", "x"))
    fill(network)
    return node


@pytest.fixture
def asked(network: Network, capsys: pytest.CaptureFixture[str]) -> Operator:
    return operator(network.layout.config(POLICE), capsys)


@pytest.fixture
def told() -> Iterator[threading.Event]:
    """The command has ended: only now the daemon does what it was asked."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def serve(police: SimulatedNode, told: threading.Event) -> Iterator[Serve]:
    """A daemon; the operator hits Ctrl-C while it has that request, its number counting acts alone."""
    servers: list[ControlServer] = []

    def begin(stops: Stops) -> ControlServer:
        done_by, acts = desk(police), list[Request]()

        class Interrupted:
            def handle(self, request: Request, who: ActingOperator) -> Answer:
                acts.append(request)
                if stops(request, len([each for each in acts if not each.preview])):
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                    told.wait(30)
                return done_by.handle(request, who)

        control = police.config.control
        server = ControlServer(control.socket, "", Interrupted(), SystemClock(), print)  # type: ignore[arg-type]
        servers.append(server)
        server.start()
        return server

    yield begin
    told.set()
    for server in servers:
        server.stop(30)


def holds(request: Request, number: int) -> bool:
    return not request.preview and number == 1


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_ctrl_c_withdraws_no_act_and_says_so(
    network: Network, police: SimulatedNode, asked: Operator, serve: Serve, as_json: bool
) -> None:
    serve(holds)
    link = police.opened.links.names()[0]
    words = ("link", "resume", link, *WHY, *(["--json"] if as_json else []))
    printed = asked.text(*words, code=130)
    assert "stopped by the keyboard, but the act was not withdrawn" in asked.errors
    assert f"hint: exchangectl --config {network.layout.config(POLICE)} event list" in asked.errors
    if as_json:
        error = json.loads(printed)["error"]
        assert (error["reference"], error["exit_code"]) == ("act-not-withdrawn", 130)
    else:
        assert printed == ""


def test_the_command_of_the_hint_shows_what_was_done_all_the_same(
    police: SimulatedNode, asked: Operator, serve: Serve, told: threading.Event
) -> None:
    server = serve(holds)
    asked.text("link", "resume", police.opened.links.names()[0], *WHY, code=130)
    command = asked.errors.partition("hint: exchangectl ")[2].splitlines()[0].split("; ")[0]
    words = shlex.split(command)
    # The daemon goes on with what it was told, though nobody reads its answer any more.
    assert recorded(police) == []
    told.set()
    assert server.stop(30)
    assert len(recorded(police)) == 1
    (shown,) = asked.json(*words[2:])["events"]
    assert (shown["event"]["detail"]["act"], shown["event"]["detail"]["reason"]) == ("link-resume", WHY[1])


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_what_the_groups_before_did_is_told(
    police: SimulatedNode,
    asked: Operator,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    as_json: bool,
) -> None:
    monkeypatch.setattr("cli.acting.MOST_TARGETS", 2)
    serve(lambda request, number: not request.preview and number == 2)
    words = ("queue", "hold", "--all", *WHY, "--yes", *(["--json"] if as_json else []))
    printed = asked.text(*words, code=130)
    assert "the act was not withdrawn" in asked.errors
    if as_json:
        said = json.loads(printed)
        assert [each["outcome"] for each in said["answer"]["done"]] == ["on-hold", "on-hold"]
        assert (said["error"]["reference"], said["error"]["exit_code"]) == ("act-not-withdrawn", 130)
    else:
        assert "done by" in printed
        assert printed.count("on hold for") == 2


def test_a_look_that_is_stopped_did_nothing(
    police: SimulatedNode, asked: Operator, serve: Serve
) -> None:
    serve(lambda request, _number: request.preview)
    asked.text("queue", "hold", "--all", *WHY, "--yes", code=130)
    assert asked.errors == "stopped by the keyboard\n"
    assert recorded(police) == []


def test_between_two_groups_what_was_done_is_told_too(
    police: SimulatedNode,
    asked: Operator,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cli.acting.MOST_TARGETS", 2)
    serve(lambda _request, _number: False)

    def again(_request: Request, groups: list[int] = []) -> Request:  # noqa: B006 - counts the groups
        groups.append(1)
        if len(groups) == 2:
            raise KeyboardInterrupt
        return new_number(_request)

    new_number = acting._again
    monkeypatch.setattr("cli.acting._again", again)
    printed = asked.text("queue", "hold", "--all", *WHY, "--yes", code=130)
    assert printed.count("on hold for") == 2
    assert asked.errors == "stopped by the keyboard\n"


def test_an_act_without_a_daemon_may_be_done_when_it_is_stopped(
    police: SimulatedNode, asked: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = police.opened.links.names()[0]
    police.die()
    handle = Desk.handle

    def stopped(self: Desk, request: Request, who: ActingOperator) -> Answer:
        handle(self, request, who)
        raise KeyboardInterrupt

    monkeypatch.setattr(Desk, "handle", stopped)
    asked.text("link", "resume", link, *WHY, code=130)
    assert "the act may be done" in asked.errors
    assert " event list " in asked.errors
