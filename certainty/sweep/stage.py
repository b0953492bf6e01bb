"""One case: the world put back, three nodes stepped here and one that is the victim, to the end.

Everything is in one order and follows from the template, the clock and the seeds: the same point is the same
case in every run. What may happen to the victim is its ``decide``; when it dies, ``on_death`` does what the
case is about (nothing, or the power goes), and the same role starts again in a fresh process, at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from certainty.shard import Violation
from certainty.sweep.calls import CHANGES, Decide
from certainty.sweep.reader import Reader, View, differences, ledger_problems, temporaries, view
from certainty.sweep.victim import CLOSE, OPEN, STEP, Victim, VictimGoneError
from certainty.sweep.world import JOURNEY, LAST, LATE, RECEIVER, RETENTION, SENDER, Beginning, World
from exchanged.config import load_config
from tests.support.clock import FakeClock, FakeRandomness
from tests.support.network import SimulatedNode

QUIET: Final = 3
# As long as the agency's folders are looked at in between.
ROUND_SECONDS: Final = 2.0
MOST_ROUNDS: Final = 120
DAY: Final = 86_400.0
_KEPT_DAYS: Final = 92.0


@dataclass
class Ending:
    """How a case ended. ``recovery`` in seconds: from the new process's first line until its first look at everything."""

    view: View
    violations: list[Violation]
    recovery: float | None = None
    deaths: int = 0
    errors: list[str] = field(default_factory=list)
    bugs: list[str] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)


class Stage:
    """One case over ``world``. Use ``play`` once."""

    def __init__(
        self,
        world: World,
        beginning: Beginning,
        victim: str = "",
        *,
        decide: Decide | None = None,
        tables: tuple[dict[str, int], ...] = (CHANGES,),
        on_death: Callable[[int], None] = lambda code: None,
        on_round: Callable[[int], None] = lambda number: None,
        on_old: Callable[[], object] = lambda: None,
        on_rest: Callable[[], object] = lambda: None,
        case: str = "",
    ) -> None:
        self._world, self._beginning, self._case = world, beginning, case
        self._victim_code, self._decide, self._tables = victim, decide, tables
        self._on_death, self._on_round, self._on_old = on_death, on_round, on_old
        self._on_rest = on_rest
        self._head = 0
        self.clock = FakeClock()
        self.clock.advance(beginning.elapsed)
        self.elapsed = beginning.elapsed
        self.reader = Reader(world.layout.agency(RECEIVER))
        self._healthy: dict[str, SimulatedNode] = {}
        self._victim: Victim | None = None
        self._spare: Victim | None = None
        self.ending = Ending(View((), {}, {}, {}), [])

    def play(self) -> Ending:
        """From the first round to rest. Raises only what is wrong with the harness."""
        try:
            self._open()
            self._rest()
            if self._beginning.name == RETENTION:
                # The time that neighbours said a moment ago makes old what is old; that is looked for hourly.
                self._on_old()
                self._advance(0.1 * DAY)
                self._rest()
                self._on_rest()
                # Who was started again has heard nobody since, and takes nothing for old: so all speak once more.
                self._world.drop(LAST)
                self._rest()
                self._advance(0.1 * DAY)
                self._rest()
            self._close()
            self._judge()
        finally:
            for victim in (self._victim, self._spare):
                if victim is not None:
                    victim.kill()
            for node in self._healthy.values():
                node.die()
        return self.ending

    def _open(self) -> None:
        if self._victim_code:
            config = str(self._world.layout.config(self._victim_code))
            # Both are forked before anything is open here; the spare waits untrapped.
            self._spare = Victim(self._victim_code, config, "again", ())
            self._victim = Victim(self._victim_code, config, "first", self._tables)
            if self._decide is not None:
                self._victim.decide = self._decide
        for code in self._world.codes:
            if code == self._victim_code:
                self._ask(OPEN)
                continue
            config = load_config(self._world.layout.config(code))
            node = SimulatedNode(code, config, self.clock, FakeRandomness(f"{code} first"))
            node.open()
            self._healthy[code] = node

    def _ask(self, what: str) -> None:
        assert self._victim is not None
        try:
            told = self._victim.ask(what, self.elapsed)
            if told.head >= 0:
                self._note(told.errors, told.bugs)
                self._head = told.head
                return
            self._note(told.errors, told.bugs)
            code = self._victim.wait()
        except VictimGoneError as gone:
            code = gone.code
        self._died(code, what)

    def _note(self, errors: tuple[str, ...], bugs: tuple[str, ...]) -> None:
        self.ending.errors.extend(errors)
        self.ending.bugs.extend(bugs)

    def _died(self, code: int, what: str) -> None:
        assert self._victim is not None
        self.ending.deaths += 1
        self.ending.codes.append(code)
        self._victim.kill()
        if self._spare is None:
            self._say(
                "I12", f"the node that was started again ended with code {code}: {self.ending.errors[-1:]}"
            )
            raise CaseOverError
        self.reader.look(may_take=False)
        self._on_death(code)
        self._victim, self._spare = self._spare, None
        began = time.monotonic()
        self._ask(OPEN)
        if what != CLOSE:
            self._ask(STEP)
        self.ending.recovery = time.monotonic() - began
        if what == CLOSE:
            self._ask(CLOSE)

    def _round(self) -> None:
        for code in self._world.codes:
            if code == self._victim_code:
                self._ask(STEP)
            else:
                self._healthy[code].step()
        self.reader.look()
        self._advance(ROUND_SECONDS)

    def _rest(self) -> None:
        still = 0
        for number in range(MOST_ROUNDS):
            before = self._heads()
            self._on_round(number)
            self._round()
            still = still + 1 if self._heads() == before else 0
            if still >= QUIET:
                return
        self._say("I1", f"did not come to rest within {MOST_ROUNDS} rounds")

    def _heads(self) -> tuple[int, ...]:
        own = (self._head,) if self._victim_code else ()
        return (len(self.reader.appeared), *own, *(node.head() for node in self._healthy.values()))

    def _advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.elapsed += seconds

    def _close(self) -> None:
        if self._victim is not None:
            self._ask(CLOSE)
        for node in self._healthy.values():
            node.close()

    def _judge(self) -> None:
        layout = self._world.layout
        self.ending.view = view(layout.agency(SENDER), layout.agency(RECEIVER), self.reader)
        for code in self._world.codes:
            self.ending.violations += ledger_problems(layout.data(code), self._case)
        folders = (folder for code in self._world.codes for folder in self._world.folders(code))
        for path in temporaries(*folders):
            self._say("I3", f"half a file is left: {Path(path).relative_to(layout.root)}")
        for bug in self.ending.bugs:
            self._say("I12", f"an error without a name: {bug}")

    def _say(self, invariant: str, what: str) -> None:
        self.ending.violations.append(Violation(invariant, self._case, what))


class CaseOverError(Exception):
    """The victim does not come up any more: what is to be said was said."""


def prepare(world: World) -> tuple[dict[str, Beginning], dict[str, View]]:
    """Make both templates, and the view of each that was not disturbed."""
    world.build()
    beginnings = {JOURNEY: Beginning(JOURNEY)}
    world.keep(beginnings[JOURNEY])
    views: dict[str, View] = {}
    stage = Stage(world, beginnings[JOURNEY])
    views[JOURNEY] = stage.play().view
    beginnings[RETENTION] = Beginning(RETENTION, stage.elapsed + _KEPT_DAYS * DAY)
    world.drop(LATE)
    world.keep(beginnings[RETENTION])
    views[RETENTION] = Stage(world, beginnings[RETENTION]).play().view
    return beginnings, views


def judged(stage: Stage, expected: View, case: str, *, may_show_twice: bool = False) -> Ending:
    """Play a case and hold it against the undisturbed view."""
    try:
        ending = stage.play()
    except CaseOverError:
        return stage.ending
    ending.violations += differences(expected, ending.view, case, may_show_twice=may_show_twice)
    return ending
