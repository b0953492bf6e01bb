"""``exchangectl packet cancel``: take a packet back that has not left."""

from __future__ import annotations

import click

from cli.act_options import reason_option
from cli.frame import Settings, json_option


@click.command("cancel")
@click.argument("packet_id", metavar="ID|DROP")
@reason_option
@json_option
@click.pass_obj
def packet_cancel(settings: Settings, packet_id: str, reason: str, *, as_json: bool) -> int:
    """Cancel a packet of this node's agency that provably has not left.

    For all its recipients, and for good: the status file says so, and the same content may be dropped
    again. What stood in a batch for the next node is not cancelled, because it may have left; exit code
    5 then, and where it is. A drop that is not sealed yet is withdrawn by moving it out of the outbox.

    \b
    Example:
      exchangectl packet cancel 0190a5b0-1c2d --reason "dropped for the wrong court"
    """
    from cli.acting import act_once, new_request
    from exchanged.acts.values import Act

    return act_once(settings, new_request(Act.CANCEL, reason, packet_id), as_json=as_json)
