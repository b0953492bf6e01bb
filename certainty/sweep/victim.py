"""One node in a process of its own, stepped from outside, that may be killed or told of errors at any call.

The process is forked from the one that has everything loaded and is otherwise what a daemon is: it opens the
node from its folder, steps each station in turn, and ends with code 6 and the mark of damage when its volume
failed. A station's error that has no name of ours is told as a bug, and the node goes on, as the runner does.
"""

from __future__ import annotations

import logging
import os
import pickle
import select
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from certainty.sweep import felt
from certainty.sweep.calls import CHANGES, Call, Decide, Fate, Listener, die_with_parent, trap
from certainty.sweep.driven import Driven
from exchanged.config import load_config
from exchanged.errors import VolumeDamagedError
from exchanged.places import DAMAGE_FILE
from packet_spec.errors import ExchangeError
from tests.support.clock import FakeClock

OPEN, STEP, LOOK, CLOSE = "open", "step", "look", "close"
DAMAGED: Final = 6
REFUSED: Final = 5
_MESSAGE_BYTES: Final = 60_000
_PATIENCE_SECONDS: Final = 60.0
_LOOK_MILLISECONDS: Final = 2


@dataclass(frozen=True, slots=True)
class Told:
    """What a step came to; bugs are errors without a name.

    ``head`` is the number of the last event, -1 when the ledger could not be read. ``is_ending``: the process
    ends by itself after this. ``failed``: how many calls of it had failed by then (``felt``).
    """

    head: int = 0
    errors: tuple[str, ...] = ()
    bugs: tuple[str, ...] = ()
    is_ending: bool = False
    failed: int = 0


class VictimGoneError(Exception):
    """The process has ended: killed, or by itself with ``code``."""

    def __init__(self, code: int) -> None:
        super().__init__(f"ended with {code}")
        self.code = code


class VictimHeldError(Exception):
    """It stands in the middle of a call and stays there until it is killed."""


class VictimHangsError(Exception):
    """No answer for a minute: the harness or the product is stuck."""


class Victim:
    """The process. ``decide`` is asked for each trapped call; None traps nothing."""

    def __init__(
        self, code: str, config: str, seed: str, tables: tuple[dict[str, int], ...] = (CHANGES,)
    ) -> None:
        self.code = code
        self.decide: Decide = _let_pass
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ours
        self._listener: Listener | None = None
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            _live(theirs, config, f"{code} {seed}", tables)
        theirs.close()
        self._ended: int | None = None
        if tables:
            _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
            if descriptors:
                self._listener = Listener(descriptors[0])

    def ask(self, what: str, elapsed: float) -> Told:
        """Let it open, step or close at ``elapsed`` seconds of the clock. Raises VictimGoneError."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        with suppress(BrokenPipeError, ConnectionResetError):
            self._socket.send(pickle.dumps((what, elapsed)))
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if self._listener is not None:
            poll.register(self._listener, select.POLLIN)
        while time.monotonic() < deadline:
            for descriptor, events in poll.poll(1000):
                if descriptor == self._socket.fileno():
                    message = self._received()
                    if message:
                        told: Told = pickle.loads(message)  # noqa: S301 - our own child
                        return told
                    raise VictimGoneError(self.wait())
                if events & select.POLLIN and self._listener is not None:
                    if self._listener.answer(self.decide) is Fate.HOLD:
                        raise VictimHeldError
                else:
                    poll.unregister(descriptor)
        raise VictimHangsError(f"{self.code}: {what}")

    def kill(self) -> None:
        """SIGKILL, and wait for it. Again is fine."""
        if self._ended is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.wait()
        self._socket.close()
        if self._listener is not None:
            self._listener.close()

    def wait(self) -> int:
        """The exit code; of a killed process the negative number of the signal.

        What it lets go of on its way out makes calls as well, which are answered here.
        """
        poll = select.poll()
        if self._listener is not None and self._listener.fileno() >= 0:
            poll.register(self._listener, select.POLLIN)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self._ended is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                self._ended = os.waitstatus_to_exitcode(status)
                break
            if time.monotonic() > deadline:
                raise VictimHangsError(f"{self.code} does not end")
            for descriptor, events in poll.poll(_LOOK_MILLISECONDS):
                if events & select.POLLIN and self._listener is not None:
                    self._listener.answer(self.decide)
                else:
                    poll.unregister(descriptor)
        return self._ended

    def _received(self) -> bytes:
        try:
            return self._socket.recv(_MESSAGE_BYTES)
        except ConnectionResetError:
            return b""


def _let_pass(_: Call) -> Fate:
    return Fate.PASS


def _live(commands: socket.socket, config: str, seed: str, tables: tuple[dict[str, int], ...]) -> None:
    """The life of the process; never returns."""
    code = 70
    try:
        die_with_parent()
        logging.disable(logging.CRITICAL)
        felt.listen()
        clock = FakeClock()
        node = Driven(load_config(Path(config)), clock, seed)
        if tables:
            listener = trap(*tables)
            socket.send_fds(commands, [b"x"], [listener])
            os.close(listener)
        code = _obey(commands, node, clock)
    except BaseException as error:
        with suppress(OSError):
            commands.send(pickle.dumps(Told(bugs=(f"{type(error).__name__}: {error}"[:500],))))
    finally:
        os._exit(code)


def _obey(commands: socket.socket, node: Driven, clock: FakeClock) -> int:
    elapsed = 0.0
    while message := commands.recv(_MESSAGE_BYTES):
        what, at = pickle.loads(message)  # noqa: S301 - our own child
        clock.advance(at - elapsed)
        elapsed = at
        errors: list[str] = []
        bugs: list[str] = []
        try:
            if what == OPEN:
                _try(errors, bugs, node.open)
                if not node.is_open:
                    commands.send(pickle.dumps(Told(0, tuple(errors), tuple(bugs))))
                    return REFUSED
            elif what in {STEP, LOOK}:
                if what == LOOK:
                    node.wake_all()
                node.step(partial(_try, errors, bugs))
            else:
                node.close()
                commands.send(pickle.dumps(Told()))
                return 0
        except VolumeDamagedError as error:
            if what != OPEN:
                # As the node's own ``_on_fatal`` does; on the way up it is ``open_parts`` that does.
                with suppress(OSError):
                    (node.config.node.data_dir / DAMAGE_FILE).touch()
            commands.send(pickle.dumps(Told(-1, (error.reference,), is_ending=True, failed=felt.count())))
            return DAMAGED
        head = -1
        with suppress(Exception):
            head = node.head()
        commands.send(pickle.dumps(Told(head, tuple(errors), tuple(bugs), failed=felt.count())))
    return 0


def _try(errors: list[str], bugs: list[str], step: Callable[[], float | None]) -> float | None:
    try:
        return step()
    except VolumeDamagedError:
        raise
    except ExchangeError as error:
        errors.append(f"{error.reference}: {error}"[:300])
    except Exception as error:
        # The runner logs it as a bug of a station and tries again.
        bugs.append(f"{type(error).__name__}: {error}"[:300])
    return 0.0
