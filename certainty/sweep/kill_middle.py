"""F01 for what lies between the front-ends: landing, judging, forwarding, receipts, collection of blobs."""

from __future__ import annotations

from collections.abc import Iterator

from certainty.shard import Outcome, Run
from certainty.sweep.kills import sweep


def work(run: Run) -> Iterator[Outcome]:
    """Bridge and province."""
    return sweep(run, "bridge", "province")
