"""One lab whose agencies send while its nodes are killed at random; afterwards the checker judges.

Guarantees: which node is killed, when, for how long it stays away, and what is dropped, follow from the seed;
what a packet is at when a kill meets it is the machine's business. A node that ends by itself is a violation,
and no kill. After the last kill all nodes run, and everything must come to its end, with one help, which is
counted: what was met three times while it was worked on alone is held as if it had ended the node itself
(F52), and an operator lets it go on, once.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from certainty.books import Driver, Reader, World, await_quiet, check, unsettled
from certainty.books.evidence import run_exchangectl
from certainty.kills.nodes import Nodes, NotReadyError
from certainty.shard import Violation
from cli.exit_codes import ExitCode
from cli.lab.lab import Lab, create_lab
from cli.lab.plan import parse_plan
from cli.lab.starting import last_word

# A kill comes 0.2 to 3 s after the one before (F02), drawn evenly on a logarithmic scale: 1 s on average.
_LEAST_SECONDS: Final = 0.2
_MOST_SECONDS: Final = 3.0
_AWAY_SECONDS: Final = 0.4
_PAUSE_SECONDS: Final = (0.05, 0.6)
_DRAIN_SECONDS: Final = 180.0
# What stands still for so long waits for a person.
_STILL_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.02
# So often a node may end by itself before the rest is not played any more.
_MOST_FALLEN: Final = 5
_PLAN: Final = {
    "agency": [
        {"code": "620199-01-00", "via": "bridge-x"},
        {"code": "620199-03-00"},
        {"code": "620199-04-00"},
    ],
    "bridge": [{"name": "bridge-x", "between": ["province"]}],
}


@dataclass
class Played:
    """What came of it. ``recoveries``: seconds from the restart to READY, one per kill that had the time;
    ``unready``: of the others, seconds from the restart to the next kill.
    """

    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    dropped: int = 0
    delivered: int = 0
    drained_seconds: float = 0.0
    let_go: int = 0
    recoveries: list[float] = field(default_factory=list)
    unready: list[float] = field(default_factory=list)
    violations: tuple[Violation, ...] = ()
    problems: list[Violation] = field(default_factory=list)


class Play:
    """One lab in ``folder``; ``run`` may be called in a thread. Then ``played`` tells what came of it."""

    def __init__(self, folder: Path, seed: int, kills: int) -> None:
        self.played = Played(seed)
        self.done = 0
        self._kills = kills
        self._random = random.Random(seed)
        self.lab: Lab = create_lab(folder / "lab", parse_plan(_PLAN), "sftp")
        self.world = World.of_lab(self.lab, folder / "books")

    @property
    def _case(self) -> str:
        return f"seed {self.played.seed}, {self._kills} kills"

    def run(self, is_over: Callable[[], bool] = lambda: False) -> None:
        """Send and kill until the kills are done or ``is_over``; then let all end, and ask the checker."""
        temporary = self.world.temporary
        with (
            Nodes(self.lab, temporary=temporary) as nodes,
            Reader(self.world, seed=self.played.seed) as reader,
        ):
            try:
                nodes.start_all()
                for code in self._send_and_kill(nodes, is_over):
                    self.played.recoveries.append(nodes.await_ready(code))
            except NotReadyError as error:
                self.played.problems.append(Violation("I12", self._case, str(error)))
            began = time.monotonic()
            if not await_quiet(self.world, seconds=_STILL_SECONDS):
                self.played.let_go = sum(map(self._let_go, self.lab.nodes))
            if not await_quiet(self.world, seconds=_DRAIN_SECONDS):
                waiting = unsettled(self.world)
                what = f"{len(waiting)} have not ended after {_DRAIN_SECONDS:.0f} s: {waiting[0]}"
                self.played.problems.append(Violation("I1", self._case, what))
            self.played.drained_seconds = time.monotonic() - began
            for code, word in nodes.fallen().items():
                self._tell_fallen(code, word)
            # It reads all that still lies in the inboxes; what came later than that would be no proof.
            reader.stop()
            self.played.violations = (*self.played.problems, *check(self.world, case=self._case))
        self.played.dropped = len(Driver(self.world, 0).dropped)

    def _send_and_kill(self, nodes: Nodes, is_over: Callable[[], bool]) -> set[str]:
        """Until the kills are done; then all nodes run, but for those told: they are about to be ready."""
        driver = Driver(self.world, self.played.seed)
        next_kill = time.monotonic() + self._interval()
        next_drop = time.monotonic()
        away: dict[str, float] = {}
        starting: set[str] = set()
        while self.done < self._kills and not is_over():
            now = time.monotonic()
            starting |= self._restart_fallen(nodes, starting)
            for code in [code for code, until in away.items() if until <= now]:
                del away[code]
                nodes.start(code)
                starting.add(code)
            for code in tuple(starting):
                if nodes.is_ready(code):
                    starting.discard(code)
                    self.played.recoveries.append(nodes.await_ready(code))
            if next_drop <= now:
                driver.drop_any()
                next_drop = now + self._random.uniform(*_PAUSE_SECONDS)
            if next_kill <= now:
                next_kill = now + self._interval()
                self._kill(nodes, [code for code in self.lab.nodes if code not in away], away, starting)
            time.sleep(_LOOK_SECONDS)
        for code in away:
            nodes.start(code)
        return starting | away.keys()

    def _restart_fallen(self, nodes: Nodes, starting: set[str]) -> set[str]:
        """The nodes that ended though nobody killed them: each is a violation, and is started again.

        Raises NotReadyError when one did not even become ready, or when it happens again and again.
        """
        fallen = nodes.fallen()
        for code, word in fallen.items():
            if code in starting or len(self.played.problems) >= _MOST_FALLEN:
                raise NotReadyError(f"{code} ended by itself: {word}")
            self._tell_fallen(code, word)
            nodes.start(code)
        return set(fallen)

    def _tell_fallen(self, code: str, word: str) -> None:
        what = f"{code} ended by itself: {word}"
        self.played.problems.append(Violation("I12", self._case, what))

    def _kill(self, nodes: Nodes, there: list[str], away: dict[str, float], starting: set[str]) -> None:
        """One node, now and then two at once."""
        for code in self._random.sample(there, min(len(there), 1 + (self._random.random() < 0.1))):
            age = nodes.age(code) if code in starting else None
            starting.discard(code)
            if nodes.kill(code):
                self.played.unready += [] if age is None else [age]
                self.played.kills[code] += 1
                self.done += 1
            else:
                self._tell_fallen(code, last_word(self.lab.log(code)))
            away[code] = time.monotonic() + self._random.uniform(0, _AWAY_SECONDS)

    def _let_go(self, node: str) -> int:
        """What an operator types for what three deaths of a node made suspicious. How many that were."""
        why = ("--reason", "the machine was killed at random", "--yes", "--json")
        gone = 0
        for act, reason in (("release", "poison"), ("requeue", "crashed-three-times")):
            code, said = run_exchangectl(self.world, node, "queue", act, "--reason-is", reason, *why)
            if code == ExitCode.DONE:
                gone += len(json.loads(said)["answer"]["done"])
        return gone

    def _interval(self) -> float:
        spread = math.log(_MOST_SECONDS / _LEAST_SECONDS)
        return _LEAST_SECONDS * math.exp(self._random.random() * spread)
