"""The shards of the programme, in the order in which they run. Each module has a function ``work(run)``."""

from __future__ import annotations

from typing import Final

from certainty.shard import Shard

SHARDS: Final[tuple[Shard, ...]] = (
    Shard(
        "intake-files",
        "What lies in an outbox, and what is done to it while it is taken",
        ("F20", "F21", "F22", "F28", "F29", "F30", "F35", "F36"),
        "certainty.intake.files",
        needs=("root",),
        quick_seconds=60,
        full_seconds=900,
    ),
    Shard(
        "intake-shares",
        "Folders without events, that vanish, hang, are full, closed, or belong to two daemons",
        ("F24", "F31", "F32", "F33", "F34", "F37"),
        "certainty.intake.shares",
        needs=("root", "/dev/fuse", "fusermount3", "mount", "umount", "setpriv", "unshare"),
        quick_seconds=120,
        full_seconds=600,
    ),
    Shard(
        "intake-scale",
        "Overflow of the watch queue, 100,000 drops at once, 100,000 files and 1 GiB in one drop",
        ("F23", "F25", "F26", "F27"),
        "certainty.intake.scale",
        needs=("root",),
        quick_seconds=60,
        full_seconds=1200,
    ),
)
