"""``exchangectl link doors``: which accounts are open, by which keys and why; and ending sessions."""

from __future__ import annotations

from pathlib import Path

import click

from cli.exit_codes import ExitCode
from cli.frame import Settings, json_option
from cli.locale import _
from cli.render import say, say_json, table

_WORDS = {
    "listed-in-the-directory": "keys that the directory lists",
    "keys-file": "keys installed by hand; the directory lists none",
    "no-directory": "closed: no directory that proves itself",
    "unknown-account": "closed: no link has this account",
    "node-not-listed": "closed: the directory does not list its node",
    "disabled": "closed: disabled in the directory",
}


@click.command("doors")
@click.option(
    "--sshd",
    type=click.Path(path_type=Path),
    default=Path("/etc/exchanged/sshd"),
    show_default=True,
    metavar="FOLDER",
    help="Where the SSH server of the exchange has its configuration.",
)
@click.option("--end", is_flag=True, help="As root: end the sessions of accounts that have lost a key.")
@json_option
@click.pass_obj
def link_doors(settings: Settings, sshd: Path, *, end: bool, as_json: bool) -> int:
    """Say which accounts of neighbours are open now, and by which keys.

    The SSH server asks the same, by the same code, at each login. A session that stands already is
    ended by --end, which the unit exchanged-doors@NAME calls whenever the directory changes: when
    its account has lost a key, or has none. Neighbours who may come in dial again by themselves.

    \b
    Example:
      exchangectl --config /etc/exchanged/province.toml link doors
    """
    from cli.jail.plan import KEYS_FOLDER
    from cli.jail.sessions import SEEN_FOLDER, doors_of, end_closed
    from exchanged.clock import SystemClock

    config = settings.load()
    doors = doors_of(config, sshd / KEYS_FOLDER, SystemClock())
    closed = end_closed(config, doors, SEEN_FOLDER / f"{config.node.code}.json") if end else ()
    ended = {door.account for door in closed}
    if as_json:
        said = [
            {
                "account": door.account,
                "link": door.link,
                "node": door.peer,
                "why": door.answer.why.value,
                "keys": list(door.answer.lines),
                "until": door.answer.until,
                "processes": list(door.processes),
                "ended": door.account in ended,
            }
            for door in doors
        ]
        say_json({"doors": said})
        return ExitCode.DONE
    if not doors:
        say(_("no link has an account"))
        return ExitCode.DONE
    headers = (_("account"), _("node"), _("keys"), _("why"), _("processes"))
    rows = [
        (
            door.account,
            door.peer,
            len(door.answer.lines),
            _(_WORDS[door.answer.why.value]),
            _("ended") if door.account in ended else len(door.processes),
        )
        for door in doors
    ]
    say(table(headers, rows))
    return ExitCode.DONE
