"""F05 with real daemons: an fsync of the node's own volume fails, and a clock is held against what follows.

The sender's daemon runs alone, takes a drop in, and its N-th flush fails. It must end with code 6 (the goal
is within a second), must have put nothing into its mailbox and told its agency of nothing after that moment,
must refuse to start without ``--recover``, and start with it once a person says yes; the drop is then taken
in to the end.
"""

from __future__ import annotations

import errno
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from certainty.shard import Outcome, Run, Violation
from certainty.sweep.calls import Call, Fate, Listener
from certainty.sweep.victim import DAMAGED
from certainty.sweep.world import SENDER, plan
from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop
from cli.lab.build import build_lab
from cli.lab.layout import Layout
from exchanged.clock import SystemClock, SystemRandomness
from exchanged.config import LinkTransport

GOAL_SECONDS: Final = 1.0
_SITES: Final = (1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, 34, 37, 40, 43, 46)
_QUICK_SITES: Final = (20,)
_PATIENCE_SECONDS: Final = 60.0
_LOOK_MILLISECONDS: Final = 200
# What another thread is about to put in the moment of the error was decided before it.
_IN_HAND_SECONDS: Final = 0.05
_TOLD: Final = ("sent", "refused", "status", "receipts")


def work(run: Run) -> Iterator[Outcome]:
    """A real daemon for each of some sites."""
    sites = _QUICK_SITES if run.quick else _SITES
    told: list[Violation] = []
    seconds: list[float] = []
    for done, site in enumerate(sites):
        if run.is_over:
            break
        run.progress(done, len(sites), f"flush {site} fails")
        trial = _Trial(run.folder / f"site-{site}", f"flush {site} of a real daemon")
        took = trial.run(site)
        told += trial.told
        seconds += [] if took is None else [took]
    reached = f"{len(seconds)} of {len(sites)} sites were reached by a real daemon"
    slowest = f"; it had ended after at most {max(seconds):.2f} s" if seconds else ""
    late = sum(each > GOAL_SECONDS for each in seconds)
    short = f"{late} of {len(seconds)} real daemons ended later than 1 s after the error" if late else ""
    yield Outcome(
        "F05", len(seconds), tuple(told), (), f"{reached}{slowest}.", short=short, planned=len(sites)
    )


class _Trial:
    """One site, in a folder of its own."""

    def __init__(self, folder: Path, case: str) -> None:
        self._folder, self._case = folder, case
        self.told: list[Violation] = []
        clock = SystemClock()
        self._layout = Layout(folder / "lab")
        build_lab(self._layout, plan(), LinkTransport.FOLDER, clock, SystemRandomness())
        request = DropRequest("case.report", SENDER, "620199-03-00", clock.now(), name="A")
        write_drop(make_drop(request), self._layout.agency(SENDER) / "outbox")

    def run(self, site: int) -> float | None:
        """How long it took to end, in seconds; None where it never came to that site."""
        failed, ended, code = self._until_it_fails(site)
        if failed is None:
            return None
        took = ended - failed[0]
        if code != DAMAGED:
            self._say("I12", f"ended with code {code}")
        late = later(self._told_places(), failed[1] + _IN_HAND_SECONDS)
        if late:
            self._say("I1", f"acknowledged after the error: {', '.join(late)}")
        again = self._start([], "")
        if again.wait(_PATIENCE_SECONDS) != DAMAGED:
            self._say("I12", f"started again without --recover, code {again.returncode}")
        with self._start(["--recover"], "y\n") as daemon:
            if not _wait(self._is_queued):
                self._say("I1", "with --recover the drop was not taken in")
            daemon.send_signal(signal.SIGTERM)
            if daemon.wait(_PATIENCE_SECONDS) != 0:
                self._say("I12", f"with --recover it ended with code {daemon.returncode}")
        shutil.rmtree(self._folder)
        return took

    def _until_it_fails(self, site: int) -> tuple[tuple[float, float] | None, float, int]:
        place = self._folder / "s"
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
            door.bind(str(place))
            door.listen(1)
            command = [sys.executable, "-m", "certainty.sweep.trapped", str(place)]
            daemon = subprocess.Popen(
                [*command, "--config", str(self._layout.config(SENDER))],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._log(),
            )  # fmt: skip
            door.settimeout(_PATIENCE_SECONDS)
            with door.accept()[0] as harness:
                _, descriptors, _, _ = socket.recv_fds(harness, 1, 1)
        failing = _Failing(str(self._layout.data(SENDER)), site)
        listener = Listener(descriptors[0])
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while daemon.poll() is None and time.monotonic() < deadline:
            for _, events in poll.poll(_LOOK_MILLISECONDS if failing.at is None else 5):
                if events & select.POLLIN:
                    listener.answer(failing)
            if failing.at is None and self._is_queued() and time.monotonic() > deadline - 50:
                break
        ended = time.monotonic()
        daemon.kill()
        daemon.wait()
        listener.close()
        return failing.at, ended, daemon.returncode

    def _start(self, options: list[str], says: str) -> subprocess.Popen[str]:
        config = ["--config", str(self._layout.config(SENDER))]
        daemon = subprocess.Popen(
            [sys.executable, "-m", "cli.daemon", *config, *options],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._log(), text=True,
        )  # fmt: skip
        assert daemon.stdin is not None
        daemon.stdin.write(says)
        daemon.stdin.close()
        return daemon

    def _log(self) -> int:
        return os.open(self._folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def _put(self) -> list[Path]:
        return list((self._layout.mailbox(SENDER) / "up").iterdir())

    def _told_places(self) -> list[Path]:
        """Where it says to others that it has taken something, or put it: mailbox and agency's folders."""
        agency = self._layout.agency(SENDER)
        return [self._layout.mailbox(SENDER) / "up", *(agency / name for name in _TOLD)]

    def _is_queued(self) -> bool:
        path = self._layout.agency(SENDER) / "status" / "A.status.json"
        if not path.exists() or not any(each.name.endswith(".batch") for each in self._put()):
            return False
        return bool(json.loads(path.read_text("utf-8")).get("packetId"))

    def _say(self, invariant: str, what: str) -> None:
        self.told.append(Violation(invariant, self._case, what))


class _Failing:
    """The N-th flush below a folder fails, and every one after it. ``at``: when, monotonic and wall."""

    def __init__(self, folder: str, number: int) -> None:
        self._folder, self._number = folder, number
        self._passed = 0
        self.at: tuple[float, float] | None = None

    def __call__(self, call: Call) -> Fate | int:
        if not call.path.startswith(self._folder):
            return Fate.PASS
        self._passed += 1
        if self._passed < self._number:
            return Fate.PASS
        if self.at is None:
            self.at = time.monotonic(), time.time()
        return errno.EIO


def later(folders: Sequence[Path], moment: float) -> list[str]:
    """What got its visible name or its bytes there after ``moment``, in seconds of the wall clock.

    A rename shows in the time of the last change of what was renamed, whenever its bytes were written.
    """
    return [
        f"{folder.name}/{path.relative_to(folder)}"
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if not path.name.startswith(".") and path.lstat().st_ctime > moment
    ]


def _wait(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False
