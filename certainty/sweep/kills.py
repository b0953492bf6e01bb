"""F01: each role is killed before each single call that changes its disk, and started again.

The victim gets SIGKILL at the point, a fresh process opens the same folder at once, and everything runs to
rest beside three healthy neighbours. Then outsiders must see what they see of an undisturbed run.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from certainty.shard import Outcome, Run
from certainty.sweep.points import At, shuffled, spread
from certainty.sweep.pool import Result, each
from certainty.sweep.stage import Stage, judged
from certainty.sweep.sweeping import Case, Ready, ready, start_seconds
from certainty.sweep.tally import Tally, result_of
from certainty.sweep.world import ROLES, World

GOAL_SECONDS: Final = 5.0
_QUICK: Final = 6


def sweep(role: str, run: Run) -> Iterator[Outcome]:
    """All points of that role; in the quick set a fixed spread."""
    with ready(run, loses_power=False) as layouts:
        made = layouts[""]
        every = made.cases([role])
        # In a full run by lot, so that what is left out for want of time is spread as well.
        cases = spread(every, _QUICK) if run.quick else shuffled(every, run.seed)
        tally = Tally(each(run, made.world, cases, partial(_one, made), "killed at"))
        what = f"{len(every)} points of the {role}"
        yield tally.outcome("F01", len(cases), what, GOAL_SECONDS, start_seconds())


sender, bridge, province, receiver = (partial(sweep, role) for role in ROLES)


def _one(made: Ready, world: World, case: Case) -> Result:
    at = At(case.point.number)
    world.restore(made.beginnings[case.beginning])
    stage = Stage(world, made.beginnings[case.beginning], {ROLES[case.role]: at}, case=str(case))
    ending = judged(stage, made.views[case.beginning], str(case))
    return result_of(case, at, ending)
