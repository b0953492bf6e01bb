"""A process that carries several nodes, each with its own configuration, keys, lock, and ledger.

    python -m bench.hive CONFIG...

Shared are the program that is loaded and the worker processes, which know nothing of nodes. It says
``ready CODE`` of each node on its standard output, and looks after all of them as the daemon does after one.
It is ended by a kill, and ends itself with 1 when a node failed for good.
"""

from __future__ import annotations

import logging
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from certainty.sweep.calls import die_with_parent
from cli.wiring import make_pool, open_node, prepare_process, set_log
from exchanged.config import load_config
from exchanged.log import event_line
from exchanged.node import Node
from exchanged.pool import WorkPool
from packet_spec.errors import ExchangeError

BEAT_SECONDS: Final = 10.0
"""How often the daemon looks after its node."""

A = TypeVar("A")
B = TypeVar("B")


class SharedPool:
    """A pool that outlives the nodes which use it."""

    def __init__(self, pool: WorkPool) -> None:
        self._pool = pool
        self._wakes: list[Callable[[], None]] = []
        pool.when_answered(self._wake_all)

    def run(self, function: Callable[[A], B], works: Sequence[A]) -> list[B | ExchangeError]:
        """As the pool does."""
        return self._pool.run(function, works)

    def when_answered(self, wake: Callable[[], None]) -> None:
        """As the pool does, for every node that asks."""
        self._wakes.append(wake)

    def _wake_all(self) -> None:
        for wake in tuple(self._wakes):
            wake()

    def slow_pieces(self) -> Mapping[int, bool]:
        """As the pool does."""
        return self._pool.slow_pieces()

    def await_ready(self) -> None:
        """As the pool does."""
        self._pool.await_ready()

    def close(self) -> None:
        """Nothing: others work on."""


def main(paths: Sequence[str]) -> int:
    """Carry these nodes until one has failed, or whoever started them ends them all."""
    die_with_parent()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    prepare_process()
    configs = [load_config(Path(path)) for path in paths]
    set_log(configs[0])
    pool = SharedPool(make_pool(configs[0]))
    nodes: list[Node] = []
    for config in configs:
        nodes.append(open_node(config, pool))
        print(f"ready {config.node.code}", flush=True)
    return _look_after(nodes)


def _look_after(nodes: Sequence[Node]) -> int:
    """Their beats are spread over the time of one."""
    due = time.monotonic()
    while True:
        for node in nodes:
            due += BEAT_SECONDS / len(nodes)
            time.sleep(max(0.0, due - time.monotonic()))
            node.health()
            if (error := node.wait(0)) is not None:
                event_line("ended", level=logging.ERROR, error=error.reference)
                return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
