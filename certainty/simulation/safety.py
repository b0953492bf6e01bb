"""``simulation-safety``: faults without end; at no moment is anything doubled, torn or promised wrongly."""

from __future__ import annotations

from collections.abc import Iterator

from certainty.shard import Outcome, Run
from certainty.simulation.shards import outcomes, play


def work(run: Run) -> Iterator[Outcome]:
    """Play seeds for as long as there is time."""
    tally = play(run, "safety")
    yield from outcomes(
        run,
        "S1",
        tally,
        f"{tally.seeds} seeds: {tally.drops} drops, {tally.shown} packets shown,"
        f" {tally.starts} starts of nodes, {tally.steps} steps",
    )
