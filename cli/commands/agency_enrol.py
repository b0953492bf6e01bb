"""``exchangectl agency enrol``: a node's request becomes a part of the next directory."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.frame import Settings, json_option
from cli.locale import _
from cli.render import say

if TYPE_CHECKING:
    from packet_spec.model import Directory, DirectoryAgency

_FILE = click.Path(path_type=Path)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the options say about the agency; empty where they say nothing."""

    kind: str | None
    level: str | None
    name_zh: str | None
    name_en: str | None
    parent: str
    admitting_node: str | None
    business_types: tuple[str, ...]
    case_kinds: tuple[str, ...]

    @property
    def facts(self) -> dict[str, str]:
        """Of those that a new agency must have, what was given."""
        facts = {
            "--kind": self.kind, "--level": self.level, "--name-zh": self.name_zh, "--name-en": self.name_en
        }  # fmt: skip
        return {option: value for option, value in facts.items() if value}

    @property
    def anything(self) -> bool:
        """Any option about the agency was given."""
        return any(getattr(self, each.name) for each in fields(self))

    def new_agency(self, code: str, directory: Directory) -> DirectoryAgency:
        """The agency that the options describe. Raises UsageError when they leave something out."""
        from packet_spec.model import DirectoryAgency

        needed = {"--kind", "--level", "--name-zh", "--name-en"}
        if missing := sorted(needed - set(self.facts)):
            raise click.UsageError(_("the agency also needs {options}").format(options=", ".join(missing)))
        top = next((node.code for node in directory.nodes if not node.parent), "")
        blank = DirectoryAgency(code, "", "", "", code, top, "", "")
        return self.changed(blank)

    def changed(self, agency: DirectoryAgency) -> DirectoryAgency:
        """``agency``, in force, with what the options say otherwise. Raises BadParameter."""
        from packet_spec.catalogue import load_catalogue

        kinds = load_catalogue().agency_kinds
        if self.kind and self.kind not in kinds:
            known = ", ".join(kinds)
            raise click.BadParameter(_("one of {kinds}").format(kinds=known), param_hint="--kind")
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        said = {name: value for name, value in given.items() if value}
        return replace(agency, node=agency.code, disabled=False, retired_at=None, **said)


@click.command("enrol")
@click.argument("request", type=_FILE)
@click.option("--directory", "file", type=_FILE, required=True, help="The directory in force, or a draft.")
@click.option("--output", type=_FILE, required=True, help="Where the next directory goes, unsigned.")
@click.option("--kind", help="The kind of agency, such as police or court.")
@click.option("--level", type=click.Choice(["province", "city", "county"]), help="Its level.")
@click.option("--name-zh", help="Its name in Chinese.")
@click.option("--name-en", help="Its name in English.")
@click.option("--parent-agency", default="", metavar="CODE", help="The agency above it, if any.")
@click.option("--parent-node", default="", metavar="CODE", help="The node above its own; else as requested.")
@click.option("--admitting-node", metavar="CODE", help="Who admits its packets; else the node at the top.")
@click.option("--business-type", "types", multiple=True, metavar="CODE", help="Allowed types; else all.")
@click.option(
    "--case-kind", "case_kinds", multiple=True, metavar="CODE", help="Allowed case kinds; else all."
)
@click.option(
    "--system",
    type=click.Choice(["print", "run"]),
    help="Print the script of its account and jail at this node, or, as root, run it.",
)
@click.option("--again", is_flag=True, help="It is listed: give it new keys, and let it work again.")
@json_option
@click.pass_obj
def agency_enrol(
    settings: Settings,
    request: Path,
    file: Path,
    output: Path,
    kind: str | None,
    level: str | None,
    name_zh: str | None,
    name_en: str | None,
    parent_agency: str,
    parent_node: str,
    admitting_node: str | None,
    types: tuple[str, ...],
    case_kinds: tuple[str, ...],
    system: str | None,
    *,
    again: bool,
    as_json: bool,
) -> None:
    """Take the enrolment request REQUEST of a node into the next directory.

    REQUEST is the enrolment.toml that `node init` made at the agency. Make sure that it comes from there:
    take it in person, or compare its keys by telephone. A node that serves no agency (a bridge) needs none
    of the options about an agency.

    With --again the agency stays as it is listed, but for what the options say otherwise, and REQUEST is what
    node init at the node writes now: keys that are not in it are revoked. A REQUEST with another role is
    refused, and one with another parent unless --parent-node says so.

    With --system this runs at the node that will serve it, as link jail --from-directory does: the script
    makes the account, which no key opens before the signed directory is in force. Then reload the node.

    \b
    Example:
      exchangectl agency enrol enrolment.toml --kind police --level county --name-zh 虚构县公安局 \\
          --name-en "Fictional County Police" --directory directory.xml --output next.xml
    """
    from cli.desk_output import write_next
    from cli.directory_desk import enrol, load_base, successor
    from cli.directory_plan import load_enrolment
    from cli.jail.enrolled import make_enrolled, plan_enrolled
    from exchanged.clock import SystemClock
    from packet_spec.model import NodeRole

    now = SystemClock().now()
    base = load_base(file)
    node = load_enrolment(request, now)
    asked = _Asked(kind, level, name_zh, name_en, parent_agency, admitting_node, types, case_kinds)
    if node.role is not NodeRole.FRONTEND and asked.facts:
        raise click.UsageError(_("a node of role {role} serves no agency").format(role=node.role.value))
    listed = base.directory.agency(node.code) if again else None
    agency = None
    if node.role is NodeRole.FRONTEND and (asked.anything or not again):
        agency = asked.new_agency(node.code, base.directory) if listed is None else asked.changed(listed)
    changed = enrol(successor(base, now), node, agency, now, again=again, parent_node=parent_node)
    if system is None:
        write_next(base, changed, output, as_json=as_json)
        return
    jail = plan_enrolled(settings.load(), settings.config_path, changed, node.code)
    if system == "run":
        # First what may be refused: then nothing of the directory is there either.
        heard = make_enrolled(jail)
        write_next(base, changed, output, as_json=as_json)
        if not as_json:
            say()
            say(heard.rstrip("\n"))
        return
    write_next(base, changed, output, as_json=as_json, script=jail.script)
