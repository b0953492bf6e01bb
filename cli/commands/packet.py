"""``exchangectl packet``: check, make and look at packets."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.exit_codes import ExitCode
from cli.frame import NounGroup, Settings, json_option
from cli.locale import _
from cli.node_view import agency_option, identify, moment_option, open_view
from cli.render import counting, say, say_above, say_json

if TYPE_CHECKING:
    from cli.packet_check import Checked


@click.group(
    "packet", cls=NounGroup, members={"new": "packet_new", "find": "packet_find", "cancel": "packet_cancel"}
)
def packet() -> None:
    """Check, make and look at packets."""


@packet.command("list")
@click.option("--state", default="", metavar="STATE", help="Of the packet or of one of its destinations.")
@click.option("--type", "business_type", default="", metavar="CODE", help="Only this business type.")
@moment_option("--since", help_text="Only what came here at or after this time, or in the last 30m, 12h, 7d.")
@moment_option("--until", help_text="Only what came here before this time.")
@agency_option("--to", "recipient", help_text="Only with this receiver or copy.")
@agency_option("--from", "sender", help_text="Only from this sender.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many."
)
@json_option
@click.pass_obj
def list_(
    settings: Settings,
    *,
    state: str,
    business_type: str,
    since: datetime | None,
    until: datetime | None,
    recipient: str,
    sender: str,
    limit: int,
    as_json: bool,
) -> None:
    """List packets that this node knows, newest first.

    The state is that of the worst destination. Narrow terminals show the beginning of each id; any
    command takes it.

    \b
    Example:
      exchangectl packet list --to 620199-03-00 --since 7d --state handed-over
    """
    from cli.packet_text import packet_list
    from exchanged.clock import SystemClock
    from exchanged.ledger.questions_list import PacketFilter, list_packets

    _require_known(state)
    wanted = PacketFilter(state, business_type, sender, recipient, since, until, limit)
    with open_view(settings) as view:
        found = list_packets(view.connection, wanted)
    if as_json:
        say_json({"packets": [{"state": line.state, "known": line} for line in found]})
    elif found:
        say(packet_list(found, SystemClock().now()))
    else:
        say(_("no packets"))


@packet.command("show")
@click.argument("packet_id", metavar="ID")
@json_option
@click.pass_obj
def show(settings: Settings, packet_id: str, *, as_json: bool) -> None:
    """Show everything that this node knows of one packet, and the acts that are possible now.

    ID is a packet id, its beginning (6 characters or more), or SENDER/ID.

    \b
    Example:
      exchangectl packet show 0190a5b0-1c2d
    """
    from cli.packet_acts import allowed_acts, allowed_text
    from cli.packet_text import packet_facts
    from exchanged.ledger.questions import facts

    with open_view(settings) as view:
        known = facts(view.connection, identify(view.connection, packet_id))
        possible = allowed_acts(view, known.key, settings.config_path)
    if as_json:
        say_json({**{each.name: getattr(known, each.name) for each in fields(known)}, "possible": possible})
    else:
        say(f"{packet_facts(known)}\n\n{allowed_text(possible)}")


@packet.command("trace")
@click.argument("packet_id", metavar="ID")
@json_option
@click.pass_obj
def trace(settings: Settings, packet_id: str, *, as_json: bool) -> None:
    """Tell where a packet is: hop by hop, per destination, and who holds it now.

    Answered from this node's own ledger alone: its events, the notes that nodes on the way signed, and
    receipts. Where nothing came back, it says so. Times of other nodes are by their own clocks.

    \b
    Example:
      exchangectl packet trace 620199-01-00/0190a5b0-1c2d
    """
    from cli.packet_text import packet_trace
    from exchanged.ledger.questions import facts
    from exchanged.trace import trace as trace_packet

    with open_view(settings) as view:
        known = facts(view.connection, identify(view.connection, packet_id))
        traced = trace_packet(known, view.viewpoint())
    if as_json:
        say_json(traced)
    else:
        say(packet_trace(traced))


@packet.command("check")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@click.option(
    "--directory",
    "directory_file",
    type=click.Path(path_type=Path),
    help="A directory file, for levels and allow-lists; else the node's own.",
)
@click.option(
    "--pack",
    "pack_file",
    type=click.Path(path_type=Path),
    help="A pack file, for drops; else the packs in force.",
)
@click.option("--optional-sha256", is_flag=True, help="As on front-ends that do not ask for sha256.")
@json_option
@click.pass_obj
def check(
    settings: Settings,
    *,
    paths: tuple[Path, ...],
    directory_file: Path | None,
    pack_file: Path | None,
    optional_sha256: bool,
    as_json: bool,
) -> int:
    """Check drops and sealed packets as every node will: form, encoding, fields, documents, files.

    PATH is a drop (folder, .zip, .xml), a sealed .packet file, or a folder with any of them anywhere
    below: each gets one verdict. Needs no node and no network. Exit code 0: valid, 1: refused, 3: held,
    because something is missing, cannot be told, or nothing to check was found; of several the worst.

    \b
    Example:
      exchangectl packet check outbox/A620199-0007 outbox/A620199-0008.zip
      exchangectl packet check outbox
    """
    from cli.packet_check import checking, outcome_text
    from cli.packet_tree import Tally, check_all, count_drops, summary, summary_text
    from packet_spec.findings import Outcome

    rules = checking(settings, directory_file, pack_file, optional_sha256=optional_sha256)
    tally = Tally()
    kept: list[Checked] = []
    with counting(_("checking"), lambda: count_drops(paths)) as bar:
        for each in check_all(paths, rules, tally):
            if as_json:
                kept.append(each)
            else:
                say_above(outcome_text(each))
            bar.update(1)
    if as_json:
        say_json({"directory": rules.directory_state, "checked": kept, "summary": summary(tally)})
    else:
        if tally.has_tree or tally.total > 1:
            say(summary_text(tally))
        if rules.directory is None:
            say(_("no directory: kinds were read from the codes; levels and allow-lists were not checked"))
    if tally.outcomes[Outcome.REFUSED]:
        return ExitCode.FINDINGS
    return ExitCode.TEMPORARY if tally.outcomes[Outcome.HELD] else ExitCode.DONE


def _require_known(state: str) -> None:
    from exchanged.states import DestinationState, PacketState

    known = sorted({*map(str, PacketState), *map(str, DestinationState)})
    if state and state not in known:
        wrong = _("there is no state {state!r}; known: {known}")
        raise click.BadParameter(wrong.format(state=state, known=", ".join(known)), param_hint="--state")
