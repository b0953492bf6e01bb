"""The shard ``operation-poison-clock``: F46, F52, F89."""

from __future__ import annotations

from collections.abc import Iterator

from certainty.operation.clock import try_clock
from certainty.operation.poison import try_poison
from certainty.shard import Outcome, Run


def work(run: Run) -> Iterator[Outcome]:
    """Poison first, then the clock."""
    yield from try_poison(run)
    yield from try_clock(run)
