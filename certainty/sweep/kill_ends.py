"""F01 for the two front-ends: intake, sealing, offering, landing, judging, delivery, receipts, retention."""

from __future__ import annotations

from collections.abc import Iterator

from certainty.shard import Outcome, Run
from certainty.sweep.kills import sweep
from certainty.sweep.world import ROLES


def work(run: Run) -> Iterator[Outcome]:
    """Sender and receiver; in the quick set all four, since making the world takes longer than a case."""
    return sweep(run, *(ROLES if run.quick else ("sender", "receiver")))
