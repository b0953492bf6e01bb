"""The four parts of F02: 500 random kills each, with seeds of their own, so that none takes too long."""

from __future__ import annotations

from collections.abc import Iterator

from certainty.kills.shard import work
from certainty.shard import Outcome, Run


def first(run: Run) -> Iterator[Outcome]:
    """Also the one of the quick set."""
    return work(run, 1)


def second(run: Run) -> Iterator[Outcome]:
    """500 more."""
    return work(run, 2)


def third(run: Run) -> Iterator[Outcome]:
    """500 more."""
    return work(run, 3)


def fourth(run: Run) -> Iterator[Outcome]:
    """500 more."""
    return work(run, 4)
