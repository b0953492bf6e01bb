"""``exchangectl queue release``: what is held goes on now."""

from __future__ import annotations

import click

from cli.act_options import Asked, queue_options
from cli.frame import Settings


@click.command("release")
@queue_options
@click.pass_obj
def queue_release(settings: Settings, *, asked: Asked) -> int:
    """Release what is held: it goes on now, whatever held it.

    A packet on hold is offered or delivered again; an item that could not be judged is judged again; a
    drop that could not be checked is checked again, also one that was given up (poison). If what held
    it still holds, it is held again.

    Where several things of one ID are held and would go different ways, nothing is released (exit code
    5), whatever --yes says, and all are listed. Name one of them with --only, or narrow the ID down with
    the options for many. Of an ID each receipt that a thief may have signed is released by itself.

    \b
    Examples:
      exchangectl queue release 0190a5b0-1c2d --reason-is issuer-disabled --reason "they signed it"
      exchangectl queue release --state held --reason-is unknown-key --reason "directory 12 is installed"
    """
    from cli.acting import act_on_queue
    from exchanged.acts.values import Act

    return act_on_queue(settings, Act.RELEASE, asked)
