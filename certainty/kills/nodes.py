"""The nodes of a lab as processes that are forked from a loaded parent, killed and started again."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from certainty.kills.cutting import was_cut
from cli.lab.lab import Lab
from cli.lab.starting import last_word

_READY: Final = b"READY=1"
_STOP_SECONDS: Final = 15.0
_PATIENCE_SECONDS: Final = 60.0


class NotReadyError(RuntimeError):
    """A node ended by itself, or said nothing in time, instead of becoming ready or staying so."""


@dataclass
class _Running:
    pid: int
    pidfd: int
    ear: socket.socket
    began: float
    # Where in its log this life begins.
    log_begin: int
    ready: bool = False
    took: float = 0.0


class Nodes:
    """A context manager; afterwards no process of it is left. ``home``: the tree that the daemons run.

    ``temporary``: a folder for the daemons' temporary files, so that somebody can look into it.
    """

    def __init__(self, lab: Lab, *, home: Path | None = None, temporary: Path | None = None) -> None:
        self.lab = lab
        self._temporary = temporary
        self._home = home or Path(__file__).resolve().parents[2]
        self._running: dict[str, _Running] = {}
        self._zygote: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        above = os.environ.get("PYTHONPATH", "")
        environment = {**os.environ, "PYTHONPATH": f"{self._home}{os.pathsep}{above}"}
        # Workers are fresh interpreters: without compiled files each of them would compile the whole program.
        for name in ("NOTIFY_SOCKET", "PYTHONDONTWRITEBYTECODE"):
            environment.pop(name, None)
        if self._temporary is not None:
            environment["TMPDIR"] = str(self._temporary)
        self._zygote = subprocess.Popen(
            (sys.executable, "-P", "-m", "certainty.kills.zygote"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=self._home,
        )
        assert self._zygote.stdout is not None
        if self._zygote.stdout.readline() != "loaded\n":
            raise NotReadyError("the loaded parent did not start")
        if self.lab.has_sshd:
            self.lab._start_sshd()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for code in tuple(self._running):
            self.kill(code)
        if self._zygote is not None and self._zygote.stdin is not None:
            self._zygote.stdin.close()
            self._zygote.wait(10)
        self.lab.stop()

    def start(self, code: str, *, cut: int = 0, under: str = "") -> None:
        """Fork a daemon for this node; ``await_ready`` tells how long it took.

        ``cut``, ``under``: see ``cutting``.
        """
        assert self._zygote is not None
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        ear.bind("")
        ear.setblocking(False)
        log = self.lab.log(code)
        log.parent.mkdir(parents=True, exist_ok=True)
        order: dict[str, Any] = {
            "config": str(self.lab.node_config(code)),
            "log": str(log),
            "environment": {"NOTIFY_SOCKET": "@" + ear.getsockname()[1:].decode("ascii")},
        }
        if cut:
            order |= {"cut": cut, "under": under}
        log_begin = log.stat().st_size if log.exists() else 0
        began = time.monotonic()
        self._zygote.stdin.write(json.dumps(order) + "\n")
        self._zygote.stdin.flush()
        pid = int(self._zygote.stdout.readline())
        self._running[code] = _Running(pid, os.pidfd_open(pid), ear, began, log_begin)

    def start_all(self) -> None:
        """Every node, and wait for all of them."""
        for code in self.lab.nodes:
            self.start(code)
        for code in self.lab.nodes:
            self.await_ready(code)

    def is_ready(self, code: str) -> bool:
        """Whether it said READY. Raises NotReadyError when it ended instead, or took a minute."""
        one = self._running[code]
        if not one.ready and not select.select([one.ear.fileno(), one.pidfd], [], [], 0)[0]:
            if time.monotonic() - one.began > _PATIENCE_SECONDS:
                raise NotReadyError(f"{code} was not ready in time: {last_word(self.lab.log(code))}")
            return False
        self.await_ready(code)
        return True

    def await_ready(self, code: str, seconds: float = _PATIENCE_SECONDS) -> float:
        """Seconds from the start until the node said READY. Raises NotReadyError."""
        one = self._running[code]
        deadline = one.began + seconds
        while not one.ready:
            rest = max(0.0, deadline - time.monotonic())
            found, _, _ = select.select([one.ear.fileno(), one.pidfd], [], [], rest)
            if one.ear.fileno() in found:
                one.ready = _READY in one.ear.recv(4096)
            elif found or time.monotonic() >= deadline:
                what = "ended" if found else "was not ready in time"
                raise NotReadyError(f"{code} {what}: {last_word(self.lab.log(code))}")
            if one.ready:
                one.took = time.monotonic() - one.began
        return one.took

    def has_ended(self, code: str) -> bool:
        """It ended by itself."""
        return bool(select.select([self._running[code].pidfd], [], [], 0)[0])

    def fallen(self) -> dict[str, str]:
        """The nodes that ended by themselves, each with the last word of its log; they are forgotten."""
        words = {code: last_word(self.lab.log(code)) for code in self.running if self.has_ended(code)}
        for code in words:
            self.kill(code)
        return words

    def pid(self, code: str) -> int:
        """The process number of a node that was started."""
        return self._running[code].pid

    def age(self, code: str) -> float:
        """Seconds since that node was started."""
        return time.monotonic() - self._running[code].began

    @property
    def running(self) -> tuple[str, ...]:
        """The nodes that were started and not ended by us."""
        return tuple(self._running)

    def arm(self, code: str) -> None:
        """From now on its steps count towards its end."""
        os.kill(self._running[code].pid, signal.SIGUSR2)

    def await_end(self, code: str, seconds: float) -> bool:
        """It ended at the step that ``start`` gave it, within that time; it is forgotten, with its workers.

        Raises NotReadyError when it ended by itself, with no such step.
        """
        if not select.select([self._running[code].pidfd], [], [], seconds)[0]:
            return False
        self.end(code)
        return True

    def end(self, code: str) -> None:
        """Kill it. Raises NotReadyError when it had ended by itself, and not at a step that it was given."""
        begin, log = self._running[code].log_begin, self.lab.log(code)
        if not self.kill(code) and not was_cut(log, begin):
            raise NotReadyError(f"{code} ended by itself: {last_word(log)}")

    def kill(self, code: str, number: signal.Signals = signal.SIGKILL) -> bool:
        """SIGKILL to the daemon and its workers at the same moment; returns when the daemon is no more.

        False: it had ended by itself before.
        """
        one = self._running.pop(code)
        lived = not select.select([one.pidfd], [], [], 0)[0]
        try:
            if lived:
                _signal(one, number)
            if not select.select([one.pidfd], [], [], _STOP_SECONDS)[0]:
                _signal(one, signal.SIGKILL)
                select.select([one.pidfd], [], [], _STOP_SECONDS)
        finally:
            os.close(one.pidfd)
            one.ear.close()
        return lived

    def stop(self, code: str) -> None:
        """As a service manager stops it."""
        self.kill(code, signal.SIGTERM)


def _signal(one: _Running, number: signal.Signals) -> None:
    """To its whole session; to itself alone before it has one."""
    try:
        os.killpg(one.pid, number)
    except ProcessLookupError:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(one.pidfd, number)
