"""Cases side by side: forked workers, each with the world at one path in a mount namespace of its own."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import queue
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from certainty.shard import Run, Violation
from certainty.sweep.calls import die_with_parent
from certainty.sweep.world import World

_LOOK_SECONDS: Final = 5.0
_FORK: Final = multiprocessing.get_context("fork")

C = TypeVar("C")


class WorkerError(Exception):
    """A worker of the harness failed; the text is its traceback."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one case came to. ``group`` says what it is counted under, ``recovery`` is in seconds.

    ``is_case`` false: what was to be tried did not come about, so that it shows nothing; it is not counted.
    """

    group: str
    case: str
    violations: tuple[Violation, ...] = ()
    recovery: float | None = None
    note: str = ""
    is_case: bool = True


def each(
    run: Run, world: World, cases: Sequence[C], function: Callable[[World, C], Result], what: str
) -> Iterator[Result]:
    """The result of each case, in no order; none is begun when the time is over. Raises WorkerError."""
    workers = max(1, min(os.cpu_count() or 1, len(cases)))
    following = _FORK.Value("i", 0)
    results: Any = _FORK.Queue()
    processes = [
        _FORK.Process(target=_work, args=(run, world, cases, function, following, results), daemon=False)
        for _ in range(workers)
    ]
    for process in processes:
        process.start()
    done, working = 0, workers
    try:
        while working:
            try:
                kind, value = results.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                if any(process.exitcode not in {None, 0} for process in processes):
                    raise WorkerError("a worker was killed") from None
                continue
            if kind == "end":
                working -= 1
            elif kind == "error":
                raise WorkerError(value)
            else:
                done += 1
                run.progress(done, len(cases), what)
                yield value
    finally:
        for process in processes:
            if working:
                process.kill()
            process.join()


def enough(results: Iterator[Result], wanted: int) -> Iterator[Result]:
    """Until so many count."""
    for result in results:
        yield result
        wanted -= result.is_case
        if wanted <= 0:
            return


def _work(
    run: Run,
    world: World,
    cases: Sequence[C],
    function: Callable[[World, C], Result],
    following: Any,
    results: Any,
) -> None:
    die_with_parent()
    logging.disable(logging.CRITICAL)
    # Each case collects what it left; what was loaded before is not looked through every time.
    gc.freeze()
    try:
        world.stand_alone()
        while not run.is_over:
            with following.get_lock():
                index = following.value
                following.value += 1
            if index >= len(cases):
                break
            results.put(("result", function(world, cases[index])))
        world.clear()
    except BaseException:
        results.put(("error", traceback.format_exc()))
        return
    results.put(("end", None))
