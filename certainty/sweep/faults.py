"""F05, F06, F10: the one call that fails. Each role is told of an error at each site where it can hear one.

F05: an fsync or fdatasync on a volume of the node's own fails (EIO): the process ends at once with code 6,
nothing of that step was acknowledged, it does not start again without a person's word, and after it all is
well. On a folder of others (mailbox, agency) the same error stops that folder alone.
F06: a write finds no room (ENOSPC), once, or takes half of what it was given.
F10: a call on the files of the ledger fails once, reads included.

Of calls of one kind on one file, one after the other, the first is a site; of all sites so many are tried as
the matrix says, spread evenly.

What must hold in every case: the process goes on, or ends with code 6 (or refuses with a named error); the
outsiders see what they see of an undisturbed run; no error is without a name.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from certainty.shard import Outcome, Run, Violation
from certainty.sweep.calls import CHANGES, READS, SYNCS, Fate
from certainty.sweep.judging import judged
from certainty.sweep.points import At, Point, shuffled
from certainty.sweep.pool import Result, each
from certainty.sweep.stage import Stage
from certainty.sweep.sweeping import Case, Ready, ready, start_seconds
from certainty.sweep.tally import Tally
from certainty.sweep.victim import DAMAGED, REFUSED
from certainty.sweep.world import JOURNEY, ROLES, World
from exchanged.places import DAMAGE_FILE

_WRITES: Final = {name: CHANGES[name] for name in ("write", "pwrite64", "openat", "mkdir", "ftruncate")}
# So many cases of each fault; the goals in the matrix name the number.
_QUICK: Final = 2
FULL: Final = 175


@dataclass(frozen=True, slots=True)
class Fault:
    """What fails, and where. ``tables`` are trapped; ``picks`` says which of the calls are sites."""

    row: str
    fate: Fate | int
    what: str
    tables: tuple[dict[str, int], ...]
    picks: Callable[[Point], bool]


def _is_ledger(point: Point) -> bool:
    return "/ledger.sqlite3" in point.path


def _is_site(_: Point) -> bool:
    return True


def _is_own(path: str) -> bool:
    return path.startswith("nodes/")


def _is_repeated(point: Point) -> bool:
    """A flush whose failure the ledger's engine keeps to itself, because it does all of it again.

    Of a checkpoint: its pages are written anew from the log, which stays until they are flushed. Of the names
    of its files: the node flushes them itself when it has opened.
    """
    return point.name == "fdatasync" and point.path.endswith(("/ledger.sqlite3", "/data"))


FAULTS: Final = (
    Fault("F05", errno.EIO, "EIO at fsync", (SYNCS,), _is_site),
    Fault("F06", errno.ENOSPC, "no room", (_WRITES,), lambda point: not point.is_idle),
    Fault("F06", Fate.SHORT, "short write", (_WRITES,), lambda point: point.name in {"write", "pwrite64"}),
    Fault("F10", errno.EIO, "EIO at the ledger", (CHANGES, READS), _is_ledger),
)


@dataclass(frozen=True, slots=True)
class Failing:
    """One case: this fault at this point."""

    fault: int
    case: Case

    def __str__(self) -> str:
        return f"{FAULTS[self.fault].what}: {self.case}"


def work(run: Run) -> Iterator[Outcome]:
    """Every site of every role; in the quick set some of one role."""
    roles = ("province",) if run.quick else tuple(ROLES)
    with ready(run) as layouts:
        made = layouts[""]
        sites = [_sites(made, index, roles) for index in range(len(FAULTS))]
        most = _QUICK if run.quick else FULL
        cases = shuffled([case for found in sites for case in _thinned(found, most)], run.seed)
        tally = Tally(each(run, made.world, cases, partial(_one, made), "failed at"))
        for row in dict.fromkeys(fault.row for fault in FAULTS):
            chosen = [index for index, fault in enumerate(FAULTS) if fault.row == row]
            found = sum(len(sites[index]) for index in chosen)
            planned = sum(case.fault in chosen for case in cases)
            what = f"{found} sites of {' and '.join(roles)}"
            part = tally.part(lambda result, row=row: result.group.startswith(row))  # type: ignore[misc]
            yield part.outcome(row, planned, what, 0.0, start_seconds())


def _thinned(cases: Sequence[Failing], most: int) -> list[Failing]:
    return [cases[index * len(cases) // most] for index in range(most)] if len(cases) > most else list(cases)


def _sites(made: Ready, index: int, roles: Sequence[str]) -> list[Failing]:
    """Every call of the fault's table that it picks; of one call on one file, again and again, the first."""
    fault, found = FAULTS[index], []
    for role in roles:
        last = ""
        for point in made.points(role, JOURNEY, fault.tables):
            shown = replace(point, path=point.path.removeprefix(f"{made.world.layout.root}/"))
            place = f"{shown.name} {shown.path}"
            if fault.picks(shown) and place != last:
                found.append(Failing(index, Case(role, JOURNEY, shown)))
            last = place
    return found


def _one(made: Ready, world: World, failing: Failing) -> Result:
    fault, case = FAULTS[failing.fault], failing.case
    code, at = ROLES[case.role], At(case.point.number, fault.fate)
    world.restore(made.beginnings[JOURNEY])
    refused: list[str] = []
    stage = Stage(
        world, made.beginnings[JOURNEY], {code: at}, tables=fault.tables,
        on_death=lambda codes: _recover(world, refused, stage.ending.codes, codes), case=str(failing),
    )  # fmt: skip
    ending = judged(stage, made.views[JOURNEY], str(failing))
    told = list(ending.violations)
    if not at.hit:
        told.append(Violation("I12", str(failing), "the site was not reached: the run does not repeat"))
    is_named = bool(ending.errors)
    if any(found != DAMAGED and not (found == REFUSED and is_named) for found in ending.codes):
        told.append(Violation("I12", str(failing), f"ended with code {ending.codes}"))
    must_stop = fault.row == "F05" and _is_own(case.point.path) and not _is_repeated(case.point)
    if must_stop and not ending.codes:
        told.append(Violation("I1", str(failing), "went on after its own volume had failed to flush"))
    if fault.row == "F06" and DAMAGED in ending.codes:
        told.append(Violation("I12", str(failing), "a full volume was taken for a damaged one"))
    if not _is_own(case.point.path) and DAMAGED in ending.codes:
        told.append(Violation("I9", str(failing), "the whole node stopped for a folder that is not its own"))
    told += [Violation("I12", str(failing), f"a node with the mark of damage: {each}") for each in refused]
    group = f"{fault.row} {fault.what}, {'stopped' if ending.codes else 'went on'}"
    return Result(group, str(failing), tuple(told), ending.recovery)


def _recover(world: World, refused: list[str], ended: list[int], codes: tuple[str, ...]) -> None:
    """What a person does after damage: take the mark away (a refused start is only repeated)."""
    for code in codes:
        mark = world.layout.data(code) / DAMAGE_FILE
        if ended[-1:] == [DAMAGED] and not mark.exists():
            refused.append("left no mark")
        mark.unlink(missing_ok=True)
