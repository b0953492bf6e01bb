"""``exchangectl backup verify``: read a backup whole."""

from __future__ import annotations

from pathlib import Path

import click

from cli.exit_codes import ExitCode
from cli.frame import Settings, json_option
from cli.locale import _, told
from cli.render import fields, local_time, progress, say, say_json, size, table


@click.command("verify")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@json_option
@click.pass_obj
def backup_verify(_settings: Settings, folder: Path, *, as_json: bool) -> int:
    """Read a backup: every digest, the ledger's chain, and whether all that the ledger needs is there.

    Needs no configuration and no node. Exit code 6 when anything is missing or changed.

    \b
    Example:
      exchangectl backup verify /backup/police/2026-07-15
    """
    from exchanged import backup

    manifest = backup.read_manifest(folder)
    with progress(_("bytes"), manifest.size) as bar:
        found = backup.verify(folder, bar.update)
    if as_json:
        say_json({"whole": found.is_whole, "verdict": found})
        return ExitCode.DONE if found.is_whole else ExitCode.DAMAGED
    if found.is_whole:
        say(_("the backup is whole"))
    else:
        say(_("the backup is not whole: do not restore from it, take an older one"))
        rows = [
            (told(each.what), *(told(text, "value") for text in (each.where, each.expected, each.found)))
            for each in found.problems
        ]
        say(table((_("problem"), _("where"), _("expected"), _("found")), rows))
        say()
    pairs = [
        (_("node"), manifest.node),
        (_("backup made"), local_time(manifest.made_at)),
        (_("last event"), local_time(manifest.last_at) if manifest.last_at else "-"),
        (_("files"), f"{len(manifest.files)} ({size(manifest.size)})"),
        (_("events"), manifest.events),
        (_("head"), manifest.head),
    ]
    say(fields(pairs))
    return ExitCode.DONE if found.is_whole else ExitCode.DAMAGED
