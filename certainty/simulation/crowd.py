"""Many seeds on a few processes, which are forked when everything is loaded; and one seed, told in words."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

from certainty.simulation.drops import Sample, make_samples
from certainty.simulation.run import Mode, Result, run_seed
from certainty.simulation.template import Templates

_MEMORY: Final = "/dev/shm"

def play(seeds: range, mode: Mode, workers: int, seconds: float, *, as_json: bool) -> int:
    """Play these seeds and print a line for each that violated something, or for all as JSON."""
    failed = count = 0
    for result in results(seeds, mode, workers, seconds):
        count += 1
        failed += bool(result["violations"] or "broken" in result)
        if as_json:
            print(json.dumps(result, ensure_ascii=False), flush=True)
        elif "broken" in result:
            print(f"seed {result['seed']}: {result['broken']}", flush=True)
        elif result["violations"]:
            first = result["violations"][0]
            print(f"seed {result['seed']}: {first['invariant']} {first['what']}", flush=True)
    if not as_json:
        print(f"{count} seeds, {failed} with violations")
    return 1 if failed else 0


def results(seeds: range, mode: Mode, workers: int, seconds: float) -> Iterator[dict[str, Any]]:
    """What each seed showed, as it comes in. No seed is begun after ``seconds``."""
    samples = make_samples()
    memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory(prefix="simulation-", dir=memory) as folder:
        told: multiprocessing.SimpleQueue[dict[str, Any] | None] = context.SimpleQueue()
        turn = context.Value("q", seeds.start)
        until = time.monotonic() + seconds
        work = partial(_work, samples=samples, mode=mode, turn=turn, end=seeds.stop, until=until, told=told)
        processes = [
            context.Process(target=work, args=(Path(folder) / f"worker-{number}",))
            for number in range(workers)
        ]
        for process in processes:
            process.start()
        try:
            yield from _told(told, processes)
        finally:
            for process in processes:
                process.terminate()
                process.join()


def _told(told: Any, processes: Sequence[BaseProcess]) -> Iterator[dict[str, Any]]:
    """What the workers tell, until all of them said that they are done.

    Raises RuntimeError when one ended without that: its seed, and what it would have played, are not known.
    """
    working = len(processes)
    while working:
        while told.empty():
            # Who is gone said all that it has to say before.
            gone = sum(process.exitcode is not None for process in processes)
            if told.empty() and gone > len(processes) - working:
                raise RuntimeError("a process of the simulation died")
            time.sleep(0.02)
        result = told.get()
        if result is None:
            working -= 1
        else:
            yield result


def _work(
    folder: Path, *, samples: tuple[Sample, ...], mode: Mode, turn: Any, end: int, until: float, told: Any
) -> None:
    """One worker: take the next seed as long as there is one, and time."""
    folder.mkdir()
    templates = Templates(folder)
    while time.monotonic() < until:
        with turn.get_lock():
            seed = turn.value
            turn.value += 1
        if seed >= end:
            break
        try:
            told.put(to_json(run_seed(seed, mode, templates, samples)))
        except Exception:
            told.put({"seed": seed, "broken": traceback.format_exc(limit=-8), "violations": []})
    told.put(None)


def to_json(result: Result) -> dict[str, Any]:
    """A result as plain values."""
    values = asdict(result)
    values["mode"] = result.mode.value
    del values["lines"]
    return values


def tell(folder: Path, seed: int, mode: Mode, *, with_trail: bool) -> int:
    """Play one seed twice and tell its story; the exit code is as ``certainty.simulation.__main__`` says."""
    samples, templates = make_samples(), Templates(folder)
    first = run_seed(seed, mode, templates, samples, keeps_trail=True)
    again = run_seed(seed, mode, templates, samples, keeps_trail=True)
    for line in first.lines if with_trail else ():
        print(line)
    print(f"seed {seed}, {mode}: {first.packets} drops, {first.starts} starts, {first.steps} steps"
          f" in {first.seconds:.2f} s; faults: {', '.join(first.kinds) or 'none'}")  # fmt: skip
    for violation in first.violations:
        print(f"VIOLATION {violation.invariant}: {violation.what}")
    if first.digest != again.digest:
        pairs = zip(first.lines, again.lines, strict=False)
        where = next((pair for pair in pairs if pair[0] != pair[1]), ("the end", "the end"))
        print(f"THE SAME SEED GAVE TWO RUNS:\n{where[0]}\n{where[1]}", file=sys.stderr)
        return 3
    print(f"trail {first.digest}")
    return 1 if first.violations else 0
