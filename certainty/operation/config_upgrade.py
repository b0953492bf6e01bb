"""The shard ``operation-config-upgrade``: F104, F105, F109, F110."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from certainty.operation.old_queue import try_old_queues
from certainty.operation.reloads import try_reloads
from certainty.operation.town import in_memory
from certainty.operation.upgrade import try_upgrade
from certainty.shard import Outcome, Run


def work(run: Run) -> Iterator[Outcome]:
    """Upgrades first; the quick set has those that need nothing that runs."""
    with in_memory(run) as folder:
        placed = replace(run, folder=folder)
        yield from try_upgrade(placed)
        if not run.quick:
            yield try_old_queues(placed)
        yield from try_reloads(placed)
