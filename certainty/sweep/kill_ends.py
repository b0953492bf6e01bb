"""F01 for the two front-ends: intake, sealing, offering, landing, judging, delivery, receipts, retention."""

from __future__ import annotations

from collections.abc import Iterator

from certainty.shard import Outcome, Run
from certainty.sweep.kills import sweep


def work(run: Run) -> Iterator[Outcome]:
    """Sender and receiver; in the quick set receiver and bridge, and nothing of the middle by itself."""
    return sweep(run, "bridge" if run.quick else "sender", "receiver")
