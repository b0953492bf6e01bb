"""``exchangectl link show``: everything about one link."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.frame import Settings, json_option
from cli.locale import _
from cli.node_view import find_link, open_view
from cli.render import fields, local_time, say, say_json, table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from cli.link_view import LinkView


@click.command("show")
@click.argument("name", metavar="NAME")
@json_option
@click.pass_obj
def link_show(settings: Settings, name: str, *, as_json: bool) -> None:
    """Show one link: where it leads, how it is, what waits on it, what the neighbour said.

    \b
    Example:
      exchangectl link show province
    """
    from cli.link_view import link_view, without_daemon
    from exchanged.clock import SystemClock

    now = SystemClock().now()
    with open_view(settings) as view:
        link, stopped = link_view(view, find_link(view.config, name), now), without_daemon(view.config)
    if as_json:
        say_json({"at": now, "link": link})
        return
    say(fields(_pairs(link, now)))
    if stopped:
        say(stopped)
    if link.facts.exceptions:
        whose = {True: _("ours, at the neighbour"), False: _("theirs, here")}
        rows = [
            (each.number, whose[each.ours], each.exception, each.detail or "-")
            for each in link.facts.exceptions
        ]
        say()
        say(_("batches with exceptions"))
        say(table((_("batch"), _("whose"), _("exception"), _("detail")), rows))


def _pairs(link: LinkView, now: datetime) -> Iterator[tuple[str, object]]:
    from cli.link_view import ago, state_words

    counts, memory = link.facts.counts, link.facts.memory
    yield _("link"), link.name
    yield _("peer"), link.peer
    yield _("transport"), f"{_(link.transport)}, {_(link.side)}"
    yield _("where"), link.where
    yield _("state"), state_words(link, now)
    if link.since is not None:
        yield _("since"), local_time(link.since)
    yield _("heard"), _moment(link.heard_at, now)
    yield _("acknowledged"), _moment(link.acknowledged_at, now)
    yield _("waiting"), str(counts.waiting)
    yield _("offered"), _("{items} in {batches} batches").format(items=counts.offered, batches=counts.batches)
    yield _("oldest"), ago(link.oldest_at, now)
    yield _("landed, to judge"), str(counts.to_judge)
    yield _("lack a large part"), str(counts.lacking)
    yield _("its directory"), memory.get("directory-version", "-")
    yield _("its incarnation"), link.facts.incarnation or "-"
    yield _("landed through"), str(link.facts.landed_through)


def _moment(at: datetime | None, now: datetime) -> str:
    from cli.link_view import ago

    if at is None:
        return _("never")
    return _("{time} ({ago} ago)").format(time=local_time(at), ago=ago(at, now))
