"""``exchangectl receipt resend``: send what this node said about a packet once more."""

from __future__ import annotations

import click

from cli.act_options import reason_option
from cli.frame import Settings, json_option


@click.command("resend")
@click.argument("packet_id", metavar="ID")
@reason_option
@json_option
@click.pass_obj
def receipt_resend(settings: Settings, packet_id: str, reason: str, *, as_json: bool) -> int:
    """Send every receipt that this node issued about a packet again.

    The very same signed documents, to its sender; accepted also to the recipients, who wait for it.
    Whoever has them already changes nothing.

    \b
    Example:
      exchangectl receipt resend 0190a5b0-1c2d --reason "the sender restored an old backup"
    """
    from cli.acting import act_once, new_request
    from exchanged.acts.values import Act

    return act_once(settings, new_request(Act.RESEND, reason, packet_id), as_json=as_json)
