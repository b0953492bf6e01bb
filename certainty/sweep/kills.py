"""F01: each role is killed before each single call that changes its disk, and started again.

The victim gets SIGKILL at the point, a fresh process opens the same folder at once, and everything runs to
rest beside three healthy neighbours. Then outsiders must see what they see of an undisturbed run.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from certainty.shard import Outcome, Run, Violation
from certainty.sweep.points import At, spread
from certainty.sweep.pool import Result, each
from certainty.sweep.stage import Stage, judged
from certainty.sweep.sweeping import Case, Ready, ready, start_seconds
from certainty.sweep.tally import Tally
from certainty.sweep.world import ROLES, World

GOAL_SECONDS: Final = 5.0
_QUICK: Final = 24


def work(run: Run) -> Iterator[Outcome]:
    """All points of all roles; in the quick set a fixed spread."""
    with ready(run) as made:
        every = made.cases()
        cases = spread(every, _QUICK) if run.quick else every
        tally = Tally(each(run, made.world, cases, partial(_one, made), "killed at"))
        yield tally.outcome(
            "F01", len(cases), f"{len(every)} points of 4 roles", GOAL_SECONDS, start_seconds()
        )


def _one(made: Ready, world: World, case: Case) -> Result:
    at = At(case.point.number)
    world.restore(made.beginnings[case.beginning])
    stage = Stage(world, made.beginnings[case.beginning], ROLES[case.role], decide=at, case=str(case))
    ending = judged(stage, made.views[case.beginning], str(case))
    violations = list(ending.violations)
    if not at.hit:
        violations.append(Violation("I12", str(case), "the point was not reached: the run does not repeat"))
    drift = "" if at.hit.split(" ")[0] in {"", case.point.name} else f"was {at.hit}"
    return Result(case.role, str(case), tuple(violations), ending.recovery, drift)
