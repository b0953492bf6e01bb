"""``exchangectl ledger``: whether the ledger and the files that it names are whole, and what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.exit_codes import ExitCode
from cli.frame import NounGroup, Settings, json_option
from cli.locale import _, told
from cli.render import fields, progress, say, say_json, size, table

if TYPE_CHECKING:
    from exchanged.ledger.verify import Verified


@click.group("ledger", cls=NounGroup, members={"export": "ledger_export"})
def ledger() -> None:
    """Verify and export the ledger."""


@ledger.command("verify")
@json_option
@click.pass_obj
def verify(settings: Settings, *, as_json: bool) -> int:
    """Verify the chain of events, the log, the database, and the files that the ledger names.

    Reads only, beside a running daemon or without one. Exit code 6 when anything is damaged; the first
    line names the first bad row. The head is what neighbours remember of this ledger.

    \b
    Example:
      exchangectl ledger verify
    """
    from cli.node_view import open_view
    from exchanged.ledger.verify import count_events, examine_ledger

    with open_view(settings, to_verify=True) as view:
        events = count_events(view.connection)
        with progress(_("events"), events) as bar:
            verified = examine_ledger(view.connection, view.config.node.data_dir, bar.update)
    if as_json:
        say_json({"sound": verified.is_sound, "verified": verified})
    else:
        _tell(verified)
    return ExitCode.DONE if verified.is_sound else ExitCode.DAMAGED


def _tell(verified: Verified) -> None:
    if verified.problems:
        say(_("the ledger is damaged; keep the volume as it is and restore the newest backup"))
        rows = [
            (told(found.what), *(told(text, "value") for text in (found.where, found.expected, found.found)))
            for found in verified.problems
        ]
        say(table((_("problem"), _("where"), _("expected"), _("found")), rows))
        say()
    else:
        say(_("the ledger is sound"))
    counted = [(_(name), count) for name, count in verified.rows.items()]
    spool = f"{verified.spool_files} ({size(verified.spool_bytes)})"
    blobs = f"{verified.blob_files} ({size(verified.blob_bytes)})"
    say(
        fields(
            [
                (_("events"), verified.events),
                (_("head"), verified.head),
                *counted,
                (_("log entries"), verified.log_size),
                (_("spool files"), spool),
                (_("blobs"), blobs),
                (_("spare files"), verified.spares),
            ]
        )
    )
