"""Shard ``network-server``: the server is killed, full, refuses, forgets, is not itself (F65 to F69)."""

from __future__ import annotations

from collections.abc import Iterator

from certainty.network.killed_server import forget_after_ok, kill_at_every_write
from certainty.network.refusing_server import refuse
from certainty.network.strange_servers import another_host_key, strange_servers
from certainty.shard import Outcome, Run
from certainty.sweep.volume import private_mounts


def work(run: Run) -> Iterator[Outcome]:
    """Row by row. Mounts are this process's own and end with it."""
    private_mounts()
    yield refuse(run)
    yield kill_at_every_write(run)
    if not run.quick:
        yield forget_after_ok(run)
        yield another_host_key(run)
        yield strange_servers(run)
