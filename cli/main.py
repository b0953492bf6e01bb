"""``exchangectl``: the operator's tool, and the one place where errors become text and exit codes.

Guarantees: an error of ours ends with what is wrong, expected and found, a hint and where to read on;
anything else ends with one line and a reference, and with a traceback only under ``--debug``; no
encoding of the terminal and no closed pipe makes it crash. Leaves to others: what commands do.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
from click.shell_completion import shell_complete

from cli.closed_pipe import stop_printing
from cli.exit_codes import ExitCode, exit_code_of
from cli.frame import (
    DEFAULT_CONFIG,
    LazyGroup,
    PartlyDoneError,
    PlanError,
    Settings,
    as_called,
    config_option,
    translate_help,
)
from cli.locale import _, told
from cli.locale.click_texts import translate_click
from cli.render import make_printable, printable, say_json
from exchanged import __version__
from exchanged.errors import ConfigurationError, FileOperationError, LedgerDamagedError
from exchanged.places import LEDGER_FILE
from exchanged.volume import advice_about
from packet_spec.errors import ExchangeError

NAME: Final = "exchangectl"
_COMPLETION: Final = "_EXCHANGECTL_COMPLETE"

NOUNS: Final = {
    "config": "Check the configuration of a node.",
    "key": "Make and show keys.",
    "directory": "Build, sign, verify and install the directory.",
    "agency": "Let agencies come, stop and leave.",
    "pack": "Build, check, show, compare and install versions of the standard.",
    "node": "Make a node, see how it is, put a backup in its place.",
    "link": "Links: their state, acts on them, and the jail of an account.",
    "folder": "The folders that the case software sees.",
    "packet": "Check, make and look at packets.",
    "queue": "What waits, for whom, and how long.",
    "receipt": "Verify and show receipts.",
    "event": "What happened at this node, and who did it.",
    "ledger": "Verify and export the ledger.",
    "backup": "Take backups, and see whether one is whole.",
    "log": "Show and compare the logs of what nodes accepted.",
    "proof": "Build and verify proofs that stand alone.",
    "lab": "Run a whole province on this machine.",
    "kit": "Build the kit for makers of case software.",
    "demo": "Send a case through a province on this machine.",
}


@click.group(
    NAME,
    cls=LazyGroup,
    nouns=NOUNS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@config_option
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(__version__, prog_name=NAME, message="%(prog)s %(version)s")
@click.pass_context
def exchangectl(context: click.Context, config_path: Path, debug: bool) -> None:
    """Look at and act on a node of the exchange.

    Exit codes: 0 done, 1 findings to look at, 2 usage or configuration, 3 try later, 4 no such thing,
    5 refused by state or trust, 6 ledger or spool damaged, 7 another daemon holds the lock.

    \b
    Example:
      exchangectl --config /etc/exchanged/exchanged.toml config check
    """
    context.obj = Settings(config_path, debug)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; never raises."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    _log_nothing()
    make_printable(sys.stdout)
    make_printable(sys.stderr)
    translate_click()
    try:
        code = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:
        return stop_printing(ExitCode.PIPE_CLOSED)
    except OSError as error:
        why = told(error.strerror or "", "value")
        _complain(_("the output cannot be written: {why}").format(why=why))
        return stop_printing(ExitCode.TEMPORARY)
    return code


def describe(error: ExchangeError) -> str:
    """What the operator reads about an error of ours, one thing per line, in the operator's language."""
    if isinstance(error, ConfigurationError):
        is_plan = isinstance(error, PlanError)
        what = _("the plan cannot be used") if is_plan else _("the configuration cannot be used")
        lines = [what, *(f"  - {told(problem)}" for problem in error.problems)]
    else:
        lines = [told(error.summary)]
    if error.where:
        lines[0] += f": {told(error.where, 'value')}"
    if error.expected or error.found:
        for name, value in ((_("expected"), error.expected), (_("found"), error.found)):
            lines.append(f"  {name}: {told(value, 'value') or '-'}")
    if error.advice:
        lines.append(f"{_('hint')}: {told(error.advice)}")
    lines.append(f"{_('see')}: docs/errors.md#{error.reference}")
    return "\n".join(printable(line) for line in lines)


def refused_by_system(error: Exception) -> ExchangeError | None:
    """An error that nobody foresaw as one of ours, where a person can see to its reason; else None."""
    if not isinstance(error, OSError):
        # Only now: most commands open no ledger.
        from exchanged.ledger.damage import REFUSED, name_damage  # noqa: PLC0415

        named = name_damage(error, LEDGER_FILE) if isinstance(error, REFUSED) else None
        # What its engine refuses for any other reason is a bug of ours.
        return None if isinstance(named, LedgerDamagedError) else named
    hint = advice_about(error.errno)
    if hint is None:
        return None
    where, found = str(error.filename or ""), error.strerror or ""
    return FileOperationError("the system refuses a file operation", where=where, found=found, hint=hint)


def show_usage_error(error: click.ClickException) -> int:
    """Print what is wrong with a command line, whatever the terminal can show; its exit code."""
    error.show(file=sys.stderr)
    return error.exit_code


def _run(words: list[str]) -> int:
    try:
        if instruction := os.environ.get(_COMPLETION):
            return shell_complete(exchangectl, {}, NAME, _COMPLETION, instruction)
        translate_help(exchangectl)
        with exchangectl.make_context(NAME, list(words)) as context:
            result = exchangectl.invoke(context)
        return result if isinstance(result, int) else ExitCode.DONE
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.Abort:
        _complain(_("stopped: no answer was given"))
        return ExitCode.USAGE
    except click.ClickException as error:
        if "--json" in words:
            usage = {"reference": "usage", "summary": error.format_message(), "exit_code": error.exit_code}
            say_json({"error": usage})
        return show_usage_error(error)
    except KeyboardInterrupt:
        _complain(_("stopped by the keyboard"))
        return ExitCode.INTERRUPTED
    except (ExchangeError, PartlyDoneError) as error:
        return _report(error, words)
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the boundary: nothing passes it
        refused = refused_by_system(error)
        return _report_internal(error, words) if refused is None else _report(refused, words)


def _report(error: ExchangeError | PartlyDoneError, words: Sequence[str]) -> int:
    """What was done before it is told beside it: a caller reads one document."""
    done: dict[str, object] = {}
    if isinstance(error, PartlyDoneError):
        done, error = {"answer": error.answer}, error.error
    code = exit_code_of(error)
    _trace(words)
    if "--json" in words:
        said = {**error.to_json(), "exit_code": int(code)}
        problems = {"problems": error.problems} if isinstance(error, ConfigurationError) else {}
        say_json({**done, "error": said | problems})
    _complain(as_called(describe(error), _config_of(words)))
    return code


def _config_of(words: Sequence[str]) -> Path:
    """The ``--config`` of a command line that could be read, or the default."""
    for number, word in enumerate(words):
        if word == "--config" and number + 1 < len(words):
            return Path(words[number + 1])
        if word.startswith("--config="):
            return Path(word.removeprefix("--config="))
        if not word.startswith("-"):
            break
    return DEFAULT_CONFIG


def _report_internal(error: Exception, words: Sequence[str]) -> int:
    _trace(words)
    kind = type(error).__name__
    if "--json" in words:
        say_json({"error": {"reference": "internal-error", "summary": kind, "exit_code": ExitCode.TEMPORARY}})
    _complain(
        _("internal error ({kind}); for the details add --debug; see: {where}").format(
            kind=kind, where="docs/errors.md#internal-error"
        )
    )
    return ExitCode.TEMPORARY


def _trace(words: Sequence[str]) -> None:
    if "--debug" in words:
        traceback.print_exc()


def _complain(text: str) -> None:
    print(text, file=sys.stderr)


def _log_nothing() -> None:
    """Log lines of the engine are the daemon's; a command says what there is to say by itself."""
    logger = logging.getLogger("exchanged")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


if __name__ == "__main__":
    sys.exit(main())
