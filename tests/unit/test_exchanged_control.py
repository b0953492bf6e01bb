"""The control socket: who may act, what a bad client costs, and one answer for one request."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from exchanged.acts.credentials import Peer, may_act, operator_of, peer_of
from exchanged.acts.values import Act, Answer, Operator, Request
from exchanged.clock import SystemClock
from exchanged.control import REQUEST_BYTES, ControlServer, socket_address
from exchanged.errors import ConfigurationError, NotFoundError, VolumeDamagedError
from tests.support.acting import request
from tests.support.clock import FakeClock


class FakeDesk:
    """Answers every request, or raises."""

    def __init__(self) -> None:
        self.asked: list[tuple[Request, Operator]] = []
        self.fails: Exception | None = None

    def handle(self, asked: Request, operator: Operator) -> Answer:
        self.asked.append((asked, operator))
        if self.fails is not None:
            raise self.fails
        return Answer(asked.act, asked.request, asked.preview, operator.name, (), ())


class Served:
    """A server at work, and clients of it."""

    def __init__(self, path: Path, peer: Callable[[socket.socket], Peer], clock: Any) -> None:
        self.path, self.desk, self.fatal = path, FakeDesk(), threading.Event()
        self.server = ControlServer(
            path, "", self.desk, clock, lambda _: self.fatal.set(), peer=peer  # type: ignore[arg-type]
        )
        self.server.start()

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(30)
        with socket_address(self.path) as address:
            client.connect(address)
        return client

    def ask(self, data: bytes) -> Any:
        with self.connect() as client:
            client.sendall(data)
            with client.makefile("rb") as file:
                return json.loads(file.readline())


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    with ExitStack() as undo:

        def make(name: str = "s", peer: Any = peer_of, clock: Any = None) -> Served:
            served = Served(tmp_path / name, peer, clock or SystemClock())
            undo.callback(served.server.stop)
            return served

        yield make


def line(**changes: Any) -> bytes:
    return json.dumps(request(Act.CANCEL, "0190a5b0").to_json() | changes).encode() + b"\n"


def test_a_request_is_answered_with_the_kernels_word_about_who_asks(serve: Callable[..., Served]) -> None:
    served = serve()
    said = served.ask(line())
    assert said["answer"]["act"] == "packet-cancel"
    assert served.desk.asked[0][1].uid == os.getuid()
    assert stat.S_IMODE(served.path.stat().st_mode) == 0o600
    served.desk.fails = NotFoundError("no such packet", hint="look")
    error = served.ask(line())["error"]
    assert (error["reference"], error["summary"], error["hint"]) == ("not-found", "no such packet", "look")
    served.desk.fails = RuntimeError("a bug")
    assert served.ask(line())["error"]["reference"] == "internal-error"


@pytest.mark.parametrize(
    "fails", [VolumeDamagedError("fsync failed"), sqlite3.DatabaseError("database disk image is malformed")]
)
def test_a_request_that_meets_a_damaged_volume_ends_the_node(
    serve: Callable[..., Served], fails: Exception
) -> None:
    served = serve()
    served.desk.fails = fails
    assert served.ask(line())["error"]["reference"] == "volume-damaged"
    assert served.fatal.wait(30)


def test_who_may_not_act_is_told_so_and_nothing_is_looked_at(serve: Callable[..., Served]) -> None:
    served = serve(peer=lambda _: Peer(os.getpid(), 54321, frozenset({54321})))
    assert served.ask(line())["error"]["reference"] == "act-not-permitted"
    assert served.desk.asked == []


def test_rights_and_names(tmp_path: Path) -> None:
    one, other = socket.socketpair()
    with one, other:
        assert peer_of(one) == Peer(os.getpid(), os.getuid(), frozenset({os.getgid(), *os.getgroups()}))
    assert may_act(Peer(1, 0, frozenset()), 990, None)
    assert may_act(Peer(1, 990, frozenset()), 990, None)
    assert not may_act(Peer(1, 1000, frozenset({1000})), 990, None)
    assert may_act(Peer(1, 1000, frozenset({1000, 44})), 990, 44)
    assert not may_act(Peer(1, 1000, frozenset({1000})), 990, 44)
    # The login of a process of that very user counts; that of a process number given anew does not.
    process = tmp_path / "7"
    process.mkdir()
    (process / "loginuid").write_text("12345", encoding="ascii")
    mine = Peer(7, os.getuid(), frozenset())
    known = operator_of(mine, {}, tmp_path)
    assert (known.login_uid, known.login_from, known.name) == (12345, "kernel", "uid 12345")
    assert operator_of(Peer(7, 54321, frozenset()), {}, tmp_path).login_uid is None
    # Without the kernel's word root may say it, and nobody else; what is said is marked.
    (process / "loginuid").write_text("4294967295", encoding="ascii")
    told = operator_of(Peer(8, 0, frozenset()), {"login_uid": 12345}, tmp_path)
    assert told.detail() == {
        "operator": "uid 12345", "account": "root", "uid": 0, "login_uid": 12345, "login_from": "client",
    }  # fmt: skip
    assert operator_of(Peer(8, 54321, frozenset()), {"login_uid": 0}, tmp_path).login_uid is None


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"no json\n", "no JSON"),
        (b"[]\n", "no object"),
        (b"[" * 100_000 + b"\n", "no JSON"),
        (line(format=9), "another version"),
        (line(act="packet-burn"), "does not know"),
        (line(request="1"), "without its number"),
        (line(reason=""), "a reason"),
        (line(reason="two\nlines"), "line break"),
        (line(reason="x" * 1001), "too long"),
        (line(what=7), "no text"),
        (line(what=""), "names its subjects"),
        (line(filter={"limit": 10**9}), "limit"),
        (line(act="queue-hold", what="", targets=[{"token": "x"}] * 501), "too many"),
        (line(act="receipt-sign"), "a person"),
        (line(act="receipt-sign", by="A", refuses=True), "needs a reason"),
    ],
)
def test_a_bad_request_is_named(serve: Callable[..., Served], data: bytes, found: str) -> None:
    served = serve()
    error = served.ask(data)["error"]
    assert error["reference"] == "act-request-wrong"
    assert found in error["summary"]
    assert served.desk.asked == []


def test_a_client_that_hangs_floods_or_goes_costs_only_itself(serve: Callable[..., Served]) -> None:
    clock = FakeClock()
    served = serve(clock=clock)
    silent, gone = served.connect(), served.connect()
    gone.sendall(b"{")
    gone.close()
    with served.connect() as flood, pytest.raises(OSError):  # noqa: PT012 - whichever call hears of it
        for _ in range(REQUEST_BYTES // 1000 + 1000):
            flood.sendall(b"x" * 1000)
        assert flood.recv(1) == b""
        raise ConnectionResetError
    assert "answer" in served.ask(line())
    clock.advance(11.0)
    assert "answer" in served.ask(line())
    assert silent.recv(1) == b""
    silent.close()


def test_a_stale_socket_is_replaced_and_nothing_else(serve: Callable[..., Served], tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "s"))
    left.close()
    served = serve()
    assert "answer" in served.ask(line())
    served.server.stop()
    assert not served.path.exists()
    (tmp_path / "file").write_text("precious", encoding="ascii")
    with pytest.raises(ConfigurationError, match="is no socket"):
        serve("file")
    assert (tmp_path / "file").read_text(encoding="ascii") == "precious"
    with pytest.raises(ConfigurationError, match="cannot be used"):
        serve("missing/s")
    with pytest.raises(ConfigurationError, match="no group"):
        ControlServer(tmp_path / "g", "no-such-group", FakeDesk(), SystemClock(), print)  # type: ignore[arg-type]


def test_a_path_longer_than_the_kernel_takes_works_too(serve: Callable[..., Served], tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    assert "answer" in serve(f"{folder.name}/control.sock").ask(line())


def test_a_stop_says_whether_an_act_goes_on_and_begins_no_other(serve: Callable[..., Served]) -> None:
    """A reload must not open a second node beside an act that still works with the first one's parts."""
    served = serve()
    begun, finish = threading.Event(), threading.Event()
    handle = served.desk.handle

    def long_act(asked: Request, operator: Operator) -> Answer:
        begun.set()
        assert finish.wait(30)
        return handle(asked, operator)

    served.desk.handle = long_act  # type: ignore[method-assign]
    with served.connect() as first, served.connect() as second:
        first.sendall(line())
        assert begun.wait(30)
        second.sendall(line())
        assert served.server.acting_seconds() > 0
        assert not served.server.stop(0.05)
        assert not served.path.exists()
        finish.set()
        assert served.server.stop(30)
        assert b"answer" in first.recv(65_536)
        with suppress(ConnectionResetError):
            assert second.recv(1) == b""
    assert len(served.desk.asked) == 1
    assert served.server.stop()
