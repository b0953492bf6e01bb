"""One world: nodes, lines, disks, people, and the order in which everything happens, all from one seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from pathlib import Path
from random import Random
from typing import Final

from certainty.shard import Violation
from certainty.simulation.disk import VirtualDisk
from certainty.simulation.drops import EPOCH, Sample
from certainty.simulation.kernel import CountdownCrash, DiskFaults, PowerGone, SimulatedKernel
from certainty.simulation.mailboxes import LineFaults, Mailbox, SimulatedTransport
from certainty.simulation.node import NodeClock, SimNode, Surroundings
from certainty.simulation.template import Templates
from certainty.simulation.trail import Trail
from certainty.simulation.watch import InboxWatch
from cli.lab.layout import Layout
from exchanged.config import Config, LinkConfig, LinkSide
from exchanged.errors import VolumeDamagedError
from exchanged.mailbox import Direction
from exchanged.parts import Parts
from packet_spec.errors import ExchangeError
from tests.support.clock import FakeRandomness

# One step of a station takes at most so long.
_STEP_SECONDS: Final = 0.02


@dataclass
class World:
    """A world of one seed. ``samples`` are what may be dropped in it, by the SHA-256 of packet.xml."""

    seed: int
    plan: str
    templates: Templates
    samples: dict[str, Sample]
    trail: Trail
    configure: Callable[[Config, Random], Config]
    dice: Random = field(init=False)
    now: float = 0.0
    # How often each kind of fault really took place.
    happened: Counter[str] = field(default_factory=Counter)
    line: LineFaults = field(init=False)
    lost_wakes: float = 0.0
    # What survives of what was not flushed, at a power cut.
    keeps: float = 0.5
    nodes: dict[str, SimNode] = field(default_factory=dict)
    mailboxes: dict[str, Mailbox] = field(default_factory=dict)
    inboxes: dict[str, InboxWatch] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)
    layout: Layout = field(init=False)
    # Hear of every step: the books look at what it changed.
    after_step: Callable[[SimNode, str], None] = lambda _node, _station: None
    after_cut: Callable[[SimNode], None] = lambda _node: None
    _events: list[tuple[float, int, str, Callable[[], None]]] = field(default_factory=list)
    _ordered: int = 0

    def __post_init__(self) -> None:
        self.dice = Random(f"exchanged/{self.seed}")
        self.line = LineFaults(happened=self.happened)
        self.layout = Layout(self.templates.world)
        configs = self.templates.copy(self.plan)
        for code, config in configs.items():
            self._make(code, self.configure(config, self.dice))

    # --- making ----------------------------------------------------------------------------------

    def _make(self, code: str, config: Config) -> None:
        agency = config.folders.root if config.folders else None
        roots = (config.node.data_dir, *((agency,) if agency else ()))
        disk = VirtualDisk(roots, self.templates.world / f"limbo-{code}")
        faults, tell = DiskFaults(happened=self.happened), partial(self.tell, code)
        dice = Random(f"disk/{self.seed}/{code}")
        if agency is not None:
            hours = config.folders.collected_hours if config.folders else 0.0
            self.inboxes[code] = InboxWatch(
                code, agency, disk, self.samples, self.broken, lambda: self.now, hours * 3600
            )
        kernel = SimulatedKernel(
            disk, config.node.data_dir, dice, faults, tell, partial(self._renamed, code)
        )
        around = Surroundings(
            time=lambda: self.now,
            dice=self.dice,
            transport=partial(self._transport, code),
            tell=tell,
            bug=partial(self._bug, code),
            lost_wake=self._lost_wake,
        )
        clock = NodeClock(EPOCH, lambda: self.now, 0.0, self.dice.uniform(100.0, 1e6))
        self.nodes[code] = SimNode(
            code, config, around, clock, FakeRandomness(f"{self.seed}/{code}"), disk, kernel,
            CountdownCrash(tell), faults,
        )  # fmt: skip

    def _lost_wake(self) -> bool:
        lost = self.dice.random() < self.lost_wakes
        self.happened["lost hints"] += lost
        return lost

    def _transport(self, code: str, link: LinkConfig, parts: Parts) -> SimulatedTransport:
        mailbox = self.mailboxes.setdefault(link.mailbox, Mailbox(Path(link.mailbox).name))
        outgoing = Direction.DOWN if link.side is LinkSide.SERVE else Direction.UP
        return SimulatedTransport(
            mailbox, outgoing, parts.files, self.line, self.dice, lambda: self.now,
            partial(self.tell, code), partial(self._ring, code, link.peer), EPOCH,
        )  # fmt: skip

    def _ring(self, code: str, peer: str) -> None:
        node = self.nodes[peer]
        node.wake(f"link:{link.name}" for link in node.config.links if link.peer == code)

    def _renamed(self, code: str, path: Path) -> None:
        watch = self.inboxes.get(code)
        if watch is not None and path.is_relative_to(watch.inbox) and path.is_dir():
            watch.appeared(str(path.relative_to(watch.inbox)))

    # --- telling ---------------------------------------------------------------------------------

    def tell(self, who: str, what: str) -> None:
        """A line of the trail."""
        self.trail.add(self.now, who, what)

    def broken(self, invariant: str, what: str) -> None:
        """An invariant does not hold."""
        self.tell("VIOLATION", f"{invariant} {what}")
        self.violations.append(Violation(invariant, f"seed {self.seed}", what))

    def _bug(self, code: str, what: str) -> None:
        self.broken("I12", f"{code}: a mistake in the program: {what}")

    # --- time ------------------------------------------------------------------------------------

    def at(self, when: float, what: str, act: Callable[[], None]) -> None:
        """Do ``act`` at that second; ``what`` is for the trail, empty for what speaks for itself."""
        self._ordered += 1
        heappush(self._events, (max(when, self.now), self._ordered, what, act))

    def advance(self, until: float) -> bool:
        """Do the next thing, whatever it is; False when nothing is due before ``until``."""
        ready: list[tuple[float, str, str]] = [
            (due, code, name)
            for code, node in self.nodes.items()
            if node.is_up
            for name, due in node.due.items()
        ]
        ready += [(node.up_at, code, "") for code, node in self.nodes.items() if not node.is_up]
        first = min(ready, default=(until, "", ""))[0]
        if self._events and self._events[0][0] <= max(first, self.now):
            when, _, what, act = self._events[0]
            if when > until:
                return False
            heappop(self._events)
            self.now = max(self.now, when)
            if what:
                self.tell("world", what)
            act()
            return True
        if first > until:
            return False
        self.now = max(self.now, first)
        _, code, name = self.dice.choice(sorted(each for each in ready if each[0] <= self.now))
        node = self.nodes[code]
        if name:
            self._step(node, name)
        else:
            self.start(node)
        self.now += self.dice.random() * _STEP_SECONDS
        return True

    def _step(self, node: SimNode, name: str) -> None:
        try:
            node.step(name)
        except PowerGone:
            self.power(node)
        except VolumeDamagedError as error:
            self.damaged(node, error)
        else:
            self._told(node)
        self.after_step(node, name)

    def _told(self, node: SimNode) -> None:
        for line in node.news():
            self.tell(node.code, line)
        if node.code in self.inboxes:
            self.inboxes[node.code].look()

    def start(self, node: SimNode) -> None:
        """Start a node that is down."""
        self.tell(node.code, "starts")
        try:
            node.open()
        except PowerGone:
            self.power(node)
        except VolumeDamagedError as error:
            self.damaged(node, error)
        except ExchangeError as error:
            self.tell(node.code, f"does not start: {error.reference}: {error}")
            node.die()
            node.up_at = self.now + self.dice.uniform(5.0, 30.0)
            if not error.temporary and error.reference not in ("no-space", "folder-unusable"):
                self.broken("I12", f"{node.code} does not start: {error}")
        else:
            self._told(node)
        self.after_step(node, "start")

    # --- dying -----------------------------------------------------------------------------------

    def power(self, node: SimNode, *, only_kill: bool | None = None) -> None:
        """The node dies: killed, or without power; the dice say which unless told."""
        kill = self.dice.random() < 0.4 if only_kill is None else only_kill
        node.die()
        self.happened["deaths"] += 1
        if kill:
            self.tell(node.code, "is killed")
            if node.code in self.inboxes:
                self.inboxes[node.code].look()
        else:
            self._cut(node)
        node.up_at = self.now + self.dice.choice((0.0, 0.1, 2.0, 10.0, 60.0)) * self.dice.random()

    def _cut(self, node: SimNode) -> None:
        watch = self.inboxes.get(node.code)
        if watch is not None:
            watch.look()
            watch.before_cut()
        keeps = self.dice.choice((0.0, self.keeps, self.keeps, 1.0))
        told = node.disk.cut(self.dice, keeps)
        self.tell(node.code, f"loses power, keeping {keeps:.1f}: {'; '.join(told) or 'nothing was lost'}")
        if watch is not None:
            watch.after_cut()
        self.after_cut(node)

    def damaged(self, node: SimNode, error: VolumeDamagedError) -> None:
        """The volume failed: the pages are lost, the node stops, a person comes and looks."""
        self.tell(node.code, f"stops, its volume failed: {error.summary}")
        node.damage()
        self._cut(node)
        node.up_at = self.now + self.dice.uniform(5.0, 60.0)
