"""F03 for the two front-ends, with their agencies' folders."""

from __future__ import annotations

from collections.abc import Iterator

from certainty.shard import Outcome, Run
from certainty.sweep.power import sweep


def work(run: Run) -> Iterator[Outcome]:
    """Sender and receiver; in the quick set sender and province, and nothing of the middle by itself."""
    return sweep(run, "sender", "province" if run.quick else "receiver")
