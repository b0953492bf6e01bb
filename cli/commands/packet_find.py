"""``exchangectl packet find``: which packet somebody on the telephone speaks of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.frame import Settings, as_called, json_option
from cli.locale import _
from cli.node_view import is_wide, open_view, shown_key
from cli.render import age, printable, say, say_json, table, word
from exchanged.errors import NotFoundError
from packet_spec.names import escape_for_display

if TYPE_CHECKING:
    from datetime import datetime

    from exchanged.ledger.questions_find import Found

# The words are looked up in the operator's language when they are shown.
_BY = {
    "sender-ref": "ref",
    "case-number": "case",
    "drop-name": "name",
    "drop-ref": "ref",
    "packet-id": "id",
}


@click.command("find")
@click.argument("text", metavar="TEXT")
@click.option(
    "--limit", type=click.IntRange(1, 1_000), default=20, show_default=True, help="At most so many."
)
@json_option
@click.pass_obj
def packet_find(settings: Settings, text: str, limit: int, *, as_json: bool) -> None:
    """Find packets by a drop's name, the sender's own number, a case number, or how an id begins.

    What fits exactly is told alone, newest first; otherwise what begins with TEXT. Kinds of brackets,
    full-width characters, spaces and letter case make no difference. Drops that became no packet
    (incomplete, refused, a duplicate) are found by their names too.

    \b
    Example:
      exchangectl packet find "(2026)甘0102刑初123号"
    """
    from cli.packet_acts import folded
    from exchanged.clock import SystemClock
    from exchanged.ledger.questions_find import find

    with open_view(settings) as view:
        found = find(view.connection, text, limit + 1)
    if not found:
        raise NotFoundError(
            "this node knows nothing of that name, number or id",
            where=printable(text),
            hint="try the beginning of it, or: exchangectl packet list --since 7d",
        )
    if as_json:
        say_json({"found": found[:limit], "more": len(found) > limit})
        return
    now = SystemClock().now()
    headers = (_("packet"), _("match"), _("reference"), _("from"), _("to"), _("state"), _("age"))
    rows = [headers, *(_line(each, now) for each in found[:limit])]
    if not is_wide():
        # By what it was found is what a person who asked for it misses least.
        rows = [(row[0], *row[2:]) for row in rows]
    say(table([str(title) for title in rows[0]], rows[1:]))
    if len(found) > limit:
        say(_("... and more; give more of it, or a higher --limit"))
    elif len(found) == 1 and found[0].key is not None:
        command = as_called(f"exchangectl packet show {found[0].key}", settings.config_path)
        say(_("see: {command}").format(command=f"\n{folded(command)}"))


def _line(found: Found, now: datetime) -> tuple[object, ...]:
    by = ", ".join(dict.fromkeys(_(_BY[name]) for name in found.by))
    if found.packet is not None:
        packet = found.packet.packet
        to = f"{packet.receiver} +{len(packet.copies)}" if packet.copies else packet.receiver
        waited = age((now - packet.landed_at).total_seconds())
        return (
            shown_key(packet.key), by, packet.sender_ref, packet.key.sender, to, _(found.packet.state), waited
        )  # fmt: skip
    if found.drop is not None:
        drop = found.drop
        of = shown_key(drop.duplicate_of) if drop.duplicate_of else "-"
        waited = age((now - drop.seen_at).total_seconds())
        shown = drop.sender_ref or escape_for_display(drop.name)
        return of, by, shown, "-", "-", _("drop {state}").format(state=word(drop.state)), waited
    key = found.key
    return shown_key(key), by, "-", "-" if key is None else key.sender, "-", _("not judged here"), "-"
