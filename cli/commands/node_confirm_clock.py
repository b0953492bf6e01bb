"""``exchangectl node confirm-clock``: say that the machine's clock, which the node doubts, is right."""

from __future__ import annotations

import click

from cli.act_options import reason_option
from cli.frame import Settings, json_option


@click.command("confirm-clock")
@reason_option
@json_option
@click.pass_obj
def node_confirm_clock(settings: Settings, reason: str, *, as_json: bool) -> int:
    """Say that this machine's clock is right, which the node doubts.

    A node whose clock jumped, or that starts in another time than its ledger lets expect, dates nothing
    until most of its neighbours say the same time. Nodes that were all switched off for longer than a month
    wait for each other. First compare the clock with another one, not with the time server that it is set
    by; if it is wrong, set it right instead. Where all wait, say it at the provincial node, and at bridges:
    front-ends hear it from there.

    \b
    Example:
      exchangectl node confirm-clock --reason "off since the pilot in May; compared with the radio"
    """
    from cli.acting import act_once, new_request
    from exchanged.acts.values import CLOCK, Act

    return act_once(settings, new_request(Act.CLOCK, reason, CLOCK), as_json=as_json)
