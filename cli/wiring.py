"""The wiring of a running node, by hand, in this one place: ports, parts, role, signals.

Kept apart from the command ``exchanged`` so that worker processes, which import the main module anew,
do not load the whole engine.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import click

from cli.exit_codes import ExitCode, exit_code_of
from exchanged import __version__
from exchanged.acts.opening import desk_of, no_agency
from exchanged.clock import SystemClock, SystemRandomness
from exchanged.config import Config
from exchanged.errors import ConfigurationError
from exchanged.ledger import open_read_only
from exchanged.ledger.verify import verify_ledger
from exchanged.log import event_line
from exchanged.node import Node
from exchanged.notify import sd_notify
from exchanged.parts import Ports, open_parts
from exchanged.places import DAMAGE_FILE, LEDGER_FILE
from exchanged.pool import ProcessWorkPool
from exchanged.provincial import provincial_stations
from frontend_server.role import frontend_agency, frontend_stations
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
    if config.node.role is NodeRole.BRIDGE:
        raise ConfigurationError(("[node] role: this version cannot run a bridge",))
    clock, randomness = SystemClock(), SystemRandomness()
    frontend = config.node.role is NodeRole.FRONTEND
    pool = ProcessWorkPool(config.limits.workers, config.limits.check_timeout_seconds)
    wakes = _Wakes()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    parts = open_parts(config, Ports(clock, randomness, pool), wakes)
    if frontend:
        stations, watched = frontend_stations(parts)
    else:
        stations, watched = provincial_stations(parts), {}
    agency = frontend_agency(config) if frontend else no_agency
    node = Node(parts, stations, watched, desk_of(parts, agency))
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


def recover(config: Config) -> None:
    """After a damaged volume: verify the ledger and take the mark away, once a person confirmed.

    Raises LedgerDamagedError when ledger or files contradict each other.
    """
    click.confirm("Was the volume checked and is it sound?", abort=True, err=True)
    data_dir = config.node.data_dir
    verify_ledger(open_read_only(data_dir / LEDGER_FILE), data_dir)
    (data_dir / DAMAGE_FILE).unlink(missing_ok=True)
