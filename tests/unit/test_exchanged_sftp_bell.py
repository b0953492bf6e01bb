"""The order of things at the bell; the bell over a real server is in tests/contract."""

from __future__ import annotations

import stat
import threading
from types import SimpleNamespace
from typing import cast

from exchanged.errors import TransportError
from exchanged.sftp_bell import BellListener
from exchanged.sftp_connection import SftpConnection
from exchanged.sftp_protocol import Kind, Reader
from exchanged.sftp_window import SftpWindow
from tests.support.sftp_script import SILENT, Answer, ScriptedServer, attributes

WAIT_SECONDS = 20
EXTENDED = Kind.EXTENDED


class BellServer(ScriptedServer):
    """A server whose bell was rung so many times; then it says nothing more, as a lost line."""

    def __init__(self, rings: int) -> None:
        self.rings = rings
        super().__init__(self.bell)
        self.files[b"/box/bell"] = bytearray()

    def bell(self, kind: int, _: Reader) -> Answer | None:
        if kind == Kind.LSTAT:
            return Kind.ATTRS, attributes(stat.S_IFIFO | 0o640, 0)
        if kind == Kind.OPEN:
            self.rings -= 1
            return None if self.rings >= 0 else SILENT
        return None


class Line:
    """Connections to these servers, one after the other, and then none; ``ended`` when it is over."""

    def __init__(self, *servers: ScriptedServer | None) -> None:
        self.settings = SimpleNamespace(mailbox="/box")
        self.ended = threading.Event()
        self._servers = list(servers)

    def open_window(self) -> SftpWindow:
        if not self._servers:
            self.ended.set()
            raise TransportError("no more servers in this test")
        server = self._servers.pop(0)
        if server is None:
            raise TransportError("the line is down, as the test wants")
        return SftpWindow(server)


def listen(line: Line, events: list[object], server: ScriptedServer | None = None) -> list[int]:
    """Run a listener until the line has no more servers; returns the attempts it counted."""
    attempts: list[int] = []

    def delays(attempt: int) -> float:
        attempts.append(attempt)
        return 0.0

    def on_ring() -> None:
        events.append(list(server.requests) if server else "ring")

    listener = BellListener(cast("SftpConnection", line), on_ring, events.append, delays)
    listener.start()
    assert line.ended.wait(WAIT_SECONDS)
    listener.stop()
    return attempts


def test_the_old_end_is_closed_and_the_next_opening_sent_before_the_ring_is_told() -> None:
    server = BellServer(rings=1)
    events: list[object] = []
    listen(Line(server), events, server)
    opened = [EXTENDED, Kind.LSTAT, Kind.OPEN]
    assert events == [True, [*opened, Kind.CLOSE, Kind.OPEN], False]


def test_each_ring_is_told_once_and_a_lost_line_as_well() -> None:
    events: list[object] = []
    listen(Line(BellServer(rings=3), BellServer(rings=1)), events)
    assert events == [True, "ring", "ring", "ring", False, True, "ring", False]


def test_failures_are_counted_anew_after_each_arming() -> None:
    events: list[object] = []
    attempts = listen(Line(None, None, BellServer(rings=0), None), events)
    assert attempts[:5] == [0, 1, 0, 1, 2]
    assert events == [True, False]


def test_a_session_that_never_armed_is_not_told() -> None:
    events: list[object] = []
    listen(Line(None, ScriptedServer()), events)
    assert events == []
