"""Killed, and killed again in the middle of the start that follows: the third process brings all to its end.

A point is played once to see which calls the start after it makes until every station has looked, and once
more with a death at one of them, drawn by the seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from certainty.shard import Run, Violation
from certainty.sweep.calls import Decide
from certainty.sweep.judging import judged
from certainty.sweep.points import At, Recorder, chosen, shuffled, spread
from certainty.sweep.pool import Result
from certainty.sweep.stage import CaseOverError, Stage
from certainty.sweep.sweeping import Case, Ready
from certainty.sweep.tally import result_of
from certainty.sweep.world import World

OnUp = Callable[[], object]
FULL: Final = 60
QUICK: Final = 3


class Staged(Protocol):
    """Puts the world back and makes the stage of a case.

    ``decide`` and ``again`` are asked about the calls of its first process and of the one after it.
    """

    def __call__(
        self, world: World, case: Case, name: str, decide: Decide, again: Decide | None, on_up: OnUp
    ) -> Stage:
        """``name`` is what violations call it; ``on_up`` as of ``Stage``."""


@dataclass(frozen=True, slots=True)
class Twice:
    """One point, and by ``seed`` a call of the start that follows."""

    case: Case
    seed: int

    def __str__(self) -> str:
        return f"{self.case}, and again in the start {self.seed}"


def drawn(every: Sequence[Case], seed: int, *, quick: bool) -> list[Twice]:
    """So many points by lot."""
    rng = random.Random(f"again {seed}")
    most = min(len(every), QUICK if quick else FULL)
    return [Twice(case, rng.getrandbits(32)) for case in rng.sample(every, most)]


def by_lot(every: Sequence[Case], run: Run, quick: int) -> list[Case | Twice]:
    """All points, in the quick set a fixed spread of so many, and some that die in their start as well.

    In a full run by lot, so that what is left out for want of time is spread as well.
    """
    cases: list[Case | Twice] = list(spread(every, quick) if run.quick else every)
    cases += drawn(every, run.seed, quick=run.quick)
    return shuffled(cases, run.seed)


def killed(made: Ready, staged: Staged, world: World, case: Case | Twice) -> Result:
    """One case: a death at its point, and what outsiders see afterwards."""
    if isinstance(case, Twice):
        return killed_again(made, staged, world, case)
    at = At(case.point.number)
    stage = staged(world, case, str(case), at, None, lambda: None)
    return result_of(case, at, judged(stage, made.views[case.beginning], str(case)))


def killed_again(made: Ready, staged: Staged, world: World, twice: Twice) -> Result:
    """Two deaths, the second in the start after the first. No case where the start changes nothing."""
    case, group = twice.case, f"{twice.case.role} and again in its start"
    seen, last = Recorder(), 0

    def on_up() -> None:
        nonlocal last
        last = last or len(seen.points)

    stage = staged(world, case, str(twice), At(case.point.number), seen, on_up)
    try:
        stage.play()
    except CaseOverError:
        return Result(group, str(twice), tuple(stage.ending.violations))
    points = chosen(seen.points[:last])
    if not points:
        return Result(group, str(twice), (Violation("I12", str(twice), "a start that makes no call"),))
    first, second = At(case.point.number), At(random.Random(twice.seed).choice(points).number)
    stage = staged(world, case, str(twice), first, second, lambda: None)
    ending = judged(stage, made.views[case.beginning], str(twice))
    told = list(ending.violations)
    if not (first.hit and second.hit):
        told.append(Violation("I12", str(twice), "a point was not reached: the run does not repeat"))
    return Result(group, str(twice), tuple(told), ending.recovery)
