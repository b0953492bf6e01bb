"""The wiring of a running node, by hand, in this one place: ports, parts, role, signals.

Kept apart from the command ``exchanged`` so that worker processes, which import the main module anew,
do not load the whole engine.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path

from cli.exit_codes import ExitCode, exit_code_of
from cli.locale import _
from cli.render import ask
from exchanged import __version__
from exchanged.clock import SystemClock, SystemRandomness
from exchanged.config import Config
from exchanged.ledger import open_read_only
from exchanged.ledger.verify import verify_ledger
from exchanged.log import event_line
from exchanged.node import Node
from exchanged.notify import sd_notify
from exchanged.parts import Parts, Ports, open_parts
from exchanged.places import DAMAGE_FILE, LEDGER_FILE
from exchanged.pool import ProcessWorkPool
from exchanged.provincial import bridge_stations, provincial_stations
from exchanged.station import Station
from frontend_server.role import frontend_stations
from packet_spec.errors import ExchangeError
from packet_spec.model import NodeRole


class _Wakes:
    """Wakes from the ledger, handed on once the node exists."""

    def __init__(self) -> None:
        self.target: Callable[[frozenset[str]], None] | None = None

    def __call__(self, names: frozenset[str]) -> None:
        if self.target is not None:
            self.target(names)


def run_node(config: Config) -> ExitCode:
    """Run a node until it is told to stop. Raises ExchangeError when it cannot start."""
    clock, randomness = SystemClock(), SystemRandomness()
    pool = ProcessWorkPool(config.limits.workers, config.limits.check_timeout_seconds)
    wakes = _Wakes()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    parts = open_parts(config, Ports(clock, randomness, pool), wakes)
    stations, watched = stations_of(parts)
    node = Node(parts, stations, watched)
    wakes.target = node.wake
    node.start()
    sd_notify("READY=1")
    event_line("ready", node=config.node.code, version=__version__)
    error: ExchangeError | None = None
    while not stop.is_set() and error is None:
        error = node.wait(0.2)
    sd_notify("STOPPING=1")
    node.stop()
    return ExitCode.DONE if error is None else exit_code_of(error)


def stations_of(parts: Parts) -> tuple[tuple[Station, ...], dict[Path, str]]:
    """The stations of the configured role, and the folders whose events wake which of them."""
    match parts.config.node.role:
        case NodeRole.FRONTEND:
            return frontend_stations(parts)
        case NodeRole.PROVINCIAL:
            return provincial_stations(parts), {}
        case NodeRole.BRIDGE:
            return bridge_stations(parts), {}


def recover(config: Config) -> None:
    """After a damaged volume: verify the ledger and take the mark away, once a person confirmed.

    Raises LedgerDamagedError when ledger or files contradict each other.
    """
    ask(_("Was the volume checked and is it sound?"))
    data_dir = config.node.data_dir
    verify_ledger(open_read_only(data_dir / LEDGER_FILE), data_dir)
    (data_dir / DAMAGE_FILE).unlink(missing_ok=True)
