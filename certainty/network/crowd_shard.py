"""Shard ``network-crowd``: one that never reads, a hundred that come back, one that floods (F75-F78)."""

from __future__ import annotations

from collections.abc import Iterator

from certainty.network.crowd import all_at_once
from certainty.network.flooding import flood
from certainty.network.slow_reader import never_empty
from certainty.shard import Outcome, Run


def work(run: Run) -> Iterator[Outcome]:
    """Row by row."""
    yield all_at_once(run)
    if not run.quick:
        yield never_empty(run)
        yield flood(run)
