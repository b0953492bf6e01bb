"""The row of latency: packets that come alone, on a system that does nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Final

from bench.drops import lone_files
from bench.peers import postfix
from bench.province import NotArrivedError, Province, names_in
from bench.result import Check, Reference, Result, Run

FULL_COUNT: Final = 100
QUICK_COUNT: Final = 40
# The first ones make connections, folders and worker processes.
_WARM_UP: Final = 3
_LOOK_SECONDS: Final = 0.001
_PAUSE_SECONDS: Final = 0.25
_LIMIT_SECONDS: Final = 30.0
# Milliseconds, submission to maildir through a relay (docs/performance.md).
USUAL_POSTFIX: Final = 17.0


def latency(run: Run) -> Result:
    """One drop after the other: rename to inbox, and rename to the ``delivered`` receipt."""
    count = FULL_COUNT if run.full else QUICK_COUNT
    drops = lone_files(run.folder / "drops", count + _WARM_UP)
    run.tell("Postfix")
    theirs = [seconds * 1000 for seconds in postfix.one_after_another(run.folder / "postfix", count)]
    run.tell(f"ours: {count} drops")
    arrived: list[float] = []
    receipted: list[float] = []
    with Province(run.folder / "p") as province:
        staged, outbox = province.stage(drops), province.outbox(drops.sender)
        inbox = province.lab.agency_root(drops.receiver) / "inbox"
        receipts = province.lab.agency_root(drops.sender) / "receipts"
        for number, name in enumerate(drops.names, 1):
            began = time.monotonic()
            (staged / name).rename(outbox / name)
            arrived.append((_await(lambda: _packets(inbox) >= number) - began) * 1000)  # noqa: B023
            receipted.append((_await(lambda: _delivered(receipts) >= number) - began) * 1000)  # noqa: B023
            time.sleep(_PAUSE_SECONDS)
    arrived, receipted = arrived[_WARM_UP:], receipted[_WARM_UP:]
    return Result(
        (
            Check("drop to inbox, p50", median(arrived), 60.0, "ms", at_least=False),
            Check("drop to inbox, p95", p95(arrived), 150.0, "ms", at_least=False),
            Check("drop to delivered receipt, p50", median(receipted), 150.0, "ms", at_least=False),
        ),
        (Reference("Postfix through a relay, p50", median(theirs), USUAL_POSTFIX, "ms"),),
        {
            "inbox, most, ms": round(max(arrived), 1),
            "receipt, p95, ms": round(p95(receipted), 1),
            "Postfix, p95, ms": round(p95(theirs), 1),
        },
    )


def p95(values: Sequence[float]) -> float:
    """The value that nineteen of twenty do not pass."""
    return quantiles(values, n=20)[-1] if len(values) > 1 else values[0]


def _await(seen: Callable[[], bool]) -> float:
    deadline = time.monotonic() + _LIMIT_SECONDS
    while not seen():
        if time.monotonic() > deadline:
            raise NotArrivedError("a packet or its receipt did not come in time")
        time.sleep(_LOOK_SECONDS)
    return time.monotonic()


def _packets(inbox: Path) -> int:
    """How many packets lie in an inbox; names alone, so that looking so often costs little."""
    return sum(len(names_in(inbox / kind)) for kind in names_in(inbox))


def _delivered(receipts: Path) -> int:
    """How many packets have their ``delivered`` receipt: at most the newest folder still lacks it."""
    names = names_in(receipts)
    if names and not any(name.startswith("delivered-") for name in names_in(receipts / max(names))):
        return len(names) - 1
    return len(names)
