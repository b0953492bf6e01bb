"""``exchangectl queue hold``: what waits shall wait until an operator says otherwise."""

from __future__ import annotations

import click

from cli.act_options import Asked, queue_options
from cli.frame import Settings


@click.command("hold")
@queue_options
@click.pass_obj
def queue_hold(settings: Settings, *, asked: Asked) -> int:
    """Hold packets: an operator says wait.

    A queued packet is not offered to the next node, one that landed here is not judged, one that arrived
    is not put into the inbox, also after a restart, until it is released. It keeps its place. A packet
    on hold does not expire; one whose limit has passed expires when it is released. Later packets of
    the same case and receiver wait for it as long as for any earlier one (order_wait_seconds).

    \b
    Example:
      exchangectl queue hold --to 620199-03-00 --state queued --reason "their inbox is being moved" --preview
    """
    from cli.acting import act_on_queue
    from exchanged.acts.values import Act

    return act_on_queue(settings, Act.HOLD, asked)
