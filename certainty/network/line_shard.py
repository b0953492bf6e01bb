"""Shard ``network-line``: the way between two nodes is cut, silent, slow, lossy, corrupt (F60 to F64)."""

from __future__ import annotations

from collections.abc import Iterator

from certainty.network.cuts import corrupt_again_and_again, cut_again_and_again
from certainty.network.hard_lines import crawl, fall_silent, lose_and_delay
from certainty.shard import Outcome, Run


def work(run: Run) -> Iterator[Outcome]:
    """Row by row. The quick set leaves out slowness, silence and loss: they take minutes by what they are."""
    yield cut_again_and_again(run, 20 if run.quick else 330)
    if not run.quick:
        yield crawl(run)
    yield corrupt_again_and_again(run, 20 if run.quick else 300)
    if not run.quick:
        yield fall_silent(run)
        yield lose_and_delay(run)
