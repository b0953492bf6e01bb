"""F25: 100,000 drops at once. The first come out early, nothing is lost, memory is bounded, commands answer.

The number of drops known to the node is counted in its ledger, read-only, since nothing that case software
sees tells it before each is taken. It is counted while the daemon is stopped, so that no drop is on its way
from one count to the other.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

from certainty.intake import leaks
from certainty.intake.papers import POLICE, Papers
from certainty.intake.world import World, put, wait_for
from certainty.shard import Outcome, Run, Violation

SCAN: Final = {"": {"[folders] scan_seconds": "2.0"}}
MIB_LIMIT: Final = 300.0
_BURST: Final = 400_000
# What the goal allows, in seconds.
_FIRST, _ALL, _ANSWER = 15.0, 1_800.0, 2.0


def burst(run: Run, papers: Papers) -> Outcome:
    """F25: also judged where the time ends before all are accepted."""
    count, spare = (400, 12.0) if run.quick else (100_000, 60.0)
    violations: list[Violation] = []
    world = World(run.folder / "burst", settings=SCAN)
    with world:
        put(world, papers.lone(2), "first.xml")
        wait_for(lambda: world.count_delivered() == 1, "the first drop", 90)
        idle = max(world.ctl("node", "status")[2] for _ in range(2))
        names = [f"b{number:06d}.xml" for number in range(count)]
        with stopped(world):
            for number, name in enumerate(names):
                (world.outbox / name).write_bytes(papers.lone(_BURST + number).xml)
        began, peak, answers = time.monotonic(), 0.0, []
        first = taken = 0.0
        marks: list[tuple[float, int]] = []
        until = run.began + run.seconds - spare
        while time.monotonic() < until:
            seconds = time.monotonic() - began
            if not first and world.count_delivered() > 1:
                first = seconds
            counted = _count(world)
            marks.append((seconds, counted["taken"]))
            peak = max(peak, world.peak_mib())
            run.progress(counted["taken"], count, "drops accepted")
            if first:
                answers.append(world.ctl("node", "status")[2])
                answers.append(world.ctl("queue", "summary")[2])
            if counted["taken"] > count:
                taken = seconds
                break
            time.sleep(1 if run.quick else 5)
        over = time.monotonic() - began
        with stopped(world):
            counted, sealed, delivered = _count(world), _sealed(world), world.count_delivered()
            accounted = known_names(world) | {*world.waiting()}
        # What case software sees of it, of all that was delivered by now.
        twice = [ref for ref, times in world.delivered_refs().items() if times > 1]
        violations += [Violation("I2", ref, "delivered twice") for ref in twice[:5]]
        violations += judge(f"seed {run.seed}", names, accounted, counted, sealed)
        late = [] if taken else [f"{counted['taken']} of {count} were accepted when the time was over"]
        if not first:
            violations.append(Violation("I1", f"seed {run.seed}", "nothing was delivered"))
        rate = counted["taken"] / max(1.0, over)
        if max(taken, count / max(rate, 0.1)) > _ALL:
            late.append(f"{rate:.0f} drops a second, too few for {count} within 30 minutes")
        if peak > MIB_LIMIT:
            violations.append(Violation("I10", f"seed {run.seed}", f"the daemon took {peak:.0f} MiB"))
        violations += leaks.problems(world, f"seed {run.seed}", in_folders=run.quick)
    slow = max(answers, default=0.0)
    if slow > _ANSWER:
        late.append(f"a command answered after {slow:.1f} s")
    how = (
        f"all accepted after {taken:.0f} s"
        if taken
        else f"{counted['taken']} accepted before the time was over"
    )
    return Outcome(
        "F25", max(0, counted["taken"] - 1), tuple(violations), (first,) if first else (),
        short="; ".join(late), planned=count, goal_seconds=_FIRST,
        measured=f"{count} drops while the daemon was stopped; first delivered {first:.1f} s after it went"
        f" on, {how} ({_rates(marks)}), {delivered} delivered by then; most memory {peak:.0f} MiB; slowest"
        f" answer of exchangectl {slow:.1f} s of {len(answers)}, its start"
        f" included ({idle:.1f} s at an idle node)",
    )  # fmt: skip


def _rates(marks: list[tuple[float, int]]) -> str:
    """Drops a second in the first and in the last third: flat, if nothing grows faster than the queue."""
    if len(marks) < 6:
        return "too short for rates"
    third = len(marks) // 3
    parts = []
    for name, some in (("first", marks[: third + 1]), ("last", marks[-third - 1 :])):
        seconds = some[-1][0] - some[0][0]
        parts.append(f"{(some[-1][1] - some[0][1]) / max(seconds, 0.1):.0f} a second in the {name} third")
    return ", ".join(parts)


def _count(world: World) -> dict[str, int]:
    """Drops by what the node knows of them."""
    with closing(_ledger(world)) as ledger:
        rows: list[tuple[str, Any]] = ledger.execute(
            'SELECT state, count(*) FROM "drop" GROUP BY state'
        ).fetchall()
    return {"taken": 0, "seen": 0, **{state: int(number) for state, number in rows}}


def _sealed(world: World) -> int:
    """How many packets the node sealed."""
    with closing(_ledger(world)) as ledger:
        return int(ledger.execute("SELECT count(*) FROM packet WHERE own = 1").fetchone()[0])


def known_names(world: World) -> set[str]:
    """Names of drops that the node knows of."""
    with closing(_ledger(world)) as ledger:
        rows = ledger.execute('SELECT name FROM "drop"').fetchall()
    return {bytes(row[0]).decode("utf-8", "surrogateescape") for row in rows}


def _ledger(world: World) -> sqlite3.Connection:
    path = world.lab.layout.data(POLICE) / "ledger.sqlite3"
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)


def judge(
    case: str, names: list[str], accounted: set[str], counted: dict[str, int], sealed: int
) -> list[Violation]:
    """Every good drop waits, is known, or was taken and sealed; none is refused, held or forgotten."""
    found = []
    lost = [name for name in names if name not in accounted]
    if lost:
        found.append(Violation("I1", case, f"{len(lost)} drops are neither known nor waiting: {lost[:3]}"))
    others = {state: number for state, number in counted.items() if number and state not in ("taken", "seen")}
    if others:
        found.append(Violation("I1", case, f"good drops ended otherwise: {others}"))
    if sealed != counted["taken"]:
        found.append(Violation("I16", case, f"{counted['taken']} drops were taken, {sealed} packets sealed"))
    return found


@contextmanager
def stopped(world: World) -> Iterator[None]:
    """The police's daemon stands still meanwhile."""
    pid = world.lab.pid(POLICE)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        # Each of its threads is at rest then.
        time.sleep(0.2)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
