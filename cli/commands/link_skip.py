"""``exchangectl link skip``: a restored node does without what a neighbour would give back."""

from __future__ import annotations

import click

from cli.act_options import reason_option
from cli.frame import Settings, json_option


@click.command("skip")
@click.argument("name", metavar="NAME")
@reason_option
@json_option
@click.pass_obj
def link_skip(settings: Settings, name: str, reason: str, *, as_json: bool) -> int:
    """Let a restored node go on without the neighbour at the other end, and those behind it.

    A restored node sends nothing of its own until everybody has told it what it forgot. Where a neighbour
    cannot be reached for long, it goes on without; what only that neighbour knows is then not known here, and
    a packet may be delivered twice, marked as maybe a duplicate.

    \b
    Example:
      exchangectl link skip court --reason "their line is cut until Monday"
    """
    from cli.acting import act_once, new_request
    from exchanged.acts.values import Act

    return act_once(settings, new_request(Act.SKIP, reason, name), as_json=as_json)
