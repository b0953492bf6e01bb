"""What goes wrong in one world: which kinds of faults there are, how often, and when, all from its seed.

Each seed draws its own few kinds of faults: where everything fails at once, nothing gets far.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Final

from certainty.simulation.people import People
from certainty.simulation.relay import Relay
from certainty.simulation.world import World

KINDS: Final = (
    "deaths", "disk errors", "full disks", "short writes", "share errors", "no renameat2",
    "line", "cuts", "turns", "partitions", "wrong bytes", "late files", "lost files", "lost hints",
    "relay", "clocks", "coarse stamps", "operators",
)  # fmt: skip


@dataclass
class Nemesis:
    """The faults of one world, until ``heal``."""

    world: World
    people: People
    until: float
    kinds: frozenset[str] = frozenset()
    is_over: bool = False
    _relay: Relay | None = field(default=None)

    def begin(self) -> None:
        """Draw what goes wrong here, and let it begin."""
        dice, world = self.world.dice, self.world
        share = dice.choice((0.15, 0.3, 0.5))
        self.kinds = frozenset(kind for kind in KINDS if dice.random() < share)
        self.kinds |= {"deaths"} if dice.random() < 0.5 else set()
        world.tell("world", f"plan {world.plan}; faults: {', '.join(sorted(self.kinds)) or 'none'}")
        line = world.line
        line.refused = self._rate("line", 0.005, 0.1)
        line.lost_answer = self._rate("line", 0.005, 0.1)
        line.cut = self._rate("cuts", 0.02, 0.2)
        line.wrong_bytes = self._rate("wrong bytes", 0.005, 0.08)
        line.turn = self._rate("turns", 0.1, 0.8)
        line.late = self._rate("late files", 0.05, 0.3)
        line.lost_file = self._rate("lost files", 0.02, 0.15)
        line.lost_ring = self._rate("lost hints", 0.2, 1.0)
        line.stamp_seconds = dice.choice((1.0, 2.0, -1.0)) if "coarse stamps" in self.kinds else 0.0
        world.lost_wakes = self._rate("lost hints", 0.05, 0.5)
        world.keeps = dice.choice((0.0, 0.3, 0.5, 0.9))
        for node in world.nodes.values():
            node.faults.own_eio = self._rate("disk errors", 0.0003, 0.002)
            node.faults.foreign_eio = self._rate("share errors", 0.002, 0.03)
            node.faults.full = self._rate("full disks", 0.002, 0.02)
            node.faults.short = self._rate("short writes", 0.1, 0.9)
            node.faults.unlinkable = "no renameat2" in self.kinds and dice.random() < 0.5
        if "relay" in self.kinds:
            self._later(0.5, 10.0, self._harm)
        if "deaths" in self.kinds:
            self._later(0.0, 8.0, self._kill)
        if "partitions" in self.kinds:
            self._later(0.0, 20.0, self._part)
        if "clocks" in self.kinds:
            self._later(0.0, 30.0, self._jump)
        if "operators" in self.kinds:
            self._later(1.0, 20.0, self._operate)

    def _rate(self, kind: str, least: float, most: float) -> float:
        return self.world.dice.uniform(least, most) if kind in self.kinds else 0.0

    def _later(self, least: float, most: float, act: object) -> None:
        assert callable(act)
        when = self.world.now + self.world.dice.uniform(least, most)
        if when < self.until:
            self.world.at(when, "", partial(self._unless_over, act))

    def _unless_over(self, act: object) -> None:
        if not self.is_over:
            assert callable(act)
            act()

    def _kill(self) -> None:
        """A node dies: at once, or at some durable step soon."""
        world, dice = self.world, self.world.dice
        node = world.nodes[dice.choice(sorted(world.nodes))]
        if node.is_up and dice.random() < 0.15:
            world.power(node)
        else:
            node.crash.arm(dice.choice((1, 3, 10, 40, 120)) + dice.randrange(20))
        self._later(1.0, 25.0, self._kill)

    def _part(self) -> None:
        world, dice = self.world, self.world.dice
        if world.mailboxes:
            mailbox = world.mailboxes[dice.choice(sorted(world.mailboxes))]
            seconds = dice.choice((1.0, 10.0, 60.0, 300.0)) * dice.random()
            mailbox.cut_until = world.now + seconds
            world.tell("world", f"the way to {mailbox.name} is cut for {seconds:.0f} s")
        self._later(5.0, 60.0, self._part)

    def _harm(self) -> None:
        world = self.world
        if world.mailboxes:
            boxes = [world.mailboxes[name] for name in sorted(world.mailboxes)]
            relay = self._relay = self._relay or Relay(boxes, world.dice, partial(world.tell, "relay"))
            world.happened["relay"] += bool(relay.act(world.now))
            if world.dice.random() < 0.5:
                for node in world.nodes.values():
                    node.wake([name for name in node.stations if name.startswith("link:")])
        self._later(0.5, 10.0, self._harm)

    def _jump(self) -> None:
        """A wall clock is set, by seconds or by years, or is set right again."""
        world, dice = self.world, self.world.dice
        node = world.nodes[dice.choice(sorted(world.nodes))]
        large = dice.choice((-3600.0, 86400.0, -315_000_000.0, 63_000_000.0))
        node.clock.skew = large if dice.random() < 0.2 else dice.uniform(-60.0, 60.0)
        world.happened["clocks"] += 1
        if node.code in world.inboxes:
            world.inboxes[node.code].clock_was_wrong = True
        world.tell(node.code, f"the clock is wrong by {node.clock.skew:.0f} s now")
        self._later(5.0, 60.0, self._jump)

    def _operate(self) -> None:
        agencies = sorted(self.world.inboxes)
        self.people.operate(self.world.dice.choice(agencies))
        self._later(1.0, 30.0, self._operate)

    def heal(self) -> None:
        """Everything works from now on: lines, disks, clocks, and who was down comes up."""
        world = self.world
        world.tell("world", "everything heals")
        self.is_over = True
        world.line.heal()
        world.lost_wakes = 0.0
        for mailbox in world.mailboxes.values():
            mailbox.cut_until = 0.0
        for node in world.nodes.values():
            node.faults.heal()
            node.crash.arm(0)
            node.clock.skew = 0.0
            node.up_at = min(node.up_at, world.now + 1.0)
