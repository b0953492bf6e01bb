"""What the two shards of the simulation have in common: play seeds in a process of its own, and count."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from certainty.shard import Outcome, Run, Violation
from certainty.simulation.regressions import seeds_of

WORKERS: Final = 2
# As long as the programme wants it: a part of a minute, or several minutes.
QUICK_SECONDS: Final = 14.0
FULL_SECONDS: Final = 420.0
_LAST_SEED: Final = 10**9


@dataclass
class Tally:
    """What many seeds showed together."""

    seeds: int = 0
    steps: int = 0
    starts: int = 0
    drops: int = 0
    shown: int = 0
    violations: list[Violation] = field(default_factory=list)
    # What was violated, and which kinds of faults there were in that world.
    found: list[tuple[Violation, frozenset[str]]] = field(default_factory=list)
    # In how many worlds something went wrong at all, and in how many each kind of fault really took place.
    troubled: int = 0
    worlds: list[frozenset[str]] = field(default_factory=list)
    drained: list[float] = field(default_factory=list)

    def add(self, result: dict[str, Any]) -> None:
        """One seed more. Raises RuntimeError when the simulation itself is broken."""
        if "broken" in result:
            raise RuntimeError(f"seed {result['seed']}: {result['broken']}")
        self.seeds += 1
        self.steps += result["steps"]
        self.starts += result["starts"]
        self.drops += result["packets"]
        self.shown += result["shown"]
        self.troubled += bool(result["kinds"])
        self.worlds.append(frozenset(result["kinds"]))
        if result["drained"]:
            self.drained.append(result["drained"])
        for each in result["violations"]:
            case = f"python -m certainty.simulation --seed {result['seed']} --mode {result['mode']} --trail"
            violation = Violation(each["invariant"], case, each["what"])
            self.violations.append(violation)
            self.found.append((violation, frozenset(result["kinds"])))


def play(run: Run, mode: str) -> Tally:
    """The seeds that once failed, then as many as fit into the time.

    Raises RuntimeError when the simulation itself is broken, or a seed that once failed showed nothing.
    """
    tally = Tally()
    seconds = min(QUICK_SECONDS if run.quick else FULL_SECONDS, run.seconds)
    known = seeds_of(mode)
    for seed in known:
        told = [*_seeds(seed, seed + 1, mode, seconds, run.folder)]
        if [result["seed"] for result in told] != [seed]:
            raise RuntimeError(f"seed {seed}, which once failed, gave {len(told)} results")
        tally.add(told[0])
    began = time.monotonic()
    first = 1 + run.seed * 1_000_000
    for result in _seeds(first, _LAST_SEED, mode, seconds, run.folder):
        tally.add(result)
        share = min(int(time.monotonic() - began), int(seconds))
        run.progress(share, int(seconds), f"{tally.seeds} seeds, {len(tally.violations)} violations")
        if run.is_over:
            break
    return tally


def _seeds(
    first: int, until: int, mode: str, seconds: float, folder: Path
) -> Iterator[dict[str, Any]]:
    command = [
        sys.executable, "-m", "certainty.simulation", "--seed", str(first), "--until", str(until),
        "--mode", mode, "--workers", str(WORKERS if until - first > 1 else 1), "--seconds", str(seconds),
        "--json",
    ]  # fmt: skip
    root, failed = Path(__file__).parents[2], False
    path = os.pathsep.join((str(root), os.environ.get("PYTHONPATH", ""))).rstrip(os.pathsep)
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": path}
    with (folder / "simulation.log").open("a") as log, subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=root, env=environment
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                result = json.loads(line)
                failed = failed or bool(result["violations"] or "broken" in result)
                yield result
        except BaseException:
            # Nobody wants more of them.
            process.terminate()
            raise
    # An uncaught exception is told by 1 as well: then nothing is known of the seeds that are missing.
    if process.returncode != (1 if failed else 0):
        said = (folder / "simulation.log").read_text()[-2000:]
        raise RuntimeError(f"the simulation ended with {process.returncode}: {said}")


# So many seeds with faults the full set asks for.
PLANNED: Final = 200
# What each row of the matrix asks for, and which kinds of faults of a seed bear on it.
EVIDENCE: Final[dict[str, tuple[str, ...]]] = {
    "F70": ("relay", "late files", "lost files"),
    "F80": ("relay",),
    "F89": ("clocks",),
    "F92": ("deaths",),
    "F93": ("late files", "partitions", "relay", "operators"),
}


def outcomes(run: Run, row: str, tally: Tally, measured: str) -> Iterator[Outcome]:
    """The shard's own row, then what its seeds say of rows that ask for the same faults.

    A seed in whose world nothing went wrong is no case.
    """
    calm = tally.seeds - tally.troubled
    yield Outcome(
        row, tally.troubled, tuple(tally.violations), tuple(tally.drained),
        f"{measured}; {calm} more seeds without any fault are not counted" if calm else measured,
        planned=0 if run.quick else PLANNED,
    )  # fmt: skip
    for other, kinds in EVIDENCE.items():
        cases = sum(bool(there & {*kinds}) for there in tally.worlds)
        violations = tuple(violation for violation, there in tally.found if there & {*kinds})
        if not cases:
            yield Outcome(other, 0, not_run=f"in no simulated world ({row}) {' or '.join(kinds)} took place")
            continue
        yield Outcome(
            other, cases, violations,
            measured=f"further evidence: {cases} simulated worlds ({row}) in which one of these took place:"
            f" {', '.join(kinds)}",
        )  # fmt: skip
