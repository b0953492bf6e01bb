"""One simulated node: the real stations of its role, stepped by hand, in the surroundings of its world."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final

from certainty.simulation.disk import VirtualDisk
from certainty.simulation.kernel import CountdownCrash, DiskFaults, SimulatedKernel
from certainty.simulation.mailboxes import SimulatedTransport
from cli.wiring import stations_of
from exchanged.config import Config, LinkConfig, LinkSide
from exchanged.errors import VolumeDamagedError
from exchanged.ledger import open_read_only
from exchanged.ledger.verify import verify_ledger
from exchanged.link import LinkStation
from exchanged.node import sweep_of
from exchanged.parts import Parts, Ports, open_parts
from exchanged.places import DAMAGE_FILE, LEDGER_FILE
from exchanged.pool import InlinePool
from exchanged.publishing_desk import PublishingDesk
from exchanged.station import Station
from packet_spec.errors import ExchangeError
from tests.support.clock import FakeRandomness

# Everybody looks again after so long, whether woken or not, as the slow alarm of a running node has it.
SLOW_ALARM_SECONDS: Final = 30.0


class NodeClock:
    """A node's own clock: the world's time, and how wrong it is."""

    def __init__(self, epoch: datetime, time: Callable[[], float], skew: float, origin: float) -> None:
        self._epoch = epoch
        self._time = time
        self._origin = origin
        self.skew = skew

    def now(self) -> datetime:
        """The wall clock, as far off as it is."""
        return self._epoch + timedelta(seconds=self._time() + self.skew)

    def monotonic(self) -> float:
        """Seconds that only rise."""
        return self._origin + self._time()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a node needs of its world. ``transport`` makes the way of one link; ``tell`` writes the trail."""

    time: Callable[[], float]
    dice: Random
    transport: Callable[[LinkConfig, Parts], SimulatedTransport]
    tell: Callable[[str], None]
    bug: Callable[[str], None]
    lost_wake: Callable[[], bool]


@dataclass
class SimNode:
    """A node of the world. Down while ``parts`` is None; then ``up_at`` says when it is started again."""

    code: str
    config: Config
    around: Surroundings
    clock: NodeClock
    randomness: FakeRandomness
    disk: VirtualDisk
    kernel: SimulatedKernel
    crash: CountdownCrash
    faults: DiskFaults
    parts: Parts | None = None
    stations: dict[str, Station] = field(default_factory=dict)
    due: dict[str, float] = field(default_factory=dict)
    up_at: float = 0.0
    starts: int = 0
    steps: int = 0
    heard: int = 0
    is_damaged: bool = False
    _failures: dict[str, int] = field(default_factory=dict)

    @property
    def is_up(self) -> bool:
        """The node runs."""
        return self.parts is not None

    @property
    def opened(self) -> Parts:
        """The parts of the running node."""
        assert self.parts is not None
        return self.parts

    @property
    def data_dir(self) -> Path:
        """Where ledger and spool lie."""
        return self.config.node.data_dir

    def open(self) -> None:
        """Start, or recover: the same. Raises ExchangeError when it refuses, PowerGone when it dies."""
        self.starts += 1
        if self.is_damaged:
            self._recover()
        ports = Ports(
            self.clock, self.randomness, InlinePool(), self.crash, threaded=False, kernel=self.kernel
        )
        parts = open_parts(self.config, ports, self.wake)
        try:
            own, _ = stations_of(parts)
            links = [self._link(link, parts) for link in self.config.links]
        except BaseException:
            _let_go(parts)
            raise
        self.parts = parts
        stations: list[Station] = [PublishingDesk(parts), *own, *links, sweep_of(parts)]
        self.stations = {station.name: station for station in stations}
        now = self.around.time()
        self.due = dict.fromkeys(self.stations, now)
        self._failures = {}

    def _link(self, link: LinkConfig, parts: Parts) -> LinkStation:
        context = replace(parts.link_context(link), transport=self.around.transport(link, parts))
        return LinkStation(context, rings=link.side is LinkSide.SERVE)

    def _recover(self) -> None:
        """What ``exchanged --recover`` does after a person looked at the volume."""
        verify_ledger(open_read_only(self.data_dir / LEDGER_FILE), self.data_dir)
        (self.data_dir / DAMAGE_FILE).unlink(missing_ok=True)
        self.is_damaged = False

    def wake(self, names: Iterable[str]) -> None:
        """These stations have work: a hint, which may be lost."""
        now = self.around.time()
        for name in sorted(names):
            if name in self.due and not self.around.lost_wake():
                self.due[name] = min(self.due[name], now)

    def step(self, name: str) -> None:
        """One step of one station. Raises PowerGone when the node dies in it, VolumeDamagedError likewise."""
        self.steps += 1
        now = self.around.time()
        # Woken while it works, it is run once more.
        self.due[name] = now + SLOW_ALARM_SECONDS
        try:
            delay = self.stations[name].step()
        except VolumeDamagedError:
            raise
        except ExchangeError as error:
            self.around.tell(f"{name} failed: {error.reference}")
            delay = self._failed(name)
        except Exception as error:
            self.around.bug(f"{name}: {type(error).__name__}: {error}")
            delay = self._failed(name)
        else:
            self._failures.pop(name, None)
        if delay is not None:
            self.due[name] = min(self.due[name], self.around.time() + delay)

    def _failed(self, name: str) -> float:
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        return self.opened.backoff.delay(failures, self.randomness.fraction())

    def news(self) -> list[str]:
        """What the ledger says happened since this was last asked, in words."""
        if self.parts is None:
            return []
        rows = self.parts.ledger.read().execute(
            "SELECT id, kind, sender, packet_id, recipient, detail FROM event WHERE id > ? ORDER BY id",
            (self.heard,),
        )
        told = []
        for row in rows:
            self.heard = row["id"]
            detail = json.loads(row["detail"])
            packet = f" {row['sender']}/{row['packet_id'][-6:]}" if row["packet_id"] else ""
            to = f" to {row['recipient']}" if row["recipient"] else ""
            told.append(f"{row['kind']}{packet}{to} {detail or ''}".rstrip())
        return told

    def die(self) -> None:
        """The process is gone: what it held open is let go, nothing more is written."""
        if self.parts is not None:
            _let_go(self.parts)
        self.parts, self.stations, self.due = None, {}, {}
        self.crash.revive()

    def damage(self) -> None:
        """Our own volume failed: the node leaves its mark and ends, as ``exchanged.node`` does."""
        (self.data_dir / DAMAGE_FILE).touch()
        self.is_damaged = True
        self.die()


def _let_go(parts: Parts) -> None:
    """What the kernel does for a process that is gone."""
    for let_go in parts.on_close:
        let_go()
    parts.ledger.close()
    parts.lock.release()
