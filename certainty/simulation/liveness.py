"""``simulation-liveness``: faults that heal, and then everything comes to its end and all books balance."""

from __future__ import annotations

from collections.abc import Iterator

from certainty.shard import Outcome, Run
from certainty.simulation.shards import outcomes, play


def work(run: Run) -> Iterator[Outcome]:
    """Play seeds for as long as there is time."""
    tally = play(run, "liveness")
    slowest = max(tally.drained, default=0.0)
    yield from outcomes(
        run,
        "S2",
        tally,
        f"{tally.seeds} seeds: {tally.drops} drops, {tally.shown} packets shown,"
        f" {tally.starts} starts of nodes, {tally.steps} steps;"
        f" at rest at most {slowest:.0f} s of simulated time after everything healed",
    )
