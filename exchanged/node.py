"""A running node: stations on a runner, alarms, hints, bells; started in order, stopped in reverse.

Which stations there are is the role's business (``exchanged.provincial``, ``frontend_server.role``).
On a damaged volume the node stops at once and says so with exit code 6. How it does is asked with
``Node.health``; a station that takes long is told there, and is a danger only where our own volume hangs.
"""

from __future__ import annotations

import logging
import queue
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from exchanged.acts.desk import Desk
from exchanged.config import LinkSide, LinkTransport
from exchanged.control import STOP_SECONDS as CONTROL_SECONDS
from exchanged.control import ControlServer
from exchanged.damage_mark import leave_mark
from exchanged.errors import TransportError
from exchanged.link import LinkStation
from exchanged.log import event_line
from exchanged.mailbox import growing_name
from exchanged.merkle_log import LogStation
from exchanged.parts import Parts
from exchanged.places import LOG_FOLDER
from exchanged.publishing_desk import PublishingDesk
from exchanged.pulse import Pulse
from exchanged.schedule import AlarmClock
from exchanged.sftp_bell import BellListener
from exchanged.station import Runner, Station
from exchanged.sweep import Sweep
from exchanged.watch import FolderWatch, WatchAgain
from packet_spec.errors import ExchangeError
from packet_spec.model import NodeRole

STOP_SECONDS: Final = 8.0
# After that everything that a station can wait for is cut off; what still does not end hangs in the kernel.
LAST_SECONDS: Final = 1.0
# A share that hangs keeps every station that touches it, of a front-end all but judge, sweep, directory and
# the links. Those must still find a thread.
THREADS: Final = 10
# Stations usually take milliseconds; a very large blob, or a share that is gone, takes longer than this.
SLOW_SECONDS: Final = 30.0
_SIDE_BY_SIDE: Final = 2


def _roots(folders: Iterable[Path]) -> tuple[Path, ...]:
    """Fewer folders to watch: several mailboxes side by side are watched by the folder they are in.

    A watched folder costs an inotify instance, and a user has only 128 of them.
    """
    mailboxes = Counter(folder.parent.parent for folder in folders)
    return tuple(
        dict.fromkeys(
            folder.parent.parent if mailboxes[folder.parent.parent] > _SIDE_BY_SIDE else folder
            for folder in folders
        )
    )


def news_of(mailboxes: Container[Path]) -> Callable[[Path, bool], bool]:
    """Which files are worth a look: in ``mailboxes``, incoming directions, those that came under their names.

    What still grows there is told by its renaming, and what the neighbour removes only tidies up.
    """

    def is_news(path: Path, is_there: bool) -> bool:
        return path.parent not in mailboxes or (is_there and not growing_name(path.name))

    return is_news


def sweep_of(parts: Parts) -> Sweep:
    """The sweep of an opened node."""
    return Sweep(
        parts.ledger,
        parts.spool,
        parts.blobs,
        parts.ports.clock,
        parts.clock_guard.proven,
        parts.config.retention,
        only_passes=parts.config.node.role is NodeRole.BRIDGE,
    )


@dataclass(frozen=True, slots=True)
class Health:
    """How a node does. ``slow``: seconds that a station has been at one step, beyond SLOW_SECONDS.

    ``is_alive``: our own volume took a transaction and a flushed file since the last time this was asked, and
    no thread has died. ``down`` and ``paused`` are links by name, of ``links`` altogether; ``waiting`` counts
    up to ``exchanged.pulse.COUNTED``. ``doubts_clock``: it goes by no clock that it trusts (C18).
    """

    is_alive: bool
    links: int
    down: tuple[str, ...]
    waiting: int
    slow: Mapping[str, float]
    paused: tuple[str, ...] = ()
    doubts_clock: bool = False


class Node:
    """One node at work. ``wake`` must be the function that was given to ``open_parts``.

    ``desk`` does what operators ask for at the control socket. Raises ConfigurationError when that cannot
    be had.
    """

    def __init__(
        self,
        parts: Parts,
        stations: tuple[Station, ...],
        watched: dict[Path, str],
        desk: Desk | None = None,
    ) -> None:
        self._parts = parts
        self._alarm = AlarmClock(parts.machine_clock, parts.ports.randomness)
        self._fatal: ExchangeError | None = None
        # A signal handler may put into it wherever it interrupts the main thread; an event has a lock.
        self._roused: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._links = [
            LinkStation(parts.link_context(link), rings=link.side is LinkSide.SERVE)
            for link in parts.config.links
        ]
        self._runner = Runner(
            parts.ports.clock, parts.ports.randomness, self._call_later, self._on_fatal, threads=THREADS
        )
        for station in (*stations, *self._links, sweep_of(parts), PublishingDesk(parts)):
            self._runner.add(station, parts.backoff)
        by_hand = dict.fromkeys((parts.trust.incoming, parts.packs.incoming), PublishingDesk.name)
        logs = {parts.config.node.data_dir / LOG_FOLDER / "incoming": LogStation.name}
        mailboxes = self._mailboxes()
        self._watched = {**watched, **mailboxes, **by_hand, **logs}
        self._watch = FolderWatch(self._on_change, news_of(mailboxes), self._runner.wake_all)
        self._runner.add(WatchAgain(self._watch, _roots(self._watched)), parts.backoff)
        self._bells = [self._bell(name) for name in parts.connections]
        self._pulse = Pulse(parts.ledger, parts.files, self._on_fatal)
        self._told_slow: set[str] = set()
        control = parts.config.control
        self._control = (
            None
            if desk is None
            else ControlServer(control.socket, control.group, desk, parts.ports.clock, self._on_fatal)
        )

    def wake(self, names: frozenset[str]) -> None:
        """Committed work for these stations."""
        for name in names:
            self._runner.wake(name)

    def start(self) -> None:
        """Start working; returns when every station is being looked at."""
        self._alarm.start()
        for folder in _roots(self._watched):
            with suppress(TransportError, OSError):
                self._watch.add_tree(folder)
        self._watch.start()
        self._runner.start()
        scan = min(self._parts.config.limits.link_scan_seconds, 30.0)
        self._alarm.every(scan, "slow-scan", self._runner.wake_all)
        for bell in self._bells:
            bell.start()
        self._pulse.start()
        if self._control is not None:
            self._control.start()

    def stop(self) -> bool:
        """Stop in reverse. Work in hand is finished or left to the next start; nothing is lost.

        False: a thread hangs in a system call and may come back; only the end of the process ends it.
        """
        acted = self._control is None or self._control.stop()
        for bell in self._bells:
            bell.stop()
        self._watch.stop()
        self._alarm.stop()
        ended = clean = self._runner.stop(STOP_SECONDS)
        if not (clean and acted):
            self._parts.interrupt()
            ended = self._runner.stop(LAST_SECONDS)
            # An act goes on in parts that are being closed, and after a reload beside the next node's.
            acted = acted or self._control is None or self._control.stop(LAST_SECONDS)
            ended = ended and acted
        ended = self._pulse.stop(LAST_SECONDS) and ended
        for link in self._links:
            link.close()
        self._parts.close(clean=clean and self._fatal is None)
        event_line("stopped", clean=clean)
        return ended

    def health(self) -> Health:
        """How the node does; asks our own volume anew if it answered. Called every few seconds.

        A slow station is logged, and its thread replaced, so that one dead share does not stop the others.
        """
        slow = self._runner.slow(SLOW_SECONDS)
        self._runner.relieve(slow)
        self._tell_slow(slow)
        answered = self._pulse.has_answered()
        if answered:
            self._pulse.ask()
        return Health(
            is_alive=answered and self._runner.is_whole(),
            links=len(self._links),
            down=tuple(link.name.removeprefix("link:") for link in self._links if link.is_down),
            waiting=self._pulse.waiting,
            slow=slow,
            paused=tuple(link.name.removeprefix("link:") for link in self._links if link.is_paused),
            doubts_clock=bool(self._parts.clock_guard.doubt()),
        )

    def hanging(self) -> Mapping[str, float]:
        """The slow stations that ``stop`` could not end: all but those that wait for a server only.

        An operator's act that takes long (a large discard) is among them.
        """
        dialled = {f"link:{name}" for name in self._parts.connections}
        slow = dict(self._runner.slow(SLOW_SECONDS))
        if self._control is not None and (acting := self._control.acting_seconds()) > CONTROL_SECONDS:
            slow["control"] = acting
        return {name: seconds for name, seconds in slow.items() if name not in dialled}

    def wait(self, timeout_seconds: float | None = None) -> ExchangeError | None:
        """Wait for a fatal error, ``rouse`` or the end of the time; the fatal error, if there was one."""
        with suppress(queue.Empty):
            self._roused.get(timeout=timeout_seconds)
        return self._fatal

    def rouse(self) -> None:
        """End the present or the next ``wait``. May be called in a signal handler."""
        self._roused.put(None)

    def _on_fatal(self, error: ExchangeError) -> None:
        event_line("volume-damaged", level=logging.ERROR, error=error.reference, what=str(error))
        leave_mark(self._parts.config.node.data_dir)
        self._fatal = error
        self.rouse()

    def _tell_slow(self, slow: Mapping[str, float]) -> None:
        for name in slow.keys() - self._told_slow:
            event_line("station-slow", level=logging.WARNING, station=name, seconds=round(slow[name], 1))
        for name in self._told_slow - slow.keys():
            event_line("station-answers", station=name)
        self._told_slow = set(slow)

    def _call_later(self, seconds: float, name: str, callback: Callable[[], None]) -> None:
        self._alarm.at(self._parts.machine_clock.now() + timedelta(seconds=seconds), name, callback)

    def _mailboxes(self) -> dict[Path, str]:
        """Local incoming directions, watched as hints."""
        found: dict[Path, str] = {}
        for link in self._parts.config.links:
            if link.transport is LinkTransport.FOLDER:
                incoming = "up" if link.side is LinkSide.SERVE else "down"
                found[Path(link.mailbox) / incoming] = f"link:{link.name}"
        return found

    def _on_change(self, path: Path) -> None:
        """A file-system event: wake the station whose folder it is in."""
        for parent in (path, *path.parents):
            station = self._watched.get(parent)
            if station is not None:
                self._runner.wake(station)
                return

    def _bell(self, link: str) -> BellListener:
        def ring() -> None:
            self._runner.wake(f"link:{link}")

        def state(armed: bool) -> None:
            if armed:
                self._runner.wake(f"link:{link}")

        def delay(attempt: int) -> float:
            return self._parts.backoff.delay(attempt + 1, self._parts.ports.randomness.fraction())

        return BellListener(self._parts.connections[link], ring, state, delay)
