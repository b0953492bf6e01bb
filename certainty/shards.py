"""The shards of the programme, in the order in which they run. Each module has a function ``work(run)``."""

from __future__ import annotations

from typing import Final

from certainty.shard import Shard

SHARDS: Final[tuple[Shard, ...]] = ()
