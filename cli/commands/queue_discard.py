"""``exchangectl queue discard``: give up what is in quarantine, lacks a large part, or cannot go on."""

from __future__ import annotations

import click

from cli.act_options import Asked, queue_options
from cli.frame import Settings


@click.command("discard")
@queue_options
@click.option("--without-receipt", is_flag=True, help="Also where nobody can be told of it.")
@click.option("--without-parts", is_flag=True, help="Also what lacks a large part (needing).")
@click.pass_obj
def queue_discard(settings: Settings, *, asked: Asked, without_receipt: bool, without_parts: bool) -> int:
    """Give up what is in quarantine, for good; its bytes are set aside.

    Where this node may speak about it and the seal is good, the sender gets a signed receipt,
    undeliverable. Where nobody can be told, it is refused (exit code 5) unless --without-receipt says
    that it shall end in silence. A copy of a packet that goes its own way is simply given up. Packet
    and large parts are copied into discarded/ of the data directory, which nothing cleans.

    What lacks a large part is in its neighbour's custody, and the part may be on its way. It is given
    up only with --without-parts, and many of them only with --state needing.

    A packet whose key was revoked, whose seal number was used before, that nobody here can open, or whose
    stored bytes are rotten waits for what may never come: it is given up likewise, by its name, or many
    with --state held, arrived or on-hold. The sender can then send it as the next attempt.

    \b
    Example:
      exchangectl queue discard 0190a5b0-1c2d --reason "sent by a device under test" --preview
    """
    from cli.acting import act_on_queue
    from exchanged.acts.values import Act

    return act_on_queue(
        settings, Act.DISCARD, asked, without_receipt=without_receipt, without_parts=without_parts
    )
