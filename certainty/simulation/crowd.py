"""Many seeds on a few processes, which are forked when everything is loaded; and one seed, told in words."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from certainty.simulation.drops import Sample, make_samples
from certainty.simulation.run import Mode, Result, run_seed
from certainty.simulation.template import PLANS, Templates

_MEMORY: Final = "/dev/shm"  # noqa: S108 - durability is simulated, so nothing need reach a disk

_templates: Templates | None = None
_samples: tuple[Sample, ...] = ()


def play(seeds: Iterable[int], mode: Mode, workers: int, seconds: float, *, as_json: bool) -> int:
    """Play these seeds and print a line for each that violated something, or for all as JSON."""
    failed = count = 0
    for result in results(seeds, mode, workers, seconds):
        count += 1
        failed += bool(result["violations"])
        if as_json:
            print(json.dumps(result, ensure_ascii=False), flush=True)
        elif result["violations"]:
            first = result["violations"][0]
            print(f"seed {result['seed']}: {first['invariant']} {first['what']}", flush=True)
    if not as_json:
        print(f"{count} seeds, {failed} with violations")
    return 1 if failed else 0


def results(
    seeds: Iterable[int], mode: Mode, workers: int, seconds: float
) -> Iterator[dict[str, Any]]:
    """What each seed showed, as it comes in. No seed is begun after ``seconds``."""
    global _samples  # noqa: PLW0603 - inherited by the forked workers
    until = time.monotonic() + seconds
    _samples = make_samples()
    memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="simulation-", dir=memory) as folder:
        context = multiprocessing.get_context("fork")
        begin = (Path(folder), context.Value("i", 0))
        with context.Pool(workers, _begin, begin) as pool:
            # In small handfuls, so that the time is kept.
            yield from pool.imap(_one, _while_time(seeds, mode, until), chunksize=1)


def _while_time(seeds: Iterable[int], mode: Mode, until: float) -> Iterator[tuple[int, str, float]]:
    for seed in seeds:
        if time.monotonic() > until:
            return
        yield seed, mode.value, until


def _begin(folder: Path, counter: Any) -> None:
    global _templates  # noqa: PLW0603 - one for each worker
    with counter.get_lock():
        counter.value += 1
        own = folder / f"worker-{counter.value}"
    own.mkdir()
    _templates = Templates(own)
    for plan in PLANS:
        _templates.copy(plan)


def _one(asked: tuple[int, str, float]) -> dict[str, Any]:
    seed, mode, until = asked
    if time.monotonic() > until:
        return {"seed": seed, "skipped": True, "violations": []}
    assert _templates is not None  # noqa: S101 - made by _begin
    try:
        return to_json(run_seed(seed, Mode(mode), _templates, _samples))
    except Exception:  # noqa: BLE001 - handed to the parent: the simulation itself is broken
        what = traceback.format_exc(limit=-8)
        return {"seed": seed, "broken": what, "violations": [{"invariant": "I16", "case": "", "what": what}]}


def to_json(result: Result) -> dict[str, Any]:
    """A result as plain values."""
    values = asdict(result)
    values["mode"] = result.mode.value
    del values["lines"]
    return values


def tell(folder: Path, seed: int, mode: Mode, *, with_trail: bool) -> int:
    """Play one seed twice, print its story and its end; exit code as ``certainty.simulation.__main__`` says."""
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
