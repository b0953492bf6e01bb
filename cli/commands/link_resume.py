"""``exchangectl link resume``: the link works again."""

from __future__ import annotations

import click

from cli.act_options import reason_option
from cli.frame import Settings, json_option


@click.command("resume")
@click.argument("name", metavar="NAME")
@reason_option
@json_option
@click.pass_obj
def link_resume(settings: Settings, name: str, reason: str, *, as_json: bool) -> int:
    """Resume a paused link: it lands and offers again at once.

    \b
    Example:
      exchangectl link resume province --reason "the line is back"
    """
    from cli.acting import act_once, new_request
    from exchanged.acts.values import Act

    return act_once(settings, new_request(Act.RESUME, reason, name), as_json=as_json)
