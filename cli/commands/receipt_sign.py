"""``exchangectl receipt sign``: the recipient's person signs for a packet, or refuses it."""

from __future__ import annotations

import click

from cli.act_options import reason_option
from cli.frame import Settings, json_option


@click.command("sign")
@click.argument("packet_id", metavar="ID")
@click.option("--by", required=True, metavar="NAME", help="The person who signs; stands in the receipt.")
@click.option("--refuse", "refuses", is_flag=True, help="Refuse the packet instead of signing for it.")
@click.option(
    "--finding",
    "findings",
    multiple=True,
    metavar="TEXT",
    help="With --refuse: why; the sender reads it. May be repeated.",
)
@reason_option
@json_option
@click.pass_obj
def receipt_sign(
    settings: Settings,
    packet_id: str,
    *,
    by: str,
    refuses: bool,
    findings: tuple[str, ...],
    reason: str,
    as_json: bool,
) -> int:
    """Sign for a packet that was delivered here, or refuse it, in the name of a person of the agency.

    For agencies whose case software does not answer by itself. Only a delivered packet is answered, at
    any time, and once: a signed receipt goes to its sender.

    \b
    Example:
      exchangectl receipt sign 0190a5b0-1c2d --by "Clerk No. 7" --reason "signed on paper today"
    """
    from cli.acting import act_once, new_request
    from cli.locale import _
    from exchanged.acts.values import Act

    if findings and not refuses:
        raise click.UsageError(_("a finding belongs to a refusal: add --refuse"))
    if refuses and not findings:
        raise click.UsageError(_("a refusal needs a reason that the sender reads: add --finding TEXT"))
    request = new_request(Act.SIGN, reason, packet_id, by=by, refuses=refuses, findings=findings)
    return act_once(settings, request, as_json=as_json)
