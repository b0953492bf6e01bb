"""F03: the power of a role's machine goes before each single call that changes its disk.

At the point the process is killed and its volumes are shut down without flushing anything; what was not
flushed is gone when they come back. The node's own folder, its agency's folders and each mailbox that it
serves lie on volumes of their own, so nothing is flushed by chance because something else was.

Of some points the power goes once more in the middle of the start that follows. Two machines in the same
moment (F15) are cut by ``power_chance``.

Custody C19 is the one narrowing: a power cut between the rename into the inbox and the flush of its folder
may show one packet twice, whole both times. It is given to a packet that vanished from the inbox by the cut
while no receipt ``delivered`` about it was out, neither in the receiver's ledger nor at its sender.
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
_QUICK: Final = 4


def sweep(role: str, run: Run) -> Iterator[Outcome]:
    """F03: all points of that role; in the quick set a fixed spread. Then some that are cut twice."""
    with ready(run, ROLES[role]) as layouts:
        made = layouts[ROLES[role]]
        every = made.cases([role])
        cases = by_lot(every, run, _QUICK)
        tally = Tally(each(run, made.world, cases, partial(_one, made), "power cut at"))
        what = f"{len(every)} points of the {role}"
        yield tally.outcome("F03", len(cases), what, GOAL_SECONDS, start_seconds())


sender, bridge, province, receiver = (partial(sweep, role) for role in ROLES)


def _staged(
    made: Ready, world: World, case: Case, name: str, decide: Decide, again: Decide | None, on_up: OnUp
) -> Stage:
    code = ROLES[case.role]
    world.restore(made.beginnings[case.beginning], code)
    return Stage(
        world, made.beginnings[case.beginning], {code: decide}, again={code: again} if again else {},
        on_death=partial(_cut, world), on_up=on_up, by_power=True, case=name,
    )  # fmt: skip


def _one(made: Ready, world: World, case: Case | Twice) -> Result:
    return killed(made, partial(_staged, made), world, case)


def _cut(world: World, codes: tuple[str, ...]) -> None:
    for code in codes:
        world.cut(code)
    for code in codes:
        world.revive(code)
