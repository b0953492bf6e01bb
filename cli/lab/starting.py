"""Start daemons and wait until each says that it is ready (the READY=1 of sd_notify).

Guarantees: a daemon counts as started only after its own word; one that ends first, or says nothing in
time, is an error that shows the last line of its log. The notify socket has an abstract name, so no path is
too long for it and nothing is left behind.
"""

from __future__ import annotations

import os
import selectors
import socket
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.lab.errors import LabError
from cli.lab.processes import Process, reap, spawn
from exchanged.clock import Clock

# More at once only compete for two cores; fewer leave one idle while another waits for its disk.
AT_ONCE: Final = 4
# A daemon starts in a second or two; a busy machine with hundreds of nodes takes longer.
PATIENCE_SECONDS: Final = 60.0
_DATAGRAM: Final = 4096


@dataclass(frozen=True, slots=True)
class Launch:
    """A daemon to start: its name in the lab, command, log, and what to know it by (see ``Process``)."""

    name: str
    command: tuple[str, ...]
    log: Path
    mark: str
    token: str


@dataclass(frozen=True, slots=True)
class _Starting:
    launch: Launch
    process: Process
    ear: socket.socket
    pidfd: int
    deadline: float


def start_all(
    launches: Iterable[Launch],
    environment: Mapping[str, str],
    clock: Clock,
    *,
    started: Callable[[str, Process], None],
    ready: Callable[[str], None],
    patience_seconds: float = PATIENCE_SECONDS,
) -> None:
    """Start all, at most AT_ONCE of them starting at any time.

    ``started`` is called as soon as a process exists, ``ready`` when it said so. Raises LabError for the
    first that fails; those already started keep running.
    """
    waiting = deque(launches)
    starting: dict[str, _Starting] = {}
    selector = selectors.DefaultSelector()
    try:
        while waiting or starting:
            while waiting and len(starting) < AT_ONCE:
                one = _begin(waiting.popleft(), environment, clock.monotonic() + patience_seconds)
                starting[one.launch.name] = one
                selector.register(one.ear, selectors.EVENT_READ, one)
                selector.register(one.pidfd, selectors.EVENT_READ, one)
                started(one.launch.name, one.process)
            deadline = min(one.deadline for one in starting.values())
            events = selector.select(max(0.0, deadline - clock.monotonic()))
            # The word of a daemon counts before its end: it may have said READY and then failed.
            for one in {id(key.data): key.data for key, _ in events}.values():
                if _said_ready(one):
                    _forget(starting.pop(one.launch.name), selector)
                    ready(one.launch.name)
                elif any(key.data is one and key.fd == one.pidfd for key, _ in events):
                    reap(one.process.pid)
                    raise _failure(one.launch, "ended before it was ready")
            late = [one for one in starting.values() if one.deadline <= clock.monotonic()]
            if late:
                raise _failure(late[0].launch, f"was not ready after {patience_seconds:g} seconds")
    finally:
        for one in starting.values():
            _forget(one, selector)
        selector.close()


def last_word(log: Path) -> str:
    """The last line of a log, or an empty text."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return lines[-1] if lines else ""


def _begin(launch: Launch, environment: Mapping[str, str], deadline: float) -> _Starting:
    ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        # An empty name lets the kernel choose a free abstract one.
        ear.bind("")
        ear.setblocking(False)
        name = "@" + ear.getsockname()[1:].decode("ascii")
        told = {**environment, "NOTIFY_SOCKET": name}
        process = spawn(launch.command, told, launch.log, launch.mark, launch.token)
        return _Starting(launch, process, ear, os.pidfd_open(process.pid), deadline)
    except BaseException:
        ear.close()
        raise


def _said_ready(one: _Starting) -> bool:
    while True:
        try:
            said = one.ear.recv(_DATAGRAM)
        except BlockingIOError:
            return False
        if b"READY=1" in said.split(b"\n"):
            return True


def _forget(one: _Starting, selector: selectors.BaseSelector) -> None:
    selector.unregister(one.ear)
    selector.unregister(one.pidfd)
    one.ear.close()
    os.close(one.pidfd)


def _failure(launch: Launch, what: str) -> LabError:
    return LabError(
        f"{launch.name} {what}", where=str(launch.log), found=last_word(launch.log) or "an empty log"
    )
