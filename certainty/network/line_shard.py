"""Shard ``network-line``: the way between two nodes is cut, silent, slow, lossy, corrupt (F60 to F64)."""

from __future__ import annotations

from collections.abc import Iterator

from certainty.network.cuts import corrupt_again_and_again, cut_again_and_again
from certainty.shard import Outcome, Run


def work(run: Run) -> Iterator[Outcome]:
    """Row by row."""
    yield cut_again_and_again(run, 240)
    yield corrupt_again_and_again(run, 360)
