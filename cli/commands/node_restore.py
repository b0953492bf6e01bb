"""``exchangectl node restore``: put a backup in the place of a node's data; what it will do comes first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.frame import Settings, json_option
from cli.locale import _
from cli.render import fields, local_time, progress, say, say_json, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exchanged.restore_node import Plan


@click.command("restore")
@click.argument("backup", metavar="BACKUP", type=click.Path(path_type=Path))
@click.option("--yes", "sure", is_flag=True, help="Do it. Without this it is only told what would be done.")
@json_option
@click.pass_obj
def node_restore(settings: Settings, backup: Path, *, sure: bool, as_json: bool) -> None:
    """Put a backup in the place of the node's data, or say what that would do.

    Refused while the daemon runs, and for a backup that is not whole or of another node. What lies in
    data_dir moves aside, keys stay. From its next start the node speaks under a new incarnation and sends
    nothing of its own until its neighbours have told it what it forgot: see node status.

    \b
    Examples:
      exchangectl node restore /backup/police/2026-07-15
      exchangectl node restore /backup/police/2026-07-15 --yes
    """
    from exchanged import backup as backups
    from exchanged import restore_node
    from exchanged.clock import SystemClock

    config, clock = settings.load(), SystemClock()
    length = backups.read_manifest(backup).size
    with progress(_("bytes"), length) as bar:
        made = restore_node.plan(config, backup, clock.now(), bar.update)
    if not as_json:
        say(fields(_pairs(made)))
    if sure:
        with progress(_("bytes"), length) as bar:
            restore_node.restore(config, backup, made, clock, bar.update)
    if as_json:
        say_json({"plan": made, "forgets": made.forgets, "done": sure})
    elif sure:
        say(_("restored; start the daemon: it asks its neighbours first, see exchangectl node status"))
    else:
        say(_("nothing was done; with --yes it is"))


def _pairs(made: Plan) -> Iterator[tuple[str, object]]:
    manifest = made.manifest
    yield _("node"), manifest.node
    yield _("backup made"), local_time(manifest.made_at)
    yield _("its last event"), local_time(manifest.last_at) if manifest.last_at else "-"
    yield _("copies"), f"{len(manifest.files)} ({size(manifest.size)})"
    yield _("into"), str(made.data_dir)
    yield _("moves aside"), ", ".join(made.moves) if made.moves else _("nothing lies there")
    if made.moves:
        yield _("to"), str(made.aside)
    if made.here is None:
        yield _("ledger there"), _("none that can be read")
    elif made.forgets is None:
        yield _("ledger there"), _("{events} events, of another incarnation").format(events=made.here.events)
    else:
        text = _("{events} events; {more} of them are not in the backup and are forgotten")
        yield _("ledger there"), text.format(events=made.here.events, more=made.forgets)
    yield _("then asks"), ", ".join(made.neighbours) or "-"
    if made.log_entries:
        text = _(
            "{count} entries of its own log come back. If an agency holds a larger head, only a statement"
            " signed by the roots excuses it: exchangectl log recovery, log sign, log install, best before"
            " the start. Without it the node works on, agencies are alarmed, and its log proves nothing."
        )
        yield _("log"), text.format(count=made.log_entries)
