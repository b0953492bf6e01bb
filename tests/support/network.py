"""A whole province in one thread: real folders, real ledgers, real signatures, no sshd, no sleeping.

Nodes are built as the lab builds them, over folder links, and opened with an inline pool and a clock
that the test moves. ``run`` steps the nodes until nothing changes any more and everything was looked at. A
node may be crashed at a crash point and opened again from its folder, as after a power cut.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from cli.lab.build import build_lab
from cli.lab.layout import Layout
from cli.lab.plan import LabPlan, default_plan
from exchanged.config import Config, LinkTransport, load_config
from exchanged.durable import NO_CRASH, CrashPoints
from exchanged.link import LinkStation
from exchanged.parts import Parts, Ports, open_parts
from exchanged.pool import InlinePool, WorkPool
from exchanged.station import Station
from packet_spec.errors import ExchangeError
from tests.support.clock import FakeClock, FakeRandomness
from tests.support.crash import SimulatedCrash
from tests.support.due import Due, stations_by_hand

POLICE, PROCURATORATE, COURT = "620199-01-00", "620199-03-00", "620199-04-00"
PROVINCE = "620000-00-00"


def small_plan(*codes: str) -> LabPlan:
    """The default plan with these agencies only, directly below the province."""
    plan = default_plan()
    chosen = (agency for agency in plan.agencies if agency.code in codes)
    return LabPlan(plan.province, tuple(replace(agency, parent=PROVINCE) for agency in chosen))


@dataclass
class SimulatedNode:
    """One node and its stations, stepped by hand. ``errors`` are what stations reported."""

    code: str
    config: Config
    clock: FakeClock
    randomness: FakeRandomness
    pool: WorkPool = field(default_factory=InlinePool)
    crash: CrashPoints = NO_CRASH
    errors: list[ExchangeError] = field(default_factory=list)
    parts: Parts | None = None
    stations: list[Station] = field(default_factory=list)
    due: Due | None = None

    def open(self) -> None:
        """Start: the same code after a crash and after a clean stop."""
        ports = Ports(self.clock, self.randomness, self.pool, self.crash, threaded=False)
        hints: dict[Path, str] = {}
        self.due = Due(self.clock, hints)
        parts = open_parts(self.config, ports, self.due.wake)
        self.parts = parts
        stations, watched = stations_by_hand(parts)
        hints.update(watched)
        self.stations = [*stations]

    def step(self, *, only_due: bool = False) -> None:
        """One step of every station; errors of ours are collected as the runner would log them.

        ``only_due``: of those that the runner would look at now.
        """
        assert self.due is not None
        if not only_due:
            self.due.wake(station.name for station in self.stations)
        self.due.step(tuple(self.stations), self._attempt)

    def _attempt(self, step: Callable[[], float | None]) -> float | None:
        try:
            return step()
        except ExchangeError as error:
            self.errors.append(error)
            return 0.0

    def acknowledge(self) -> None:
        """What has landed is told, and nothing of it judged: steps of its links, a moment after it landed."""
        for station in self.stations:
            if isinstance(station, LinkStation):
                station.step()

    def die(self) -> None:
        """The process is gone: what it held open is let go, nothing is written."""
        if self.parts is not None:
            for let_go in self.parts.on_close:
                let_go()
            self.parts.ledger.close()
            self.parts.lock.release()
        self.parts, self.stations = None, []

    def close(self) -> None:
        """A clean stop."""
        if self.parts is not None:
            self.parts.close(clean=True)
        self.parts, self.stations = None, []

    @property
    def opened(self) -> Parts:
        """The opened parts."""
        assert self.parts is not None
        return self.parts

    def head(self) -> int:
        """The number of the last event in this node's ledger."""
        row = self.opened.ledger.read().execute("SELECT max(id) FROM event").fetchone()
        return int(row[0] or 0)


class Network:
    """The nodes of one plan. Use as a context manager."""

    def __init__(self, root: Path, plan: LabPlan | None = None) -> None:
        self.layout = Layout(root)
        self.clock = FakeClock()
        self.plan = plan or default_plan()
        build_lab(self.layout, self.plan, LinkTransport.FOLDER, self.clock, FakeRandomness("build"))
        self.nodes = {
            code: SimulatedNode(code, load_config(self.layout.config(code)), self.clock, FakeRandomness(code))
            for code in self.plan.nodes
        }
        self.before_round: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        for node in self.nodes.values():
            node.open()
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes.values():
            node.die()

    def agency(self, code: str) -> Path:
        """What the case software of an agency sees."""
        return self.layout.agency(code)

    def mailbox(self, code: str) -> Path:
        """The mailbox between an agency and the province."""
        return self.layout.mailbox(code)

    def only(self, *codes: str) -> None:
        """Leave out all other nodes: they never start."""
        for code in [code for code in self.nodes if code not in codes]:
            self.nodes.pop(code).die()

    def round(self, *, only_due: bool = False) -> None:
        """One step of every running node, in the order of their codes; then a second passes."""
        self.before_round()
        for code in sorted(self.nodes):
            node = self.nodes[code]
            if node.parts is None:
                continue
            try:
                node.step(only_due=only_due)
            except SimulatedCrash:
                node.die()
        self.clock.advance(1.0)

    def run(self, rounds: int = 60, quiet: int = 4) -> None:
        """Rounds until nothing was written anywhere for ``quiet`` of them. Fails after ``rounds``.

        The first looks at everything, and so does one when nothing seems to be left.
        """
        still = 0
        for number in range(rounds):
            before = self._heads()
            self.round(only_due=number > 0 and still != 1)
            still = still + 1 if self._heads() == before else 0
            if still >= quiet:
                return
        raise AssertionError(f"the network did not come to rest within {rounds} rounds")

    def _heads(self) -> tuple[tuple[str, int], ...]:
        return tuple(
            (code, node.head()) for code, node in sorted(self.nodes.items()) if node.parts is not None
        )
