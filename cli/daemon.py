"""``exchanged``: the daemon of one node, in the foreground, wired by hand in this one place.

It starts what the configured role needs, says READY=1 to the service manager, and stops within ten
seconds of SIGTERM or SIGINT. Exit codes: 0 stopped, 2 configuration, 6 ledger or spool damaged,
7 another daemon holds the lock; the service is not restarted on 2, 6 and 7.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from cli.exit_codes import ExitCode, exit_code_of
from cli.frame import DEFAULT_CONFIG
from cli.main import describe
from exchanged import __version__
from exchanged.clock import SystemClock, SystemRandomness
from exchanged.config import Config, LogFormat, load_config
from exchanged.errors import VolumeDamagedError
from exchanged.log import configure_logging, event_line
from exchanged.node import Node
from exchanged.notify import sd_notify
from exchanged.parts import DAMAGE_FILE, LEDGER_FILE, Ports, open_parts
from exchanged.pool import ProcessWorkPool
from exchanged.provincial import provincial_stations
from packet_spec.errors import ExchangeError
from packet_spec.model import NodeRole

PRELOAD: Final = ("exchanged.examine",)
PRELOAD_FRONTEND: Final = ("exchanged.examine", "frontend_server.judging")


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
    frontend = config.node.role is NodeRole.FRONTEND
    pool = ProcessWorkPool(
        config.limits.workers,
        config.limits.check_timeout_seconds,
        PRELOAD_FRONTEND if frontend else PRELOAD,
    )
    wakes = _Wakes()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    parts = open_parts(config, Ports(clock, randomness, pool), wakes)
    if frontend:
        from frontend_server.role import frontend_stations  # noqa: PLC0415 - only this role needs it

        stations, watched = frontend_stations(parts)
    else:
        stations, watched = provincial_stations(parts), {}
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


def recover(config: Config) -> None:
    """After a damaged volume: verify the ledger and take the mark away, once a person confirmed.

    Raises LedgerDamagedError when ledger or files contradict each other.
    """
    from exchanged.ledger import open_read_only  # noqa: PLC0415 - only here
    from exchanged.ledger.verify import verify_ledger  # noqa: PLC0415 - only here

    click.confirm("Was the volume checked and is it sound?", abort=True, err=True)
    data_dir = config.node.data_dir
    verify_ledger(open_read_only(data_dir / LEDGER_FILE))
    (data_dir / DAMAGE_FILE).unlink(missing_ok=True)


@click.command("exchanged")
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIG,
    envvar="EXCHANGED_CONFIG",
    show_default=True,
    metavar="FILE",
    help="The configuration of the node; also EXCHANGED_CONFIG.",
)
@click.option("--recover", "wants_recovery", is_flag=True, help="Start again after the volume failed.")
@click.version_option(__version__, prog_name="exchanged", message="%(prog)s %(version)s")
def exchanged(config_path: Path, wants_recovery: bool) -> None:
    """Run one node of the exchange in the foreground.

    \b
    Example:
      exchanged --config /etc/exchanged/exchanged.toml
    """
    try:
        config = load_config(config_path)
        configure_logging(config.log.level.value, as_json=config.log.format is LogFormat.JSON)
        if wants_recovery:
            recover(config)
        code = run_node(config)
    except ExchangeError as error:
        if isinstance(error, VolumeDamagedError):
            event_line("volume-damaged", level=40, what=str(error))
        print(describe(error), file=sys.stderr)
        code = exit_code_of(error)
    sys.exit(int(code))


def main() -> None:
    """The console script ``exchanged``."""
    exchanged.main(standalone_mode=True)


if __name__ == "__main__":
    main()
