"""``exchangectl link list``: every link and how it is."""

from __future__ import annotations

import click

from cli.frame import Settings, json_option
from cli.locale import _
from cli.node_view import open_view
from cli.render import say, say_json, table


@click.command("list")
@json_option
@click.pass_obj
def link_list(settings: Settings, *, as_json: bool) -> None:
    """List the links: up, or down since when and whose fault, and what waits on each.

    Waiting items are in no batch yet; offered ones are not acknowledged. Heard is when something of
    the neighbour last landed; where nothing is exchanged, nothing is heard.

    \b
    Example:
      exchangectl link list
    """
    from cli.link_view import ago, link_views, state_words, without_daemon
    from exchanged.clock import SystemClock

    now = SystemClock().now()
    with open_view(settings) as view:
        links, stopped = link_views(view, now), without_daemon(view.config)
    if as_json:
        say_json({"at": now, "links": links})
        return
    if not links:
        say(_("no links"))
        return
    headers = (_("link"), _("peer"), _("state"), _("heard"), _("waiting"), _("offered"), _("oldest"))
    rows = [
        (
            link.name,
            link.peer,
            state_words(link, now),
            ago(link.heard_at, now),
            link.facts.counts.waiting,
            link.facts.counts.offered,
            ago(link.oldest_at, now),
        )
        for link in links
    ]
    say(table(headers, rows))
    if stopped:
        say(stopped)
