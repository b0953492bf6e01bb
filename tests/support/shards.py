"""Bodies of shards for the tests of the programme that runs them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from certainty.shard import Outcome, Run, Violation


def held(run: Run) -> Iterator[Outcome]:
    print("a library prints something")  # noqa: T201 - as a library may
    run.progress(1, 2, "halves")
    yield Outcome("R1", 5, recovery_seconds=(0.1, 0.3), measured=f"seed {run.seed}.")
    yield Outcome("R2", 7)


def violated(run: Run) -> Iterator[Outcome]:
    (run.folder / "evidence").write_text("what an engineer wants to see")
    yield Outcome("R1", 5, (Violation("I2", "seed 5", "twice in the inbox"),))
    yield Outcome("R2", 1)


def dies(run: Run) -> Iterator[Outcome]:
    yield Outcome("R1", 5)
    os.abort()


def silent(run: Run) -> Iterator[Outcome]:
    yield Outcome("R1", 5)


def idle(run: Run) -> Iterator[Outcome]:
    yield Outcome("R1", 5)
    yield Outcome("R2", 0)


def tells_its_time(run: Run) -> Iterator[Outcome]:
    yield Outcome("R1", int(run.seconds))
    yield Outcome("R2", 1)


def meets(run: Run) -> Iterator[Outcome]:
    """As many cases as of these were at work at once, of two that are waited for."""
    together = run.folder.parents[1]
    (together / f"met-{os.getpid()}").touch()
    deadline = time.monotonic() + 20
    while (met := len(list(together.glob("met-*")))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    yield Outcome("R1", met)
    yield Outcome("R2", 1)


def is_alone(run: Run) -> Iterator[Outcome]:
    """It measured how many others had a folder."""
    folders = list(run.folder.parents[1].glob("certainty-*"))
    yield Outcome("R1", 1, measured=f"{len(folders) - 1} beside it.")
    yield Outcome("R2", 1)
