"""``exchangectl link test``: dial now, step by step, and say whose fault it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.exit_codes import ExitCode, exit_code_of
from cli.frame import Settings, as_called, json_option
from cli.locale import _, told
from cli.node_view import find_link, open_view
from cli.render import printable, say, say_json, table
from packet_spec.errors import ExchangeError

if TYPE_CHECKING:
    from datetime import datetime

    from exchanged.config import LinkConfig
    from exchanged.link_probe import ProbeStep

# The words are looked up in the operator's language when they are shown.
_TO_ACT = {
    "ours": "to act: this side",
    "theirs": "to act: the other side",
    "network": "to act: whoever looks after the network between here and there",
}


@click.command("test")
@click.argument("name", metavar="NAME")
@json_option
@click.pass_obj
def link_test(settings: Settings, name: str, *, as_json: bool) -> int:
    """Try a link now, step by step: resolve, connect, host key, login, list, bell, free space.

    Of a folder link: folders, owners, modes. Nothing is put, taken or changed, and the daemon's own
    connection goes on. Run it as the daemon's user. Exit code 0: it works; 1: it would, but this node
    lets it stand still (paused, held, disabled); 2, 3 or 5: it does not.

    \b
    Example:
      exchangectl link test province
    """
    from cli.directory_trusted import find_directory
    from exchanged.clock import SystemClock
    from exchanged.key_files import login_seeds
    from exchanged.link_probe import probe
    from packet_spec.model import KeyUse
    from packet_spec.ssh_keys import SshKeys, ssh_keys

    config, clock = settings.load(), SystemClock()
    link = find_link(config, name)
    directory, _state = find_directory(config)

    def listed() -> SshKeys:
        return ssh_keys(directory, link.peer, KeyUse.HOST, clock.now()) if directory else SshKeys()

    def logins() -> tuple[bytes, ...]:
        return login_seeds(config, directory, clock.now()) if link.key is not None else ()

    steps = probe(link, clock, listed, logins)
    error, stands_still = _error_of(steps), _standstill(settings, link, clock.now())
    if as_json:
        said = {"link": link.name, "works": error is None, "steps": [_plain(step) for step in steps]}
        say_json(said | {"stands_still": stands_still})
    else:
        _tell(steps, settings.config_path)
        if stands_still:
            words = _("nothing goes over it now: {state}").format(state=stands_still)
            say("\n" + printable(as_called(words, settings.config_path)))
    if error is not None:
        return exit_code_of(error)
    return ExitCode.FINDINGS if stands_still else ExitCode.DONE


def _standstill(settings: Settings, link: LinkConfig, now: datetime) -> str:
    """Why this node lets the link stand still, whatever the way is like; empty where it does not."""
    from cli.link_view import LinkState, link_view, state_words

    try:
        with open_view(settings) as view:
            found = link_view(view, link, now)
    except ExchangeError:
        # A ledger that cannot be asked is no matter of the way; node status speaks of it.
        return ""
    stops = {LinkState.HELD, LinkState.PAUSED, LinkState.DISABLED}
    return state_words(found, now) if found.state in stops else ""


def _error_of(steps: tuple[ProbeStep, ...]) -> ExchangeError | None:
    return next((step.error for step in steps if step.error is not None), None)


def _tell(steps: tuple[ProbeStep, ...], config_path: Path) -> None:
    rows = [(_(step.name), _milliseconds(step.seconds), _result(step)) for step in steps]
    say(table((_("step"), _("time"), _("found")), rows))
    for step in steps:
        if step.error is not None and step.fault is not None:
            _explain(step, config_path)


def _result(step: ProbeStep) -> str:
    if step.error:
        return _("failed here")
    return "; ".join(told(told(part, "value"), "word") for part in step.found.split("; ")) or _("good")


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _explain(step: ProbeStep, config_path: Path) -> None:
    error = step.error
    assert error is not None and step.fault is not None  # noqa: S101, PT018 - the caller looked
    say()
    summary, where = told(error.summary), told(error.where, "value")
    say(printable(f"{summary}: {where}" if where else summary))
    if error.expected or error.found:
        say(f"  {_('expected')}: {printable(told(error.expected, 'value')) or '-'}")
        say(f"  {_('found')}: {printable(told(error.found, 'value')) or '-'}")
    say(_(_TO_ACT[step.fault.value]))
    if error.advice:
        say(f"{_('hint')}: {printable(as_called(told(error.advice), config_path))}")
    say(f"{_('see')}: docs/errors.md#{error.reference}")


def _plain(step: ProbeStep) -> dict[str, object]:
    said = {"name": step.name, "seconds": round(step.seconds, 4), "found": step.found, "fault": step.fault}
    return said | {"error": None if step.error is None else step.error.to_json()}
