"""``exchangectl queue requeue``: what is in quarantine is judged once more."""

from __future__ import annotations

import click

from cli.act_options import Asked, queue_options
from cli.frame import Settings


@click.command("requeue")
@queue_options
@click.pass_obj
def queue_requeue(settings: Settings, *, asked: Asked) -> int:
    """Requeue what is in quarantine: it is judged once more from the start.

    Crashes counted against it are forgotten. What is still not what it claims to be goes back into
    quarantine, so this is for the time after an update or a corrected directory.

    \b
    Example:
      exchangectl queue requeue --reason-is crashed-three-times --reason "updated to 1.2"
    """
    from cli.acting import act_on_queue
    from exchanged.acts.values import Act

    return act_on_queue(settings, Act.REQUEUE, asked)
