"""One node stepped by hand as the runner would: a station is looked at when it is due, woken, or hinted at.

A full look at everything, which the slow alarm gives in production, is asked for by whoever steps the nodes
before it believes that all is at rest.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path

from cli.wiring import stations_of
from exchanged.config import Config, LinkSide, LinkTransport
from exchanged.link import LinkStation
from exchanged.node import sweep_of
from exchanged.parts import Parts, Ports, open_parts
from exchanged.pool import InlinePool
from exchanged.publishing_desk import PublishingDesk
from exchanged.station import Station, step_of
from tests.support.clock import FakeClock, FakeRandomness

# What a station did, or how it failed, is told here.
Try = Callable[[Callable[[], float | None]], float | None]


def _plainly(step: Callable[[], float | None]) -> float | None:
    return step()


class Driven:
    """One node of ``config``, single-threaded."""

    def __init__(self, config: Config, clock: FakeClock, seed: str) -> None:
        self.config = config
        self._clock = clock
        self._randomness = FakeRandomness(seed)
        self._parts: Parts | None = None
        self._stations: dict[str, Station] = {}
        self._due: dict[str, float] = {}
        self._hints: dict[Path, str] = {}
        self._listed: dict[Path, tuple[str, ...]] = {}

    @property
    def is_open(self) -> bool:
        """It was opened and not closed since."""
        return self._parts is not None

    def open(self) -> None:
        """Start: the same code after a crash and after a clean stop. Raises ExchangeError."""
        ports = Ports(self._clock, self._randomness, InlinePool(), threaded=False)
        self._parts = parts = open_parts(self.config, ports, self._wake)
        try:
            self._set_up(parts)
        except BaseException:
            # As ``cli.wiring.open_node``: who has no stations is not open.
            self.die()
            raise

    def _set_up(self, parts: Parts) -> None:
        own, watched = stations_of(parts)
        links = [
            LinkStation(parts.link_context(link), rings=link.side is LinkSide.SERVE)
            for link in self.config.links
        ]
        stations = (PublishingDesk(parts), *own, *links, sweep_of(parts))
        self._stations = {station.name: station for station in stations}
        self._hints = dict(watched)
        for link in self.config.links:
            if link.transport is LinkTransport.FOLDER:
                incoming = "up" if link.side is LinkSide.SERVE else "down"
                self._hints[Path(link.mailbox) / incoming] = f"link:{link.name}"
        self.wake_all()

    def step(self, attempt: Try = _plainly) -> None:
        """One look at every station that is due; ``attempt`` runs each and may swallow what it raises."""
        self._take_hints()
        now = self._clock.monotonic()
        for name, station in self._stations.items():
            if self._due[name] > now:
                continue
            self._due[name] = math.inf
            # A failed station is tried again at the next round.
            delay = attempt(partial(step_of, station))
            if delay is not None:
                self._due[name] = min(self._due[name], now + delay)

    def wake_all(self) -> None:
        """Everything is looked at in the next step."""
        self._wake(self._stations)

    def head(self) -> int:
        """The number of the last event in this node's ledger."""
        assert self._parts is not None
        row = self._parts.ledger.read().execute("SELECT max(id) FROM event").fetchone()
        return int(row[0] or 0)

    def die(self) -> None:
        """Let go of what is open, as the end of a process would."""
        if self._parts is not None:
            self._parts.ledger.close()
            self._parts.lock.release()
        self._parts, self._stations = None, {}

    def close(self) -> None:
        """A clean stop."""
        if self._parts is not None:
            self._parts.close(clean=True)
        self._parts, self._stations = None, {}

    def _wake(self, names: Iterable[str]) -> None:
        self._due.update(dict.fromkeys(names, 0.0))

    def _take_hints(self) -> None:
        for folder, name in self._hints.items():
            listed: tuple[str, ...] = ()
            with suppress(OSError):
                listed = tuple(
                    sorted(f"{entry.name} {entry.stat().st_mtime_ns}" for entry in os.scandir(folder))
                )
            if self._listed.get(folder) != listed:
                self._listed[folder] = listed
                self._wake((name,))
