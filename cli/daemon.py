"""``exchanged``: the daemon of one node, in the foreground. The wiring is in ``cli.wiring``.

It starts what the configured role needs, says READY=1 to the service manager, reads its configuration anew on
SIGHUP, and stops within ten seconds of SIGTERM or SIGINT. Exit codes: 0 stopped, 2 configuration, 6 ledger or
spool damaged, 7 another daemon holds the lock; the service is not restarted on 2 and 6. Worker processes
import this module, so it loads the engine only when the command runs.
"""

from __future__ import annotations

import faulthandler
import sys
from contextlib import suppress
from pathlib import Path

import click

from cli.exit_codes import ExitCode, exit_code_of
from cli.frame import as_called, config_option, translate_help
from cli.locale import _
from cli.locale.click_texts import translate_click
from cli.main import describe, refused_by_system, show_usage_error
from cli.render import make_printable, printable
from exchanged import __version__
from exchanged.log import configure_logging, event_line
from packet_spec.errors import ExchangeError


@click.command("exchanged")
@config_option
@click.option("--recover", "wants_recovery", is_flag=True, help="Start again after the volume failed.")
@click.version_option(__version__, prog_name="exchanged", message="%(prog)s %(version)s")
def exchanged(config_path: Path, wants_recovery: bool) -> None:
    """Run one node of the exchange in the foreground.

    As root it goes on as the owner of data_dir, as the service does.

    \b
    Example:
      exchanged --config /etc/exchanged/exchanged.toml
    """
    from cli.floors import require_libraries  # noqa: PLC0415 - worker processes need not ask

    try:
        require_libraries()
    except ExchangeError as error:
        print(describe(error), file=sys.stderr)
        sys.exit(int(exit_code_of(error)))
    from cli.render import ask  # noqa: PLC0415 - see the module's docstring
    from cli.wiring import become_owner, run_node, set_log  # noqa: PLC0415 - likewise
    from exchanged.config import load_config  # noqa: PLC0415 - likewise
    from exchanged.recovering import recover  # noqa: PLC0415 - likewise

    configure_logging("info", as_json=False)
    # When the watchdog ends a node that hangs, the log shows where every thread stood.
    with suppress(OSError, RuntimeError):
        faulthandler.enable()
    try:
        config = load_config(config_path)
        set_log(config)
        become_owner(config)
        if wants_recovery:
            ask(_("Was the volume checked and is it sound?"))
            recover(config.node.data_dir)
            # As a service the node may have keys that it is not given here.
            print(_("the mark of damage is gone: the service may start this node again"), file=sys.stderr)
        code = run_node(config_path, config)
    except ExchangeError as error:
        code = _end(error, config_path)
    except click.Abort:
        event_line("ended", level=40, error="not-confirmed")
        print(_("stopped: no answer was given"), file=sys.stderr)
        code = ExitCode.USAGE
    except Exception as error:  # noqa: BLE001 - the boundary: no traceback passes it
        refused = refused_by_system(error)
        code = _end_unforeseen(error) if refused is None else _end(refused, config_path)
    sys.exit(int(code))


def _end(error: ExchangeError, config_path: Path) -> ExitCode:
    event_line("ended", level=40, error=error.reference)
    print(as_called(describe(error), config_path), file=sys.stderr)
    return exit_code_of(error)


def _end_unforeseen(error: Exception) -> ExitCode:
    what = f"{type(error).__name__}: {error}"
    event_line("ended", level=40, error="internal-error", what=what)
    print(printable(_("an error that nobody foresaw: {what}").format(what=what)), file=sys.stderr)
    return ExitCode.TEMPORARY


def main() -> None:
    """The console script ``exchanged``."""
    make_printable(sys.stdout)
    make_printable(sys.stderr)
    translate_click()
    translate_help(exchanged)
    try:
        exchanged.main(standalone_mode=False)
    except click.ClickException as error:
        sys.exit(show_usage_error(error))
    except click.Abort:
        # The library's name for a keyboard interrupt before the daemon listens to signals.
        print(_("stopped by the keyboard"), file=sys.stderr)
        sys.exit(ExitCode.INTERRUPTED)


if __name__ == "__main__":
    main()
