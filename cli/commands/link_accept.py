"""``exchangectl link accept``: say which of two that speak under one name is the neighbour."""

from __future__ import annotations

import click

from cli.act_options import reason_option
from cli.frame import Settings, json_option


@click.command("accept")
@click.argument("name", metavar="NAME")
@click.option(
    "--incarnation",
    required=True,
    metavar="X",
    help="The incarnation that counts from now on: the neighbour's operator sees it in node status.",
)
@reason_option
@json_option
@click.pass_obj
def link_accept(settings: Settings, name: str, incarnation: str, reason: str, *, as_json: bool) -> int:
    """Let a link work again that is held because its neighbour contradicts itself.

    Two nodes ran under one name, or one ran on an older copy of its ledger. First see to it that only one
    runs. From then on what speaks in this incarnation is taken, and nothing of the others that spoke so far.

    \b
    Example:
      exchangectl link accept police --incarnation X --reason "the copy is switched off"
    """
    from cli.acting import act_once, new_request
    from exchanged.acts.values import Act

    request = new_request(Act.ACCEPT, reason, name, incarnation=incarnation.strip())
    return act_once(settings, request, as_json=as_json)
