"""F03 for the two front-ends, with their agencies' folders."""

from __future__ import annotations

from collections.abc import Iterator

from certainty.shard import Outcome, Run
from certainty.sweep.power import sweep


def work(run: Run) -> Iterator[Outcome]:
    """Sender and receiver."""
    return sweep(run, "sender", "receiver")
