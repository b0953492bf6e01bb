"""``exchangectl queue release``: what is held goes on now."""

from __future__ import annotations

import click

from cli.act_options import queue_options
from cli.frame import Settings


@click.command("release")
@queue_options
@click.pass_obj
def queue_release(
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
    as_json: bool,
) -> int:
    """Release what is held: it goes on now, whatever held it.

    A packet on hold is offered or delivered again; an item that could not be judged is judged again; a
    drop that could not be checked is checked again, also one that was given up (poison). If what held
    it still holds, it is held again.

    \b
    Example:
      exchangectl queue release --state held --reason-is unknown-key --reason "directory 12 is installed"
    """
    from cli.acting import act_on_queue, filter_of, new_request
    from exchanged.acts.values import Act

    wanted = filter_of(
        what, state=state, recipient=recipient, sender=sender, link=link, reasons=reasons,
        everything=everything, limit=limit,
    )  # fmt: skip
    request = new_request(Act.RELEASE, reason, what)
    return act_on_queue(settings, request, wanted, preview=preview, yes=yes, as_json=as_json)
