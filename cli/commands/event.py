"""``exchangectl event``: what happened at this node, and who did it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from cli.frame import Settings, json_option
from cli.locale import _
from cli.node_view import identify, moment_option, open_view, shown_key
from cli.render import local_time, say, say_json, table

if TYPE_CHECKING:
    from exchanged.ledger.questions_event import ChainEvent


@click.group("event")
def event() -> None:
    """What happened at this node, and who did it."""


@event.command("list")
@moment_option("--since", help_text="Only what happened at or after this time, or in the last 30m, 12h, 7d.")
@moment_option("--until", help_text="Only what happened before this time.")
@click.option("--packet", "packet_id", metavar="ID", help="Only about this packet; takes what show takes.")
@click.option("--operator", default="", metavar="TEXT", help="Only acts of operators whose name holds this.")
@click.option("--kind", default="", metavar="KIND", help="Only this kind; with * at its end, how it begins.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="The newest so many."
)
@json_option
@click.pass_obj
def list_(
    settings: Settings,
    *,
    since: datetime | None,
    until: datetime | None,
    packet_id: str | None,
    operator: str,
    kind: str,
    limit: int,
    as_json: bool,
) -> None:
    """Tell the chain of events in words, oldest of the newest first.

    Acts of operators are of kinds that begin with operator- and name who acted and why. Times are of
    this node's own clock.

    \b
    Example:
      exchangectl event list --since 12h --kind "operator-*"
    """
    from cli.event_text import event_words
    from exchanged.ledger.questions_event import EventFilter, known_kinds, list_events

    with open_view(settings) as view:
        key = None if packet_id is None else identify(view.connection, packet_id)
        found = list_events(view.connection, EventFilter(since, until, key, operator, kind, limit))
        kinds = known_kinds(view.connection) if kind and not found else ()
    if kind and not found and not _fits(kind, kinds):
        wrong = _("no event of kind {kind!r} ever happened here; known: {known}")
        raise click.BadParameter(wrong.format(kind=kind, known=", ".join(kinds)), param_hint="--kind")
    if as_json:
        say_json({"events": [{"words": event_words(each), "event": each} for each in found]})
        return
    if not found:
        say(_("no events"))
        return
    rows = [(local_time(each.at), shown_key(each.key) if each.key else "-", _told(each)) for each in found]
    say(table((_("at"), _("packet"), _("what")), rows))
    if len(found) == limit:
        say(_("older ones may be left out; see --limit"))


def _told(event: ChainEvent) -> str:
    """The words, and for whom where the event is about one recipient only."""
    from cli.event_text import event_words

    words = event_words(event)
    if not event.recipient:
        return words
    return _("{what}, for {recipient}").format(what=words, recipient=event.recipient)


def _fits(kind: str, kinds: tuple[str, ...]) -> bool:
    """Something that can happen and has not is an answer, not a mistake."""
    from cli.event_text import SENTENCES

    if kind.startswith("operator-"):
        return True
    possible = {*kinds, *SENTENCES}
    return any(known.startswith(kind[:-1]) if kind.endswith("*") else known == kind for known in possible)
