"""The shards of this area, for the table of all."""

from __future__ import annotations

from typing import Final

from certainty.shard import Shard

_VOLUMES: Final = ("root", "mkfs.ext4", "mount", "umount", "/dev/loop-control")
_FULL: Final = ("F06", "F07", "F08", "F09", "F14")
_TEARS: Final = (*_VOLUMES, "debugfs")


def _shard(
    name: str, title: str, rows: tuple[str, ...], needs: tuple[str, ...], quick: int, full: int
) -> Shard:
    """``quick`` and ``full`` are seconds; a shard without ``quick`` is not in that set.

    All that play on volumes have a worker for each processor. The module bears the name of the shard; what
    follows a slash there is the role that it is about.
    """
    area, _, role = name.partition("/")
    module = f"certainty.sweep.{area.replace('-', '_')}{role and f':{role}'}"
    return Shard(
        f"sweep-{name.replace('/', '-')}",
        title,
        rows,
        module,
        needs,
        in_quick=quick > 0,
        fills_machine="root" in needs,
        quick_seconds=quick,
        full_seconds=full,
    )


SHARDS: Final = (
    _shard("kills/sender", "a front-end that sends, killed before each call", ("F01",), _VOLUMES, 0, 1000),
    _shard("kills/bridge", "a bridge, killed before each call", ("F01",), _VOLUMES, 0, 1000),
    _shard("kills/province", "the province, killed before each call", ("F01",), _VOLUMES, 0, 1000),
    _shard("kills/receiver", "a front-end that receives, killed", ("F01",), _VOLUMES, 15, 1000),
    _shard("power/sender", "power cut before each call of a sender", ("F03",), _VOLUMES, 15, 1000),
    _shard("power/bridge", "power cut before each call of a bridge", ("F03",), _VOLUMES, 0, 1000),
    _shard("power/province", "power cut before each call of the province", ("F03",), _VOLUMES, 0, 1000),
    _shard("power/receiver", "power cut before each call of a receiver", ("F03",), _VOLUMES, 15, 1000),
    _shard("power-chance", "torn writes; two machines at once", ("F04", "F15"), _TEARS, 25, 560),
    _shard("faults", "the one call that fails", ("F05", "F06", "F10"), _VOLUMES, 22, 700),
    _shard("daemons", "real daemons whose flush fails", ("F05",), (), 9, 300),
    _shard("disk", "volumes full, read-only, below the floor", _FULL, _VOLUMES, 26, 550),
    _shard("rot", "bytes that changed by themselves", ("F11", "F12"), _VOLUMES, 20, 550),
)
