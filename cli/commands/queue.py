"""``exchangectl queue``: what waits, for whom, and how long."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from cli.frame import NounGroup, Settings, json_option
from cli.locale import _
from cli.node_view import NodeView, agency_option, open_view, shown_key
from cli.render import age, say, say_json, table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from exchanged.ledger.questions_queue import AgedCount, QueueEntry
    from exchanged.standstill import Stop


@click.group(
    "queue",
    cls=NounGroup,
    members={
        "requeue": "queue_requeue",
        "hold": "queue_hold",
        "release": "queue_release",
        "discard": "queue_discard",
    },
)
def queue() -> None:
    """What waits, for whom, and how long."""


@queue.command("summary")
@json_option
@click.pass_obj
def summary(settings: Settings, *, as_json: bool) -> None:
    """Count what waits, by destination and age.

    Age counts from when a packet came to this node. The second table counts what has no destination
    yet: items not judged, drops not taken, batches not acknowledged.

    \b
    Example:
      exchangectl queue summary
    """
    from exchanged.clock import SystemClock
    from exchanged.ledger import questions_queue

    now = SystemClock().now()
    with open_view(settings) as view:
        found = questions_queue.summary(view.connection, now)
    if as_json:
        limits = [limit.total_seconds() for limit in questions_queue.AGE_LIMITS]
        say_json({"at": now, "age_limits_seconds": limits, "queue": found})
        return
    if not (found.recipients or found.others):
        say(_("nothing waits"))
    if found.recipients:
        say(_matrix(_("destination"), found.recipients, now))
    if found.recipients and found.others:
        say()
    if found.others:
        say(_matrix(_("other"), tuple(map(_in_words, found.others)), now))


@queue.command("list")
@agency_option("--to", "recipient", help_text="Only packets for this agency.")
@click.option("--state", default="", metavar="STATE", help="Only in this state, such as queued or held.")
@click.option("--link", metavar="NAME", help="Only on this link.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many."
)
@json_option
@click.pass_obj
def list_(
    settings: Settings, recipient: str, state: str, link: str | None, limit: int, *, as_json: bool
) -> None:
    """List what waits, oldest first, and why.

    Open packets, items that a link brought and that are not judged (held, in quarantine, lacking a large
    part), drops that are not taken (incomplete, held), and batches that are not acknowledged.

    \b
    Example:
      exchangectl queue list --to 620199-03-00 --state queued
    """
    from exchanged.clock import SystemClock
    from exchanged.ledger.questions_queue import QueueFilter, waiting

    _require_known(state)
    now = SystemClock().now()
    with open_view(settings) as view:
        found = waiting(view.connection, QueueFilter(recipient, state, link or "", limit))
        if link is not None and not found:
            _require_link(view, link)
        stopped = view.stops({entry.link for entry in found if _is_bound_for_a_link(entry)} - {""})
    found = tuple(_with_reason(entry, stopped) for entry in found)
    if as_json:
        say_json({"at": now, "waiting": found})
        return
    if not found:
        say(_("nothing waits"))
        return
    headers = (_("age"), _("what"), _("which"), _("to"), _("state"), _("why"))
    say(table(headers, [_line(entry, now, stopped) for entry in found]))


def _is_bound_for_a_link(entry: QueueEntry) -> bool:
    """It leaves this node by its link: a packet that is no neighbour's yet, or a batch."""
    return entry.kind.value == "batch" or entry.state in {"queued", "offered"}


def _with_reason(entry: QueueEntry, stopped: Mapping[str, Stop]) -> QueueEntry:
    """A packet waits for its link where that stands still."""
    if entry.reason or not _is_bound_for_a_link(entry) or (stop := stopped.get(entry.link)) is None:
        return entry
    return replace(entry, reason=stop.kind.value, detail=stop.reason)


def _require_known(state: str) -> None:
    from exchanged.ledger.questions_list import OPEN_DESTINATIONS
    from exchanged.ledger.questions_queue import OTHER_STATES

    known = sorted({*map(str, OPEN_DESTINATIONS), *OTHER_STATES})
    if state and state not in known:
        wrong = _("nothing waits in state {state!r}; known: {known}")
        raise click.BadParameter(wrong.format(state=state, known=", ".join(known)), param_hint="--state")


def _require_link(view: NodeView, link: str) -> None:
    """A mistyped name is no answer; a link taken out of the configuration may still hold work."""
    known = sorted(each.name for each in view.config.links)
    if link not in known:
        wrong = _("there is no link {link!r}; known: {known}")
        raise click.BadParameter(wrong.format(link=link, known=", ".join(known)), param_hint="--link")


def _matrix(title: str, rows: tuple[AgedCount, ...], now: datetime) -> str:
    from exchanged.ledger.questions_queue import AgedCount

    headers = (title, "<1m", "1-5m", "5-60m", "1-24h", ">1d", _("total"), _("oldest"))
    sums = tuple(sum(column) for column in zip(*(row.counts for row in rows), strict=True))
    lines = [*rows, AgedCount(_("total"), sums, min(row.oldest_at for row in rows))]
    return table(headers, [_counted(line, now) for line in lines])


def _in_words(row: AgedCount) -> AgedCount:
    """A kind and its state, such as "drop held"; of batches the link, whose name stays."""
    kind, gap, rest = row.name.partition(" ")
    return replace(row, name=f"{_(kind)}{gap}{rest if kind == 'batch' else _(rest)}")


def _counted(row: AgedCount, now: datetime) -> tuple[object, ...]:
    counts = (count or "." for count in row.counts)
    return row.name, *counts, row.total, age((now - row.oldest_at).total_seconds())


def _line(entry: QueueEntry, now: datetime, stopped: Mapping[str, Stop]) -> tuple[object, ...]:
    from cli.standstill_text import stop_words

    stop = stopped.get(entry.link) if _is_bound_for_a_link(entry) else None
    why = [entry.reason] if entry.reason and (stop is None or entry.reason != stop.kind.value) else []
    if entry.missing:
        why.append(_("missing: {names}").format(names=", ".join(entry.missing)))
    if stop is not None:
        why.append(stop_words(stop))
    elif entry.link:
        why.append(_("link {name}").format(name=entry.link))
    if entry.retry_at is not None:
        why.append(_("again in {time}").format(time=age((entry.retry_at - now).total_seconds())))
    waited = age((now - entry.came_at).total_seconds())
    subject = shown_key(entry.subject) if entry.item in {"packet", "receipt", "hop"} else entry.subject
    return waited, _(entry.item), subject, entry.recipient or "-", _(entry.state), _("; ").join(why) or "-"
