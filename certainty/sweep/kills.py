"""F01: each role is killed before each single call that changes its disk, and started again.

The victim gets SIGKILL at the point, a fresh process opens the same folder at once, and everything runs to
rest beside three healthy neighbours. Then outsiders must see what they see of an undisturbed run. Of some
points the process that starts again is killed too, in the middle of its start, and a third one goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from certainty.shard import Outcome, Run
from certainty.sweep.calls import Decide
from certainty.sweep.pool import Result, each
from certainty.sweep.recovering import OnUp, Twice, by_lot, killed
from certainty.sweep.stage import Stage
from certainty.sweep.sweeping import Case, Ready, ready, start_seconds
from certainty.sweep.tally import Tally
from certainty.sweep.world import ROLES, World

GOAL_SECONDS: Final = 5.0
_QUICK: Final = 6


def sweep(role: str, run: Run) -> Iterator[Outcome]:
    """All points of that role; in the quick set a fixed spread. Then some that die in their start as well."""
    with ready(run, loses_power=False) as layouts:
        made = layouts[""]
        every = made.cases([role])
        cases = by_lot(every, run, _QUICK)
        tally = Tally(each(run, made.world, cases, partial(_one, made), "killed at"))
        what = f"{len(every)} points of the {role}"
        yield tally.outcome("F01", len(cases), what, GOAL_SECONDS, start_seconds())


sender, bridge, province, receiver = (partial(sweep, role) for role in ROLES)


def _staged(
    made: Ready, world: World, case: Case, name: str, decide: Decide, again: Decide | None, on_up: OnUp
) -> Stage:
    world.restore(made.beginnings[case.beginning])
    code = ROLES[case.role]
    return Stage(
        world, made.beginnings[case.beginning], {code: decide}, again={code: again} if again else {},
        on_up=on_up, case=name,
    )  # fmt: skip


def _one(made: Ready, world: World, case: Case | Twice) -> Result:
    return killed(made, partial(_staged, made), world, case)
