"""The wiring of a running node, by hand, in this one place: ports, parts, role. The loop is ``cli.service``.

Kept apart from the command ``exchanged`` so that worker processes, which import the main module anew,
do not load the whole engine.
"""

from __future__ import annotations

import gc
import queue
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import cli
import exchanged
import frontend_server
import packet_spec
from cli.exit_codes import ExitCode
from cli.service import Service, Signals
from exchanged.acts.opening import become, desk_of, no_agency
from exchanged.clock import SystemClock, SystemRandomness
from exchanged.config import Config, LogFormat
from exchanged.damage_mark import marking
from exchanged.errors import NodeStuckError
from exchanged.log import configure_logging
from exchanged.node import Node
from exchanged.notify import sd_notify, watchdog_interval_seconds
from exchanged.own_links import require_same_peers_now
from exchanged.parts import Parts, Ports, open_parts
from exchanged.pool import ProcessWorkPool, WorkPool
from exchanged.program import Program
from exchanged.provincial import bridge_stations, provincial_stations
from exchanged.station import Station
from frontend_server.role import frontend_agency, frontend_stations, require_folders
from packet_spec.limits import MIB
from packet_spec.model import NodeRole

# Threads that read and write release the interpreter at every call; one that computes shall not lose it each
# time. Nobody waits longer for it than this.
_SWITCH_SECONDS: Final = 0.02
# How long a reload waits for the folders of others before it is refused: well below a unit's WatchdogSec.
_PATIENCE_SECONDS: Final = 10.0
# What worker processes load before they take anything up, at front-ends and at others.
_WORK: Final = {
    True: ("exchanged.examine", "frontend_server.judging", "frontend_server.documents"),
    False: ("exchanged.examine",),
}


class _Wakes:
    """Wakes from the ledger, handed on once the node exists."""

    def __init__(self) -> None:
        self.target: Callable[[frozenset[str]], None] | None = None

    def __call__(self, names: frozenset[str]) -> None:
        if self.target is not None:
            self.target(names)


def run_node(path: Path, config: Config) -> ExitCode:
    """Run the node of ``config``, read from ``path``, until it is told to stop.

    Raises ExchangeError when it cannot start, or cannot go on after a reload (see ``cli.service``).
    """
    prepare_process()
    signals = Signals()
    signals.listen()
    watchdog = watchdog_interval_seconds()
    program = program_of_this_process()

    def open_it(config: Config) -> Node:
        return open_node(config, make_pool(config, program))

    service = Service(
        path, config, open_it, require_openable, signals, SystemClock(), sd_notify, set_log, watchdog, program
    )
    return service.run()


def program_of_this_process() -> Program:
    """As it lies there now: called before anything of a node is begun."""
    packages = (cli, exchanged, frontend_server, packet_spec)
    return Program(Path(package.__file__) for package in packages if package.__file__)


def prepare_process() -> None:
    """What holds for the interpreter as a whole. Before the first node is opened."""
    sys.setswitchinterval(_SWITCH_SECONDS)


def become_owner(config: Config) -> None:
    """As root, go on as the owner of the data: what root writes there the service could not open again.

    Raises ConfigurationError when that owner has no account.
    """
    with suppress(OSError):
        become(config.node.data_dir.stat().st_uid)


def set_log(config: Config) -> None:
    """Log as [log] says."""
    configure_logging(config.log.level.value, as_json=config.log.format is LogFormat.JSON)


def make_pool(config: Config, program: Program | None = None) -> WorkPool:
    """The worker processes that a node of that configuration uses; none is started yet.

    ``program``: the one whose replacing ends their use.
    """
    limits = config.limits
    return ProcessWorkPool(
        limits.workers,
        limits.check_timeout_seconds,
        limits.check_memory_mib * MIB,
        modules=_WORK[config.node.role is NodeRole.FRONTEND],
        program=program,
    )


def open_node(config: Config, pool: WorkPool | None = None) -> Node:
    """Open a node and let it work. ``pool``: what it closes when it stops; one of its own unless given.

    Raises ExchangeError, with everything let go, when it cannot.
    """
    wakes = _Wakes()
    ports = Ports(SystemClock(), SystemRandomness(), make_pool(config) if pool is None else pool)
    parts = open_parts(config, ports, wakes)
    with marking(config.node.data_dir), ExitStack() as undo:
        # Nothing has worked yet: whether the last stop was a clean one stays as it was found.
        undo.callback(parts.close, clean=parts.reconciled.clean_stop)
        stations, watched = stations_of(parts)
        agency = frontend_agency(config) if config.node.role is NodeRole.FRONTEND else no_agency
        node = Node(parts, stations, watched, desk_of(parts, agency))
        undo.pop_all()
    wakes.target = node.wake
    try:
        node.start()
    except RuntimeError as error:
        raise NodeStuckError("the threads of the node cannot be started", found=str(error)) from error
    # What stands now stands until the end: catalogue and schemas need not be looked through for garbage. The
    # node before a reload is garbage, and must not be kept with them.
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    return node


def require_openable(config: Config, patience_seconds: float = _PATIENCE_SECONDS) -> None:
    """Whether what a node needs of others to be opened is there at this moment; another one may run.

    Raises what opening it would raise, and NodeStuckError where no answer comes in time: a share that hangs
    must not hang who asks.
    """
    require_same_peers_now(config)
    if config.node.role is not NodeRole.FRONTEND:
        return
    answer: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            require_folders(config)
        except Exception as error:  # noqa: BLE001 - whatever it is, who asked hears it
            answer.put(error)
        else:
            answer.put(None)

    threading.Thread(target=ask, name="reload", daemon=True).start()
    try:
        error = answer.get(timeout=patience_seconds)
    except queue.Empty:
        raise NodeStuckError("the agency's folders do not answer") from None
    if error is not None:
        raise error


def stations_of(parts: Parts) -> tuple[tuple[Station, ...], dict[Path, str]]:
    """The stations of the configured role, and the folders whose events wake which of them."""
    match parts.config.node.role:
        case NodeRole.FRONTEND:
            return frontend_stations(parts)
        case NodeRole.PROVINCIAL:
            return provincial_stations(parts), {}
        case NodeRole.BRIDGE:
            return bridge_stations(parts), {}
