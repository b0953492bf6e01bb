"""F03 and F15: the power of a role's machine goes before each single call that changes its disk.

At the point the process is killed and its volumes are shut down without flushing anything; what was not
flushed is gone when they come back. The node's own folder, its agency's folders and each mailbox that it
serves lie on volumes of their own, so nothing is flushed by chance because something else was.

F15 cuts two machines in the same moment: one stands in the middle of a call when the other comes to its own.

Custody C19 is the one narrowing: a power cut between the rename into the inbox and the flush of its folder
may show one packet twice, whole both times.
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
from certainty.sweep.world import RECEIVER, ROLES, World

GOAL_SECONDS: Final = 5.0
_QUICK: Final = 4
PAIRS: Final = 500
_QUICK_PAIRS: Final = 3


def sweep(role: str, run: Run) -> Iterator[Outcome]:
    """F03: all points of that role; in the quick set a fixed spread."""
    with ready(run, ROLES[role]) as layouts:
        made = layouts[ROLES[role]]
        every = made.cases([role])
        # In a full run by lot, so that what is left out for want of time is spread as well.
        cases = spread(every, _QUICK) if run.quick else shuffled(every, run.seed)
        tally = Tally(each(run, made.world, cases, partial(_one, made), "power cut at"))
        what = f"{len(every)} points of the {role}"
        yield tally.outcome("F03", len(cases), what, GOAL_SECONDS, start_seconds())


sender, bridge, province, receiver = (partial(sweep, role) for role in ROLES)


def _one(made: Ready, world: World, case: Case) -> Result:
    code, at = ROLES[case.role], At(case.point.number)
    world.restore(made.beginnings[case.beginning], code)
    stage = Stage(
        world, made.beginnings[case.beginning], {code: at}, on_death=partial(_cut, world), case=str(case)
    )
    twice = code == RECEIVER
    ending = judged(stage, made.views[case.beginning], str(case), may_show_twice=twice)
    return result_of(case, at, ending)


def _cut(world: World, codes: tuple[str, ...]) -> None:
    for code in codes:
        world.cut(code)
    for code in codes:
        world.revive(code)
