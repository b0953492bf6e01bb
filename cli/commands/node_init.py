"""``exchangectl node init``: a node from nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.frame import Settings, json_option
from cli.locale import _, told
from cli.render import printable, say, say_json, table

if TYPE_CHECKING:
    from cli.node_init import MadeNode


@click.command("init")
@click.option(
    "--role", required=True, type=click.Choice(["frontend", "provincial", "bridge"]), help="What the node is."
)
@click.option("--code", required=True, metavar="CODE", help="The node's code: its agency's, or bridge-NAME.")
@click.option(
    "--agency-root",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="What the case software sees: a folder or mounted share.",
)
@click.option(
    "--peer",
    "peers",
    multiple=True,
    metavar="CODE",
    help="A neighbour that this node dials over SFTP; at a provincial node, one that dials it.",
)
@click.option("--serve", "serves", multiple=True, metavar="CODE", help="A neighbour that dials this node.")
@click.option(
    "--root", "roots", multiple=True, metavar="KEY", help="A root key, from the province's enrolment pack."
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Ledger, packets and keys; on a local disk.",
)
@click.option("--owner", metavar="USER", help="The user that the daemon runs as; as root: exchanged.")
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The configuration to make; the same as --config before the noun.",
)
@json_option
@click.pass_obj
def node_init(
    settings: Settings,
    role: str,
    code: str,
    agency_root: Path | None,
    peers: tuple[str, ...],
    serves: tuple[str, ...],
    roots: tuple[str, ...],
    data_dir: Path | None,
    owner: str | None,
    config_path: Path | None,
    *,
    as_json: bool,
) -> None:
    """Make a node: data folder, keys, login keys, and the commented configuration.

    With a configuration in /etc/exchanged everything gets the places of a machine: data in
    /var/lib/exchanged/NAME, agency folders and mailboxes below /srv/exchanged. With one elsewhere
    everything lies beside it, for a rehearsal. What is there already stays as it is, so the command may
    be called again. It prints what to hand to the province, and what to do next.

    \b
    Example:
      exchangectl --config /etc/exchanged/police.toml node init --role frontend --code 620199-01-00 \\
          --peer 620000-00-00 --root ed25519-sha256:3a7f...
    """
    from cli.node_init import make_node
    from cli.node_plan import Wish, make_plan
    from exchanged.clock import SystemRandomness
    from packet_spec.model import NodeRole

    wish = Wish(
        config_path=(config_path or settings.config_path).absolute(),
        role=NodeRole(role),
        code=code,
        peers=peers,
        serves=serves,
        roots=roots,
        agency_root=agency_root.absolute() if agency_root else None,
        data_dir=data_dir.absolute() if data_dir else None,
        owner=owner,
    )
    made = make_node(make_plan(wish), SystemRandomness())
    if as_json:
        say_json(_as_json(made, wish.config_path))
    else:
        _show(made, wish.config_path)


def _as_json(made: MadeNode, config_path: Path) -> dict[str, object]:
    return {
        "node": made.config.node.code,
        "role": made.config.node.role,
        "config": config_path,
        "owner": made.owner,
        "changed": made.changed,
        "steps": made.steps,
        "keys": made.keys,
        "logins": made.logins,
        "enrolment": made.enrolment,
        "to_fill_in": made.to_fill_in,
        "next": made.next,
        "shut": made.shut,
        "drop_in": made.drop_in,
    }


def _show(made: MadeNode, config_path: Path) -> None:
    from cli.unit_places import unit_of

    states = {True: _("made"), False: _("there already")}
    rows = [(told(step.name, "value"), states[step.made], step.path) for step in made.steps]
    say(table((_("part"), _("state"), _("path")), rows))
    if not made.changed:
        say("\n" + _("Nothing was changed: the node was there already."))
    enrolment = next(step.path for step in made.steps if step.name == "enrolment")
    say("\n" + _("For the province ({path}):").format(path=enrolment) + "\n")
    say(made.enrolment)
    if made.to_fill_in:
        say(_("To fill in from the enrolment pack of the province, in {path}:").format(path=config_path))
        for key in made.to_fill_in:
            say(f"  {key}")
        say()
    if made.shut:
        sentence = _("When systemd runs the daemon, it may not write to {paths}. Open that for it: {command}")
        paths = ", ".join(str(each.path) for each in made.shut)
        say(printable(sentence.format(paths=paths, command=f"systemctl edit {unit_of(config_path)}")) + "\n")
        for line in made.drop_in:
            say(f"  {printable(line)}")
        say()
    say(_("Next:"))
    for command in made.next:
        say(f"  {command}")
