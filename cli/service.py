"""A node as a service: signals, reload, and what the service manager hears.

Guarantees: SIGHUP applies a good configuration whole or keeps the old one. The new file is read and judged
first, and so is what opening needs of others: a share that is not there at this moment. Only then the node
is stopped as on SIGTERM (so nothing in flight is lost or doubled: what was cut off is done again from the
ledger) and opened anew in this process. If that fails, the old configuration is opened again; if that fails
too, the process ends with the reason. A second SIGHUP during a reload reads the file once more afterwards;
SIGTERM during a reload ends it; a SIGHUP while stopping does nothing.

A node whose program was replaced ends with code 3, and is started again from the new one.

WATCHDOG=1 is sent only while our own volume answers (``exchanged.pulse``): a node whose disk hangs is ended
and started again, one that waits for somebody else's share is not.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

from cli.exit_codes import ExitCode, exit_code_of
from cli.locale import _, told
from exchanged import __version__
from exchanged.clock import Clock
from exchanged.config import Config, load_config
from exchanged.errors import ConfigurationError, NodeStuckError, ProgramReplacedError
from exchanged.log import event_line
from exchanged.node import Health
from exchanged.notify import ALIVE, READY, STOPPING, reloading, status_line, watchdog_limit
from exchanged.program import Program
from exchanged.pulse import COUNTED
from packet_spec.errors import ExchangeError

# How often the state is looked at, told and, if the unit asks for it, the watchdog fed.
_BEAT_SECONDS: Final = 10.0
_BEAT_AGAIN_SECONDS: Final = 1.0
# What opening may take during a reload; a unit's TimeoutStartSec has the same reason.
_OPENING_SECONDS: Final = 600.0
_NAMED: Final = 3
# What makes a node this node: its ledger belongs to nobody else.
_ITSELF: Final = ("code", "role", "agency")
# Everything else may change while it runs.
_FIXED: Final = (*_ITSELF, "data_dir")


class RunningNode(Protocol):
    """What a service needs of ``exchanged.node.Node``."""

    def wait(self, timeout_seconds: float | None = None) -> ExchangeError | None:
        """The fatal error, if one happened; not before the time is over or ``rouse`` was called."""

    def rouse(self) -> None:
        """End the present or the next ``wait``; called in signal handlers."""

    def stop(self) -> bool:
        """Stop; False when a thread of it still hangs in a system call."""

    def health(self) -> Health:
        """How it does."""

    def hanging(self) -> Mapping[str, float]:
        """Stations that ``stop`` could not end."""


class Signals:
    """The signals that came. Handlers only set flags and rouse: they may run between any two instructions."""

    def __init__(self) -> None:
        self.stop = False
        self.reload = False
        self.rouse: Callable[[], None] = lambda: None

    def listen(self) -> None:
        """Take SIGTERM, SIGINT and SIGHUP from now on."""

        def stop(*_: object) -> None:
            self.stop = True
            self.rouse()

        def reload(*_: object) -> None:
            self.reload = True
            self.rouse()

        for number, handler in ((signal.SIGTERM, stop), (signal.SIGINT, stop), (signal.SIGHUP, reload)):
            signal.signal(number, handler)


class Service:
    """Runs one node until it is told to stop. ``open_node`` opens and starts a node, or raises.

    ``require_openable`` raises, beside a running node, what would keep another one from being opened now.
    ``tell`` reaches the service manager, which wants to hear every ``watchdog_seconds`` (None: it does not
    ask); ``set_log`` makes the log follow [log].
    """

    def __init__(
        self,
        path: Path,
        config: Config,
        open_node: Callable[[Config], RunningNode],
        require_openable: Callable[[Config], object],
        signals: Signals,
        clock: Clock,
        tell: Callable[[str], object],
        set_log: Callable[[Config], None],
        watchdog_seconds: float | None,
        program: Program,
    ) -> None:
        self._path = path
        self._config = config
        self._open = open_node
        self._require_openable = require_openable
        self._signals = signals
        self._clock = clock
        self._tell = tell
        self._set_log = set_log
        self._watchdog = watchdog_seconds
        self._program = program
        self._beat_seconds = min(_BEAT_SECONDS, watchdog_seconds or _BEAT_SECONDS)
        self._next_beat = 0.0
        self._status = ""
        # Why the configuration in force is not that of the file; it stands in the status until it is again.
        self._note = ""

    def run(self) -> ExitCode:
        """Open, work, stop. Raises ExchangeError when the node cannot be opened or cannot go on."""
        # A start that takes long, or hangs on a folder, shows what it is at.
        self._tell(status_line(_("opening the node")))
        node: RunningNode | None = self._open(self._config)
        self._tell(READY)
        event_line("ready", node=self._config.node.code, version=__version__)
        error: ExchangeError | None = None
        while node is not None and error is None:
            self._signals.rouse = node.rouse
            if self._signals.stop:
                break
            if self._signals.reload:
                self._signals.reload = False
                node = self._reload(node)
            else:
                self._beat(node)
                error = node.wait(max(0.0, self._next_beat - self._clock.monotonic())) or self._replaced()
        self._tell(STOPPING)
        if node is not None:
            node.stop()
            error = error or node.wait(0)
        return ExitCode.DONE if error is None else exit_code_of(error)

    def _replaced(self) -> ExchangeError | None:
        try:
            self._program.require_as_started()
        except ProgramReplacedError as error:
            event_line("ending", level=logging.WARNING, error=error.reference, what=str(error))
            return error
        return None

    def _beat(self, node: RunningNode) -> None:
        now = self._clock.monotonic()
        if now < self._next_beat:
            return
        health = node.health()
        self._next_beat = now + (self._beat_seconds if health.is_alive else _BEAT_AGAIN_SECONDS)
        if health.is_alive and self._watchdog is not None:
            self._tell(ALIVE)
        status = "; ".join(filter(None, (describe_health(health), self._note)))
        if status != self._status:
            self._status = status
            self._tell(status_line(status))

    def _reload(self, node: RunningNode) -> RunningNode | None:
        """The node to go on with; None when SIGTERM came. Raises ExchangeError when there is none."""
        self._tell(reloading(self._clock.monotonic()))
        event_line("reloading", config=str(self._path))
        try:
            wanted = self._wanted(node)
        except Exception as error:  # noqa: BLE001 - no file, however odd, may end a node that works
            self._refused(error)
        else:
            if self._watchdog is not None:
                self._tell(watchdog_limit(_OPENING_SECONDS))
            if (fresh := self._exchange(node, wanted)) is None:
                return None
            node = fresh
            if self._watchdog is not None:
                self._tell(watchdog_limit(2 * self._watchdog))
        self._next_beat = 0.0
        self._tell(READY)
        return node

    def _wanted(self, node: RunningNode) -> Config:
        """The configuration of the file, if it can take the place of the present one at this moment."""
        wanted = load_config(self._path)
        problems = [
            f"[node] {key}: cannot change: its ledger is that of this node; another has a data_dir of its own"
            if key in _ITSELF
            else f"[node] {key}: cannot change while the node runs; stop it, then start it"
            for key in _FIXED
            if getattr(wanted.node, key) != getattr(self._config.node, key)
        ]
        if problems:
            raise ConfigurationError(tuple(problems), where=str(self._path))
        if hanging := node.hanging():
            raise NodeStuckError(
                "a station does not come to its end, so the node cannot be stopped cleanly",
                found=", ".join(f"{name} for {seconds:.0f} s" for name, seconds in hanging.items()),
            )
        self._require_openable(wanted)
        return wanted

    def _exchange(self, node: RunningNode, wanted: Config) -> RunningNode | None:
        """Stop ``node``, open one with ``wanted``, or again one with the present configuration."""
        if not node.stop():
            # Its threads may come back at any time, so no second node may work in this process.
            raise NodeStuckError("a station did not come to its end while the node was reloaded")
        if (fatal := node.wait(0)) is not None:
            raise fatal
        if self._signals.stop:
            return None
        self._set_log(wanted)
        try:
            fresh = self._open(wanted)
        except NodeStuckError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the old configuration did work
            self._set_log(self._config)
            self._failed(error)
            return self._open(self._config)
        self._config, self._note = wanted, ""
        event_line("reloaded", node=wanted.node.code)
        return fresh

    def _refused(self, error: Exception) -> None:
        reference = getattr(error, "reference", type(error).__name__)
        problems = error.problems if isinstance(error, ConfigurationError) else (str(error),)
        for problem in problems:
            event_line(
                "reload-refused",
                level=logging.ERROR,
                config=str(self._path),
                error=reference,
                what=problem,
            )
        note = _("reload refused at {time}, the old configuration is in force: {reference}, {problem}")
        self._note = note.format(time=self._time(), reference=reference, problem=told(problems[0]))

    def _failed(self, error: Exception) -> None:
        reference = getattr(error, "reference", type(error).__name__)
        event_line(
            "reload-failed", level=logging.ERROR, config=str(self._path), error=reference, what=str(error)
        )
        note = _("reload failed at {time}, the old configuration is in force again: {reference}")
        self._note = note.format(time=self._time(), reference=reference)

    def _time(self) -> str:
        return self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")


def describe_health(health: Health) -> str:
    """One short line for ``systemctl status``."""
    up = health.links - len(health.down) - len(health.paused)
    words = [_("{up} of {all} links up").format(up=up, all=health.links)]
    if health.down:
        words.append(_("down: {links}").format(links=_first(health.down)))
    if health.paused:
        words.append(_("paused: {links}").format(links=_first(health.paused)))
    count = f"{COUNTED}+" if health.waiting >= COUNTED else str(health.waiting)
    words.append(_("waiting: {count}").format(count=count))
    if health.doubts_clock:
        words.append(_("clock doubtful: nothing is admitted until it is right or neighbours confirm it"))
    if not health.is_alive:
        words.append(_("the data directory does not answer"))
    slow = sorted(health.slow.items(), key=lambda each: -each[1])
    if slow:
        more = " ..." if len(slow) > _NAMED else ""
        names = ", ".join(f"{name} ({seconds:.0f} s)" for name, seconds in slow[:_NAMED]) + more
        words.append(_("slow: {stations}").format(stations=names))
    return "; ".join(words)


def _first(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_NAMED]) + (" ..." if len(names) > _NAMED else "")
