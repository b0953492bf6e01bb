"""``exchangectl key rehearse``: who would break on a date."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.exit_codes import ExitCode
from cli.frame import Settings, json_option, read_input
from cli.locale import _
from cli.node_view import open_view
from cli.render import local_time, say, say_json, table

if TYPE_CHECKING:
    from datetime import datetime

    from cli.key_rehearsal import Rehearsed
    from packet_spec.model import Directory


@click.command("rehearse")
@click.option("--at", "at", metavar="TIME", required=True, help="The date to look at.")
@click.option(
    "--directory",
    "file",
    type=click.Path(path_type=Path),
    help="A directory to look at before it is signed; else the one in force at this node.",
)
@json_option
@click.pass_obj
def key_rehearse(settings: Settings, at: str, file: Path | None, *, as_json: bool) -> int:
    """Say who would break until a date when nothing is done: keys and directory that end, gaps between keys.

    Without --directory also which keys are missing at this node, and which neighbours have an older
    directory. Exit code 1 when something breaks.

    \b
    Example:
      exchangectl key rehearse --at 2027-01-01T00:00:00+08:00
      exchangectl key rehearse --at 2027-01-01T00:00:00+08:00 --directory next.xml
    """
    from cli.key_rehearsal import rehearse
    from cli.moments import read_moment
    from exchanged.clock import SystemClock
    from packet_spec.directory import decode_directory
    from packet_spec.limits import DIRECTORY_BYTES
    from packet_spec.signing import split_signed

    now, moment = SystemClock().now(), read_moment(at, "--at")
    if file is not None:
        directory = decode_directory(split_signed(read_input(file, DIRECTORY_BYTES))[0])
        rows = rehearse(directory, now, moment)
    else:
        rows = _rehearse_here(settings, now, moment)
    if as_json:
        say_json({"at": moment, "rows": rows})
    elif rows:
        words, headers = _words(), (_("node"), _("use"), _("from"), _("what"), "")
        say(
            table(
                headers,
                [
                    (
                        row.node,
                        row.use or "-",
                        local_time(row.at),
                        words[row.what],
                        row.detail if row.breaks else f"{row.detail} {_('(nothing stands still)')}".strip(),
                    )
                    for row in rows
                ],
            )
        )
    else:
        say(_("nothing breaks until {at}").format(at=local_time(moment)))
    return ExitCode.FINDINGS if any(row.breaks for row in rows) else ExitCode.DONE


def _rehearse_here(settings: Settings, now: datetime, moment: datetime) -> tuple[Rehearsed, ...]:
    from cli.key_rehearsal import rehearse, rehearse_here, rehearse_neighbours
    from exchanged.key_files import key_ids_here
    from exchanged.ledger.batches import neighbour_directory
    from exchanged.trust import NoDirectoryError

    with open_view(settings) as view:
        directory: Directory | None = view.directory()
        if directory is None:
            raise NoDirectoryError("no directory is installed", where=str(view.config.node.data_dir))
        config = view.config
        editions = {link.peer: neighbour_directory(view.connection, link.name) for link in config.links}
    return (
        *rehearse(directory, now, moment),
        *rehearse_here(directory, config.node.code, key_ids_here(config), moment),
        *rehearse_neighbours(directory, editions, now, moment),
    )


def _words() -> dict[str, str]:
    return {
        "directory-ends": _("the directory ends: new packets are held everywhere"),
        "no-key": _("has no key that counts"),
        "key-not-here": _("the key that counts then does not lie here"),
        "older-directory": _("has an older directory, and may not know keys that begin until then"),
    }
