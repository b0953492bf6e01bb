"""F46, F52: packets that crash a worker or the whole daemon, at every node that looks at them.

The crash is a fail point in a wrapper of the daemon (``failing_daemon``); what counts crashes, sets aside and
goes on is the product alone. Each poisoned packet must end set aside, with its reason on the operator's
screen, after at most three crashes while it ran alone (and the one in company that made it run alone); all
others must be delivered while the poison is still there. Then the fault is mended, the operator releases what
was set aside, and everything must be delivered once.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from certainty.operation.failing_daemon import DAEMON_WAYS, WORKER_WAYS
from certainty.operation.town import PROVINCE, RECEIVER, SENDER, TooLateError, Town, town, wait_until
from certainty.shard import Outcome, Run, Violation

# Only a crash while alone counts: three of these, and one before, in company, that made it run alone.
CRASHES: Final = 3
MOST_DEATHS: Final = CRASHES + 1
# A worker's chunk is repeated piece by piece, so that one check may cost two workers.
MOST_WORKERS: Final = 2 * CRASHES
_LIMITS: Final = "retry_first_seconds = 0.05\nretry_max_seconds = 0.3\ncheck_timeout_seconds = 3.0"
_QUICK: Final = ((PROVINCE, "killed"), (PROVINCE, "daemon-after"), (RECEIVER, "aborted"))
_GOOD: Final = 6
# With two that end the daemon of each of three nodes the last round has some twenty starts; on a slow machine
# each takes six seconds.
_GOOD_SECONDS: Final = 240.0
_ASIDE_SECONDS: Final = 120.0
_NODES: Final = (SENDER, PROVINCE, RECEIVER)


@dataclass
class Tally:
    """What one round of poison showed."""

    rounds: list[list[str]] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    recoveries: list[float] = field(default_factory=list)
    deaths: Counter[str] = field(default_factory=Counter)
    crashes: Counter[str] = field(default_factory=Counter)
    good_seconds: float = 0.0

    def ways(self, wanted: tuple[str, ...]) -> list[str]:
        """The marks that went one of these ways."""
        return [mark for names in self.rounds for mark in names if mark.split(".")[2] in wanted]


def rounds(*, quick: bool) -> Iterator[tuple[tuple[str, str], ...]]:
    """The poisons of each round: a node and a way."""
    if quick:
        yield _QUICK
        return
    for node in _NODES:
        yield tuple((node, way) for way in WORKER_WAYS)
        for way in DAEMON_WAYS:
            yield ((node, way),)
    yield tuple((node, way) for node in _NODES for way in ("killed", *DAEMON_WAYS))


def judge_deaths(
    marks: list[str], deaths: Mapping[str, int], crashes: Mapping[str, int]
) -> Iterator[Violation]:
    """Of one round: set aside after the third crash, not before and not later.

    ``deaths`` are of processes, ``crashes`` are checks that the daemon was told to have ended a worker.
    Such a crash counts for nothing when the daemon dies of another one before the group is decided.
    """
    deadly = {mark.split(".")[1] for mark in marks if mark.split(".")[2] in DAEMON_WAYS}
    for mark in marks:
        _, node, way, _ = mark.split(".")
        died, crashed = deaths.get(mark, 0), crashes.get(mark, 0)
        if way in DAEMON_WAYS:
            if not CRASHES <= died <= MOST_DEATHS:
                what = f"{died} deaths of the daemon, and not {CRASHES} or {MOST_DEATHS}"
                yield Violation("I9", mark, what)
            continue
        # Each death of the daemon may undo one crash.
        lost = MOST_DEATHS if node in deadly else 0
        if not CRASHES <= crashed <= CRASHES + lost:
            what = f"{crashed} crashes, and not {CRASHES}{f' to {CRASHES + lost}' if lost else ''}"
            yield Violation("I9", mark, what)
        if died > MOST_WORKERS + 2 * lost:
            yield Violation("I9", mark, f"{died} workers died, and not {MOST_WORKERS + 2 * lost} at most")


def judge_set_aside(mark: str, rows: list[dict[str, Any]]) -> Iterator[Violation]:
    """What the operator's list must say of a poisoned drop or packet: set aside for good, and why."""
    expected = {("held", "poison"), ("quarantined", "crashed-three-times")}
    if not rows:
        yield Violation("I9", mark, "is not on the operator's list")
    for row in rows:
        if (row["state"], row["reason"]) not in expected:
            yield Violation("I9", mark, f"the operator is told {row['state']} {row['reason']}")


def try_poison(run: Run) -> Iterator[Outcome]:
    """F46 and F52."""
    tally = Tally()
    marks = run.folder / "fail"
    marks.mkdir()
    daemon = (sys.executable, "-P", "-m", "certainty.operation.failing_daemon", str(marks), "--config")
    todo = list(rounds(quick=run.quick))
    done = 0
    with town(run.folder / "poison", daemon=daemon, limits=_LIMITS) as place:
        for poisons in todo:
            if run.is_over:
                break
            _round(place, poisons, marks, tally)
            done += 1
            run.progress(done, len(todo), f"poison: {sum(tally.deaths.values())} deaths")
        differences = place.differences()
        wrong = (*differences, *place.unsound())
        tally.violations += [Violation("I16", "all rounds", each) for each in wrong]
    for names in tally.rounds:
        tally.violations += judge_deaths(names, tally.deaths, tally.crashes)
    for row, ways in (("F46", WORKER_WAYS), ("F52", DAEMON_WAYS)):
        mine = tally.ways(ways)
        planned = sum(way in ways for poisons in todo for _node, way in poisons)
        deaths = sum(tally.deaths[mark] for mark in mine)
        crashed = sum(tally.crashes[mark] for mark in mine)
        what = f"workers died in {crashed} checks" if row == "F46" else "times the daemon died"
        most = max((tally.deaths[mark] for mark in mine), default=0)
        yield Outcome(
            row,
            cases=len(mine),
            violations=tuple(each for each in tally.violations if _row_of(each.case) in ("", row)),
            recovery_seconds=tuple(tally.recoveries) if row == "F52" else (),
            measured=f"{len(mine)} poisoned packets, {deaths} {what}, at most {most} of one; each has to be"
            " set aside with its reason and delivered after its release; the others were delivered within"
            f" {tally.good_seconds:.1f} s.",
            planned=planned,
        )


def _row_of(case: str) -> str:
    parts = case.split(".")
    if len(parts) < 4:
        return ""
    return "F46" if parts[2] in WORKER_WAYS else "F52"


def _round(place: Town, poisons: tuple[tuple[str, str], ...], marks: Path, tally: Tally) -> None:
    (marks / "active").touch()
    number = len(place.journeys)
    names = [f"POISON.{node}.{way}.{number + each}" for each, (node, way) in enumerate(poisons)]
    tally.rounds.append(names)
    pids = {code: place.lab.pid(code) for code in _NODES}
    written = [place.write(name) for name in names]
    written[1:1] = [place.write(f"good-{number}-{each}") for each in range(_GOOD)]
    began = time.monotonic()
    journeys = [place.appear(drop) for drop in written]
    good = [journey for journey in journeys if journey.name not in names]
    aside = {name: node for name, (node, _way) in zip(names, poisons, strict=True)}
    try:
        wait_until(
            lambda: _go_on(place, tally) and place.is_complete(*good), "the other packets", _GOOD_SECONDS
        )
        tally.good_seconds = max(tally.good_seconds, time.monotonic() - began)
        aside_now = lambda: _go_on(place, tally) and _all_aside(place, aside)  # noqa: E731
        wait_until(aside_now, "the poison to be set aside", _ASIDE_SECONDS)
    except TooLateError as error:
        tally.violations.append(Violation("I9", names[0], str(error)))
    died = {node for node, way in poisons if way in DAEMON_WAYS}
    for code in _NODES:
        if code not in died and place.lab.pid(code) != pids[code]:
            what = f"the daemon of {code} died of a worker"
            tally.violations.append(Violation("I9", f"round {number}", what))
    for name, node in aside.items():
        tally.violations += judge_set_aside(name, _rows(place, node, name))
    _mend(place, marks, tally, names, journeys)


def _go_on(place: Town, tally: Tally) -> bool:
    tally.recoveries += [seconds for _node, seconds in place.restart_dead()]
    return True


def _rows(place: Town, node: str, name: str) -> list[dict[str, Any]]:
    """What the node's operator sees of a poisoned drop or packet."""
    journey = next(each for each in place.journeys if each.name == name)
    packet = "" if journey.key is None else journey.key.packet_id
    waiting = place.asked(node, "queue", "list", "--limit", "1000")["waiting"]
    return [row for row in waiting if row["subject"] == name or (packet and packet in row["subject"])]


def _all_aside(place: Town, aside: Mapping[str, str]) -> bool:
    place.is_complete(*(each for each in place.journeys if each.name in aside))
    for name, node in aside.items():
        rows = _rows(place, node, name)
        if not rows or any(judge_set_aside(name, rows)):
            return False
    return True


def _mend(place: Town, marks: Path, tally: Tally, names: list[str], journeys: list[Any]) -> None:
    """The fault is mended, an operator says so, and everything arrives."""
    (marks / "active").unlink()
    _go_on(place, tally)
    reason = ("--reason", "mended", "--yes")
    place.ctl(SENDER, "queue", "release", "--state", "held", "--reason-is", "poison", *reason)
    for node in (PROVINCE, RECEIVER):
        place.ctl(node, "queue", "requeue", "--reason-is", "crashed-three-times", *reason)
    try:
        place.wait(journeys, 60.0)
    except TooLateError as error:
        tally.violations.append(Violation("I1", names[0], f"after the release: {error}"))
    tally.deaths, tally.crashes = _noted(marks / "deaths"), _noted(marks / "crashes")


def _noted(file: Path) -> Counter[str]:
    """How often each mark stands in a file of notes."""
    lines = file.read_text("ascii").splitlines() if file.exists() else []
    return Counter(line.split()[0] for line in lines)
