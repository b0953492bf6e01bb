"""``exchangectl link pause``: nothing goes over the link."""

from __future__ import annotations

import click

from cli.act_options import reason_option
from cli.frame import Settings, json_option


@click.command("pause")
@click.argument("name", metavar="NAME")
@reason_option
@json_option
@click.pass_obj
def link_pause(settings: Settings, name: str, reason: str, *, as_json: bool) -> int:
    """Pause a link: it neither lands nor offers until it is resumed.

    What waits stays where it is, on both sides, also after a restart. A transfer in hand is finished
    first.

    \b
    Example:
      exchangectl link pause province --reason "maintenance of the line until 06:00"
    """
    from cli.acting import act_once, new_request
    from exchanged.acts.values import Act

    return act_once(settings, new_request(Act.PAUSE, reason, name), as_json=as_json)
