"""``exchangectl queue discard``: give up what is in quarantine."""

from __future__ import annotations

import click

from cli.act_options import queue_options
from cli.frame import Settings


@click.command("discard")
@queue_options
@click.option("--without-receipt", is_flag=True, help="Also where nobody can be told of it.")
@click.pass_obj
def queue_discard(
    settings: Settings,
    *,
    what: str,
    state: str,
    recipient: str,
    sender: str,
    link: str,
    reasons: tuple[str, ...],
    everything: bool,
    limit: int,
    reason: str,
    preview: bool,
    yes: bool,
    without_receipt: bool,
    as_json: bool,
) -> int:
    """Give up what is in quarantine, for good; its bytes are set aside.

    Where this node may speak about it and the seal is good, the sender gets a signed receipt,
    undeliverable. Where nobody can be told, it is refused (exit code 5) unless --without-receipt says
    that it shall end in silence. A copy of a packet that goes its own way is simply given up. Packet
    and large parts are copied into discarded/ of the data directory, which nothing cleans.

    \b
    Example:
      exchangectl queue discard 0190a5b0-1c2d --reason "sent by a device under test" --preview
    """
    from cli.acting import act_on_queue, filter_of, new_request
    from exchanged.acts.values import Act

    wanted = filter_of(
        what, state=state, recipient=recipient, sender=sender, link=link, reasons=reasons,
        everything=everything, limit=limit,
    )  # fmt: skip
    request = new_request(Act.DISCARD, reason, what, without_receipt=without_receipt)
    return act_on_queue(settings, request, wanted, preview=preview, yes=yes, as_json=as_json)
