"""F01 for the two front-ends: intake, sealing, offering, landing, judging, delivery, receipts, retention."""

from __future__ import annotations

from collections.abc import Iterator

from certainty.shard import Outcome, Run
from certainty.sweep.kills import sweep


def work(run: Run) -> Iterator[Outcome]:
    """Sender and receiver."""
    return sweep(run, "sender", "receiver")
