"""The shard ``operation-poison-clock``: F46, F52, F89."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from certainty.operation.clock import try_clock
from certainty.operation.poison import try_poison
from certainty.operation.town import in_memory
from certainty.shard import Outcome, Run


def work(run: Run) -> Iterator[Outcome]:
    """Poison first, then the clock: of that the quick set has what is simulated."""
    with in_memory(run) as folder:
        placed = replace(run, folder=folder)
        yield from try_poison(placed)
        if not run.quick:
            yield from try_clock(placed)
