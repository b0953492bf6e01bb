"""F03 for bridge and province, with the mailboxes that they serve."""

from __future__ import annotations

from collections.abc import Iterator

from certainty.shard import Outcome, Run
from certainty.sweep.power import sweep


def work(run: Run) -> Iterator[Outcome]:
    """Bridge and province."""
    return sweep(run, "bridge", "province")
