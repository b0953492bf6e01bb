"""Try the seeded bugs: ``./run mutants [NAME ...]``.

    python -m certainty.mutants [NAME ...] [--quick] [--seed N] [--rounds N] [--json] [--list]

Each mutant is killed by the checker alone (``certainty.books``), which sees nothing of how a node works, and
only by what breaks the promise that the mutant names. The unchanged program must pass where one was killed.
Exit code 1 when a mutant lives, was not tried, or the program does not pass; a mutant that this machine
cannot try, for what it lacks, is named and is no fault as long as another one was killed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from certainty.mutants.running import POWER, chosen, try_all
from certainty.mutants.table import MUTANTS
from certainty.mutants.tried import Tried, exit_code
from certainty.sweep.volume import private_mounts
from cli.closed_pipe import run_program


def main() -> int:
    """Exit code."""
    parser = argparse.ArgumentParser(prog="certainty.mutants", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="only those of the quick set")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3, help="how often the scenes are played, at most")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--list", action="store_true", help="the names, and which promise each breaks")
    given = parser.parse_args()
    if given.list:
        for mutant in MUTANTS:
            print(f"{mutant.name:28} {mutant.promise}")
        return 0
    mutants = chosen(given.names, quick=given.quick)
    if any(POWER & set(mutant.scenes) for mutant in mutants):
        try:
            private_mounts()
        except OSError as error:
            print(f"no mounts of our own: {error}", file=sys.stderr)
    folder = Path(tempfile.mkdtemp(prefix="mutants-"))
    every: list[Tried] = []
    try:
        for tried in try_all(mutants, folder, given.seed, rounds=given.rounds):
            every.append(tried)
            print(told(tried), file=sys.stderr if given.json else sys.stdout, flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if given.json:
        print(json.dumps([{**asdict(one), "killed": one.is_killed} for one in every], indent=2))
    if lacking := [f"{one.name} ({one.not_run})" for one in every if one.lacks]:
        print(f"this machine lacks what these need: {', '.join(lacking)}", file=sys.stderr)
    return exit_code(every, mutants)


def told(tried: Tried) -> str:
    """One line, and the first thing that was found."""
    name = tried.name or "(unchanged)"
    if tried.not_run:
        return f"{name:28} NOT RUN: {tried.not_run}"
    word = "killed" if tried.is_killed else "LIVES" if tried.name else "passes"
    if not tried.name and tried.is_killed:
        word = "FAILS"
    line = f"{name:28} {word:7} {tried.seconds:6.1f} s  {tried.scene}, seed {tried.seed}"
    shown = [f"{one.invariant}: {one.what}" for one in tried.killing[: 1 if tried.name else 9]]
    if tried.name and not tried.is_killed:
        others = sorted({one.invariant for one in tried.violations})
        shown += [f"other invariants than its own: {', '.join(others)}"] if others else []
        shown += [f"a node did not run: {tried.not_ready}"] if tried.not_ready else []
    return line + "".join(f"\n{'':28} {each}" for each in shown)


if __name__ == "__main__":
    sys.exit(run_program(main))
