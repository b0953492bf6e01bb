"""F06, F07, F08, F09, F14: a role's volumes are full, without inodes, below the floor, read-only; no handles.

The trouble begins before a round and ends some rounds later, at each role, on its own volume or on that of
its agency or mailbox. While it lasts nothing may be lost, shown in parts or told as done; when it is over
everything must come to the end it would have had, and no half-written file may be left. A trouble during
which no call failed and no node wrote down that a folder cannot be used was none, and is not counted. Where
the node's own volume turns read-only the process ends with code 6; it starts again on the repaired volume.

F08 is ``floor``'s.
"""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

from certainty.shard import Outcome, Run, Violation
from certainty.sweep import felt
from certainty.sweep.floor import cases as cases_of_floor
from certainty.sweep.floor import floored, undisturbed
from certainty.sweep.judging import judged
from certainty.sweep.ledgers import pauses
from certainty.sweep.points import shuffled
from certainty.sweep.pool import Result, each
from certainty.sweep.stage import ROUND_SECONDS, Stage
from certainty.sweep.sweeping import Ready, ready
from certainty.sweep.tally import Tally
from certainty.sweep.victim import DAMAGED
from certainty.sweep.volume import Volume
from certainty.sweep.world import JOURNEY, ROLES, SENDER, World
from exchanged.places import DAMAGE_FILE

_INODES: Final = 1024
_ROUNDS: Final = (0, 1, 2, 3, 4, 5, 6, 8)
# The small set tries each kind of trouble once.
_QUICK_ROUNDS: Final = (0,)
_QUICK_ROLES: Final = ("sender",)
_LASTS: Final = 4
_GOAL_SECONDS: Final = 30.0
_ACCEPTS_AGAIN: Final = frozenset({"F06", "F07"})

Undo = Callable[[], object]


def _full(volume: Volume) -> Undo:
    return partial(volume.give_back, volume.fill(0))


def _no_inodes(volume: Volume) -> Undo:
    return partial(volume.give_back, volume.use_up_inodes())


def _read_only(volume: Volume) -> Undo:
    volume.remount("ro")
    return partial(volume.remount, "rw")


@dataclass(frozen=True, slots=True)
class Trouble:
    """One kind of trouble. ``own``: on the node's own volume, else on each of the others."""

    row: str
    what: str
    own: bool
    begin: Callable[[Volume], Undo] | None = None


TROUBLES: Final = (
    Trouble("F06", "own volume full", own=True, begin=_full),
    Trouble("F06", "agency or mailbox full", own=False, begin=_full),
    Trouble("F07", "own volume without inodes", own=True, begin=_no_inodes),
    Trouble("F07", "agency or mailbox without inodes", own=False, begin=_no_inodes),
    Trouble("F09", "agency or mailbox read-only", own=False, begin=_read_only),
    Trouble("F09", "own volume gives up", own=True),
    Trouble("F14", "no file handles", own=True),
)


@dataclass(frozen=True, slots=True)
class Troubled:
    """One case."""

    trouble: int
    role: str
    round: int

    def __str__(self) -> str:
        return f"{TROUBLES[self.trouble].what}: {self.role}, from round {self.round}"


def work(run: Run) -> Iterator[Outcome]:
    """Every kind of trouble at every role, beginning at each of the rounds; then the floor."""
    roles = _QUICK_ROLES if run.quick else tuple(ROLES)
    with ready(run, *(ROLES[role] for role in roles), inodes=_INODES) as layouts:
        every = [
            Troubled(index, role, number)
            for number in (_QUICK_ROUNDS if run.quick else _ROUNDS)
            for index in range(len(TROUBLES))
            for role in roles
        ]
        cases = shuffled(every, run.seed)
        world = next(iter(layouts.values())).world
        tally = Tally(each(run, world, cases, partial(_one, layouts), "in trouble"))
        for row in dict.fromkeys(trouble.row for trouble in TROUBLES):
            planned = sum(TROUBLES[case.trouble].row == row for case in cases)
            part = tally.part(lambda result, row=row: result.group.startswith(row))  # type: ignore[misc]
            yield _outcome(part, row, planned)
        floors = cases_of_floor(roles, quick=run.quick)
        expected = undisturbed(layouts[SENDER])
        lows = Tally(each(run, world, floors, partial(floored, layouts, expected), "below the floor"))
        notes = Counter(result.note for result in lows.results)
        said = "; ".join(f"{note}: {times}" for note, times in sorted(notes.items()))
        yield lows.plain("F08", len(floors), said)


def _outcome(part: Tally, row: str, planned: int) -> Outcome:
    found = part.plain(row, planned, "begun at rounds of the journey; counted where a call failed meanwhile")
    if not part.recoveries:
        return found
    said = (
        f"{found.measured} From the end of the trouble until the node had written down its next act it took"
        f" {max(part.recoveries):.0f} s at most, by a clock that goes in steps of {ROUND_SECONDS:.0f} s."
    )
    return replace(found, measured=said, recovery_seconds=part.recoveries, goal_seconds=_GOAL_SECONDS)


def _one(layouts: dict[str, Ready], world: World, case: Troubled) -> Result:
    trouble, code = TROUBLES[case.trouble], ROLES[case.role]
    made = layouts[code]
    world.restore(made.beginnings[JOURNEY], code)
    undo: list[Undo] = []
    course = _Course()
    felt.listen()

    def on_round(number: int) -> None:
        if number == case.round:
            course.failed = -stage.failed()
            undo.extend(_begin(world, stage, trouble, code))
        if number == case.round + _LASTS:
            course.failed += stage.failed() + (pauses(world.layout.data(code)) if not trouble.own else 0)
            while undo:
                undo.pop()()
            course.over, course.head = stage.elapsed, stage.head(code)
        elif number > case.round + _LASTS and course.again is None and stage.head(code) > course.head:
            course.again = stage.elapsed - course.over

    def on_death(codes: tuple[str, ...]) -> None:
        undo.clear()
        world.revive(code)
        (world.layout.data(code) / DAMAGE_FILE).unlink(missing_ok=True)

    stage = Stage(
        world, made.beginnings[JOURNEY], {code: _pass}, tables=(), on_round=on_round, on_death=on_death,
        least_rounds=case.round + _LASTS + 1, case=str(case),
    )  # fmt: skip
    ending = judged(stage, made.views[JOURNEY], str(case))
    told = list(ending.violations)
    may_end = trouble.what == "own volume gives up"
    if ending.codes and not (may_end and ending.codes == [DAMAGED]):
        told.append(Violation("I12", str(case), f"ended with code {ending.codes}: {ending.errors[-1:]}"))
    if may_end and course.failed > 0 and not ending.codes:
        told.append(Violation("I12", str(case), "went on after its own volume had given up"))
    told += [
        Violation("I10", str(case), "the trouble itself was not taken away")
        for volume in world.volumes(code)
        for name in ("ballast", "inodes")
        if (volume.at / name).exists()
    ]
    is_felt = course.failed > 0 or bool(ending.codes)
    again = course.again if trouble.row in _ACCEPTS_AGAIN and is_felt else None
    group = f"{trouble.row} {trouble.what}"
    return Result(group, str(case), tuple(told), again, is_case=is_felt)


@dataclass(slots=True)
class _Course:
    """What one trouble came to. ``failed``: so many calls failed while it lasted; ``over`` is when it ended,
    ``head`` the victim's last event then, and ``again`` how long it took until there was another.
    """

    failed: int = 0
    over: float = 0.0
    head: int = 0
    again: float | None = None


def _begin(world: World, stage: Stage, trouble: Trouble, code: str) -> list[Undo]:
    own, *others = world.volumes(code)
    if trouble.begin is not None:
        return [trouble.begin(volume) for volume in ((own,) if trouble.own else others)]
    if trouble.row == "F09":
        own.abort()
        return []
    pid = stage.victim(code).pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    # What is open stays open; not one more can be had.
    used = {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    most = next(number for number in count() if number not in used)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, before[1]))
    return [partial(_give_handles, pid, before)]


def _give_handles(pid: int, limits: tuple[int, int]) -> None:
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


def _pass(_: object) -> int:
    raise AssertionError("nothing is trapped here")
