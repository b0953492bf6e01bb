"""``exchangectl log recovery``: what the roots are to sign after a node's log was lost."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.frame import Settings, json_option
from cli.locale import _
from cli.node_view import moment_option, open_view
from cli.render import fields, local_time, say, say_json

if TYPE_CHECKING:
    from cli.node_view import NodeView
    from exchanged.ledger.questions_log import OwnLog
    from packet_spec.log_recovery import LogRecovery


@click.command("recovery")
@click.option(
    "--through",
    type=click.IntRange(1),
    required=True,
    metavar="SIZE",
    help="The largest head that any agency was told before the loss.",
)
@click.option(
    "--above",
    type=click.IntRange(0),
    metavar="SIZE",
    help="Heads larger than this are void; without it, than the log was at the restore, or is now.",
)
@moment_option(
    "--until", help_text="Only heads dated up to then are void; without it, up to the restore, or now."
)
@click.option("--reason", required=True, metavar="TEXT", help="What happened, in one line; agencies read it.")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Where the statement goes.")
@json_option
@click.pass_obj
def log_recovery(
    settings: Settings,
    *,
    through: int,
    above: int | None,
    until: datetime | None,
    reason: str,
    output: Path,
    as_json: bool,
) -> None:
    """Write an unsigned recovery statement about this node's own log as it stands now.

    After this node was set back from a backup, its log is shorter than heads that agencies hold, and
    every agency raises the alarm. Only the holders of the root keys can excuse that: each looks at the
    statement and signs it (exchangectl log sign). Run this on the restored node, best before its daemon
    starts: until the statement is there, agencies keep the alarm and take no proof from this log.

    \b
    Example:
      exchangectl log recovery --through 184203 --reason "disk failed" --output recovery.xml
    """
    from exchanged.clock import SystemClock
    from exchanged.durable import DurableFiles, Volume
    from exchanged.ledger.questions_log import own_log
    from packet_spec.log_recovery import LogRecovery, encode_log_recovery

    now = SystemClock().now()
    with open_view(settings) as view:
        own = own_log(view.connection)
        restored = _last_restore(view, own)
        recovery = LogRecovery(
            node=view.config.node.code,
            size=own.size,
            root=own.root,
            excused_above=restored[0] if above is None else above,
            excused_through=through,
            excused_until=until or restored[1] or now,
            reason=reason,
            at=now,
        )
    DurableFiles(Volume.OUTPUT).write_file(output, (encode_log_recovery(recovery),), mode=0o644)
    tell_recovery(recovery, output, as_json=as_json)


def _last_restore(view: NodeView, own: OwnLog) -> tuple[int, datetime | None]:
    """How long the log was, and when, at a restore that no statement is about yet; else how long it is."""
    from exchanged.ledger import log_entries
    from packet_spec.log_recovery import decode_log_recovery
    from packet_spec.signing import split_signed

    if own.restored_size is None or own.restored_at is None:
        return own.size, None
    for _number, document in log_entries.recoveries(view.connection, view.config.node.code):
        if decode_log_recovery(split_signed(document)[0]).at >= own.restored_at:
            return own.size, None
    return own.restored_size, own.restored_at


def tell_recovery(recovery: LogRecovery, file: Path, *, as_json: bool) -> None:
    """What a recovery statement says."""
    if as_json:
        say_json({"file": file, "recovery": recovery})
        return
    say(
        fields(
            [
                (_("file"), file),
                (_("node"), recovery.node),
                (_("goes on from"), _("{count} entries").format(count=recovery.size)),
                (_("root"), recovery.root),
                (
                    _("void heads"),
                    _("above {above} through {through}, dated up to {until}").format(
                        above=recovery.excused_above,
                        through=recovery.excused_through,
                        until=local_time(recovery.excused_until),
                    ),
                ),
                (_("reason"), recovery.reason),
            ]
        )
    )
