"""The shards of the programme, in the order in which they run."""

from __future__ import annotations

from typing import Final

from certainty.matrix import load_matrix
from certainty.shard import Shard

_PARTS: Final = {
    "disk": "Crash, power, disk",
    "intake": "Intake folder (outbox)",
    "content": "Content",
    "network": "Network and transfer",
    "identity": "Identity, keys, time, receipts",
    "operation": "Restore, upgrade, operation",
}


def _of_suite(name: str, part: str) -> Shard:
    rows = tuple(row.id for row in load_matrix() if row.tests and row.part == part)
    title = f"tests of the suite: {part.lower()}"
    return Shard(f"suite-{name}", title, rows, f"certainty.suite:{name}", in_quick=False)


# The tests of the suite run in `./run test` and `./run long`: the quick set does not run them again.
_SUITE: Final = tuple(_of_suite(name, part) for name, part in _PARTS.items())
SHARDS: Final[tuple[Shard, ...]] = (*(shard for shard in _SUITE if shard.rows),)
