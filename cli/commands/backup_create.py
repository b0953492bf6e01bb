"""``exchangectl backup create``: the ledger as of one moment and all that it names."""

from __future__ import annotations

from pathlib import Path

import click

from cli.frame import Settings, json_option
from cli.locale import _
from cli.render import fields, local_time, progress, say, say_json, size


@click.command("create")
@click.argument("target", metavar="DEST", type=click.Path(path_type=Path))
@click.option(
    "--keys",
    type=click.Path(path_type=Path),
    metavar="DEST2",
    help="Copy the private keys as well, into this folder apart. Without it no key is copied.",
)
@json_option
@click.pass_obj
def backup_create(settings: Settings, target: Path, keys: Path | None, *, as_json: bool) -> None:
    """Write a backup into a new or empty folder, beside a running daemon or without one.

    Folders above it that are not there are made, open to nobody else: is its volume mounted?

    It holds the ledger, spool, large parts, directory, packs and configuration, all flushed, and a manifest
    with their digests, written last. It does not hold keys: whoever has them can speak for this node, so they
    are copied once, apart, onto a medium that is locked away. The folders of the agency are not in it.

    \b
    Examples:
      exchangectl backup create /backup/police/2026-07-15
      exchangectl backup create /backup/police/first --keys /media/locked-away/police
    """
    from exchanged import backup
    from exchanged.clock import SystemClock

    config = settings.load()
    with progress(_("bytes"), backup.size_of(config)) as bar:
        made = backup.create(
            config, settings.config_path, target, SystemClock().now(), keys=keys, moved=bar.update
        )
    if as_json:
        say_json({"backup": str(target), "keys": str(keys) if keys else None, "manifest": made})
        return
    pairs = [
        (_("backup"), str(target)),
        (_("files"), f"{len(made.files)} ({size(made.size)})"),
        (_("events"), made.events),
        (_("head"), made.head),
        (_("last event"), local_time(made.last_at) if made.last_at else "-"),
        (_("keys"), str(keys) if keys else _("not in it")),
    ]
    say(fields(pairs))
