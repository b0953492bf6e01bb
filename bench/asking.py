"""The rows of short commands and of checks: how soon ``exchangectl`` answers, and how fast checks are."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Final

from bench.checking import IN_GROUPS, LIMIT, make_works, measure, ratios_of
from bench.province import Province
from bench.result import Check, Reference, Result, Run

START_TIMES: Final = 7
LIMIT_MS: Final = 300.0
_ROOT: Final = Path(__file__).resolve().parents[1]
_PACKETS: Final = 2_048


def command_ms(words: list[str], times: int) -> float:
    """The median of that many runs of ``exchangectl`` as a process of its own, in milliseconds.

    Raises RuntimeError when it fails. A first run, which is not counted, fills the caches of the machine.
    """
    line = [sys.executable, "-P", "-m", "cli", *words]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    # Compiled files are kept: whoever installs a program has them.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    took = []
    for _ in range(times + 1):
        began = time.monotonic()
        done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment)
        took.append((time.monotonic() - began) * 1000)
        if done.returncode or not done.stdout:
            told = f"exchangectl {' '.join(words)} ended with {done.returncode}"
            raise RuntimeError(f"{told}: {done.stderr[-200:]}")
    return median(took[1:])


def start(run: Run) -> Result:
    """From the call to the end of the answer, on a node that has nothing to tell."""
    with Province(run.folder / "p") as province:
        config = str(province.lab.node_config(province.lab.province))
        run.tell("exchangectl --help, queue summary")
        help_ms = command_ms(["--help"], START_TIMES)
        summary_ms = command_ms(["--config", config, "queue", "summary"], START_TIMES)
    return Result(
        (
            Check("exchangectl --help", help_ms, LIMIT_MS, "ms", at_least=False),
            Check("exchangectl queue summary", summary_ms, LIMIT_MS, "ms", at_least=False),
        )
    )


def checking(run: Run) -> Result:
    """Groups of packets of 5 KB through the worker processes, beside lxml through the same."""
    workers = os.cpu_count() or 1
    folder = run.folder / "packets"
    folder.mkdir()
    run.tell("making packets")
    works = make_works(folder)
    rounds = 9 if run.full else 5
    run.tell(f"{rounds} rounds of {_PACKETS} packets, {workers} workers")
    rates = measure(works, _PACKETS, workers, rounds)
    ratios = ratios_of(rates)
    return Result(
        (Check("of the rate of lxml, both in groups", ratios[IN_GROUPS], LIMIT, "x"),),
        (Reference("lxml, in groups", median(rates["lxml, in groups"]), 0.0, "/s"),),
        {f"{name}, /s": round(median(values)) for name, values in rates.items()},
        tuple(f"{name}: {ratio:.2f}" for name, ratio in ratios.items() if name != IN_GROUPS),
    )
