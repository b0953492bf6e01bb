"""F04 and F15, by lot: sectors that half arrived at a cut, and two machines that lose power together.

F04: a random point of a random role; the cut tears what was on its way (``torn``). An image of which nothing
was on its way, all of it arrived, or none, is judged all the same, but not counted. F15: the province and an
agency, each at a random call of its own in the same round: the first stands in the middle of its call when
the other comes to its own, and both lose what they had not flushed. A pair of which one rests before it comes
to its call is cut and judged all the same, but not counted.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from certainty.shard import Outcome, Run, Violation
from certainty.sweep.calls import Fate
from certainty.sweep.judging import judged
from certainty.sweep.points import At
from certainty.sweep.pool import Result, each, enough
from certainty.sweep.stage import Stage
from certainty.sweep.sweeping import Case, Ready, ready, start_seconds
from certainty.sweep.tally import Tally, result_of
from certainty.sweep.torn import Tear, tear
from certainty.sweep.world import JOURNEY, PROVINCE, RECEIVER, ROLES, SENDER, World

IMAGES: Final = 500
PAIRS: Final = 500
_QUICK: Final = 2
# So many times as many as are wanted: an image of which nothing is torn does not count, nor a pair of which
# one does not come to its call any more.
_DRAWN: Final = 3
_GOAL_SECONDS: Final = 5.0
_AGENCIES: Final = {"sender": SENDER, "receiver": RECEIVER}


@dataclass(frozen=True, slots=True)
class Torn:
    """One torn image: the case and the seed of its sectors."""

    case: Case
    seed: int

    def __str__(self) -> str:
        return f"torn {self.seed}: {self.case}"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two points, the agency's and the province's."""

    agency: Case
    province: Case

    def __str__(self) -> str:
        return f"{self.agency} with {self.province}"


def work(run: Run) -> Iterator[Outcome]:
    """As many of each as the goal says, or as the time allows."""
    rng = random.Random(run.seed)
    # The small set makes fewer worlds: each takes longer than a case.
    roles = ("receiver", "province") if run.quick else tuple(ROLES)
    agencies = [role for role in roles if role in _AGENCIES]
    with ready(run, *(ROLES[role] for role in roles)) as layouts:
        cases = {role: layouts[ROLES[role]].cases([role]) for role in roles}
        world = next(iter(layouts.values())).world
        images = [
            Torn(rng.choice(cases[rng.choice(roles)]), rng.getrandbits(32))
            for _ in range(_DRAWN * (_QUICK if run.quick else IMAGES))
        ]
        wanted = len(images) // _DRAWN
        half = run if run.quick else replace(run, seconds=run.seconds / 2)
        tally = Tally(enough(each(half, world, images, partial(_tear, layouts), "torn at"), wanted))
        yield tally.outcome("F04", wanted + tally.idle, "torn images", _GOAL_SECONDS, start_seconds())
    with ready(run, *(f"{_AGENCIES[role]}+{PROVINCE}" for role in agencies)) as both:
        world = next(iter(both.values())).world
        journeys = {
            role: [case for case in found if case.beginning == JOURNEY] for role, found in cases.items()
        }
        wanted = _QUICK if run.quick else PAIRS
        pairs = [_pair(rng, journeys, agencies) for _ in range(_DRAWN * wanted)]
        tried = enough(each(run, world, pairs, partial(_cut_both, both), "both cut at"), wanted)
        tally = Tally(tried)
        planned = wanted + tally.idle
        yield tally.outcome("F15", planned, "pairs of machines", _GOAL_SECONDS, start_seconds())


def _pair(rng: random.Random, journeys: dict[str, list[Case]], agencies: Sequence[str]) -> Pair:
    """An agency's point, and one of the province's from about the same time."""
    agency, province = journeys[rng.choice(agencies)], journeys["province"]
    when = rng.random()
    index = min(len(province) - 1, max(0, int((when + rng.uniform(-0.1, 0.1)) * len(province))))
    return Pair(agency[int(when * len(agency))], province[index])


def _tear(layouts: dict[str, Ready], world: World, torn: Torn) -> Result:
    case, rng = torn.case, random.Random(torn.seed)
    code, at = ROLES[case.role], At(case.point.number)
    made = layouts[code]
    world.restore(made.beginnings[case.beginning], code)

    tears: list[Tear] = []

    def on_death(codes: tuple[str, ...]) -> None:
        tears.extend(tear(volume, rng) for each_code in codes for volume in world.volumes(each_code))

    stage = Stage(
        world, made.beginnings[case.beginning], {code: at}, on_death=on_death, by_power=True, case=str(torn)
    )
    ending = judged(stage, made.views[case.beginning], str(torn))
    return replace(result_of(case, at, ending), is_case=any(each_tear.is_torn for each_tear in tears))


def _cut_both(layouts: dict[str, Ready], world: World, pair: Pair) -> Result:
    code = ROLES[pair.agency.role]
    made = layouts[f"{code}+{PROVINCE}"]
    world.restore(made.beginnings[JOURNEY], made.layout)
    at = {
        code: At(pair.agency.point.number, Fate.HOLD),
        PROVINCE: At(pair.province.point.number, Fate.HOLD),
    }

    def on_death(codes: tuple[str, ...]) -> None:
        for each_code in codes:
            world.cut(each_code)
        for each_code in codes:
            world.revive(each_code)

    stage = Stage(
        world, made.beginnings[JOURNEY], at, on_death=on_death, falls_together=True, by_power=True,
        case=str(pair),
    )  # fmt: skip
    ending = judged(stage, made.views[JOURNEY], str(pair))
    told = list(ending.violations)
    hits = sum(bool(each_at.hit) for each_at in at.values())
    if not hits:
        told.append(Violation("I12", str(pair), "neither point was reached: the run does not repeat"))
    group = f"{pair.agency.role} and province"
    return Result(group, str(pair), tuple(told), ending.recovery, is_case=hits == len(at))
