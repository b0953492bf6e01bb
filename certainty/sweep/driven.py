"""One node stepped by hand as the runner would: a station is looked at when it is due, woken, or hinted at.

A full look at everything, which the slow alarm gives in production, is asked for by whoever steps the nodes
before it believes that all is at rest.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from exchanged.config import Config
from exchanged.damage_mark import marking
from exchanged.parts import Parts, Ports, open_parts
from exchanged.pool import InlinePool
from exchanged.station import Station
from tests.support.clock import FakeClock, FakeRandomness
from tests.support.due import Due, Try, stations_by_hand


def _plainly(step: Callable[[], float | None]) -> float | None:
    return step()


class Driven:
    """One node of ``config``, single-threaded."""

    def __init__(self, config: Config, clock: FakeClock, seed: str) -> None:
        self.config = config
        self._clock = clock
        self._randomness = FakeRandomness(seed)
        self._parts: Parts | None = None
        self._stations: tuple[Station, ...] = ()
        self._hints: dict[Path, str] = {}
        self._due = Due(clock, self._hints)

    @property
    def is_open(self) -> bool:
        """It was opened and not closed since."""
        return self._parts is not None

    def open(self) -> None:
        """Start: the same code after a crash and after a clean stop. Raises ExchangeError."""
        ports = Ports(self._clock, self._randomness, InlinePool(), threaded=False)
        self._parts = parts = open_parts(self.config, ports, self._due.wake)
        try:
            with marking(self.config.node.data_dir):
                self._set_up(parts)
        except BaseException:
            # As ``cli.wiring.open_node``: who has no stations is not open.
            self.die()
            raise

    def _set_up(self, parts: Parts) -> None:
        self._stations, watched = stations_by_hand(parts)
        self._hints.update(watched)
        self.wake_all()

    def step(self, attempt: Try = _plainly) -> None:
        """One look at every station that is due; ``attempt`` runs each and may swallow what it raises."""
        self._due.step(self._stations, attempt)

    def wake_all(self) -> None:
        """Everything is looked at in the next step."""
        self._due.wake(station.name for station in self._stations)

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
        self._parts, self._stations = None, ()

    def close(self) -> None:
        """A clean stop."""
        if self._parts is not None:
            self._parts.close(clean=True)
        self._parts, self._stations = None, ()
