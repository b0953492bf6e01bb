"""``exchangectl lab``: a whole province on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.exit_codes import ExitCode
from cli.frame import json_option
from cli.locale import _
from cli.render import ask, progress, say, say_json, table

if TYPE_CHECKING:
    from cli.lab.lab import Lab

_FOLDER = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))


@click.group("lab")
def lab() -> None:
    """Run a whole province on this machine.

    Made without --jail a lab isolates nothing: every agency logs in as the user who runs it. With --jail
    each agency has a real account in a jail of its own, and the province's daemon a user of its own. A
    lab is for demonstration, tests and a vendor's rehearsal, never for real cases.
    """


@lab.command("create")
@_FOLDER
@click.option("--agencies", type=int, help="How many agencies; without it, the ten of the sample case.")
@click.option(
    "--plan", type=click.Path(path_type=Path), help="A TOML file that lists agencies, bridges and links."
)
@click.option(
    "--link",
    type=click.Choice(["sftp", "folder"]),
    default="sftp",
    show_default=True,
    help="How agencies are linked to the province.",
)
@click.option(
    "--sequence",
    type=click.Choice(["enforce", "warn", "off"]),
    help="How strictly the province holds to the order of a case; without it, what the plan says, else warn.",
)
@click.option("--jail", is_flag=True, help="As root: a real account in a jail for each agency.")
@json_option
def create(
    folder: Path,
    agencies: int | None,
    plan: Path | None,
    link: str,
    sequence: str | None,
    *,
    jail: bool,
    as_json: bool,
) -> None:
    """Make a province in the new or empty folder DIR: keys, directory, configurations, folders.

    With --jail, as root and over sftp only, accounts lab-... are made on this machine; lab stop leaves
    them, lab remove takes them away. DIR must then lie below folders that only root can write to.

    \b
    Example:
      exchangectl lab create /tmp/province
      exchangectl lab create /tmp/small --agencies 3 --link folder
      exchangectl lab create /tmp/strict --sequence enforce
      exchangectl lab create /tmp/bridged --plan examples/lab-plan.toml
      sudo exchangectl lab create /srv/province --agencies 3 --jail
    """
    from cli.lab.lab import create_lab
    from cli.lab.plan import default_plan, load_plan, with_sequence

    if jail and link != "sftp":
        raise click.UsageError(_("--jail goes with --link sftp only"))
    if plan is not None and agencies is not None:
        raise click.UsageError(_("--agencies and --plan exclude each other"))
    if plan is not None:
        chosen = load_plan(plan)
    else:
        chosen = default_plan() if agencies is None else default_plan(agencies)
    if sequence is not None:
        chosen = with_sequence(chosen, sequence)
    made = create_lab(folder, chosen, link, jail=jail)
    if as_json:
        said = {"folder": made.layout.root, "link": link, "province": made.province or None}
        say_json(said | {"agencies": made.agencies, "bridges": made.bridges})
    else:
        text = _("made in {folder}, with {count} agencies; next: exchangectl lab start {folder}")
        say(text.format(folder=made.layout.root, count=len(made.agencies)))


@lab.command("start")
@_FOLDER
@json_option
def start(folder: Path, *, as_json: bool) -> None:
    """Start what does not run of the lab in DIR, and wait until it is ready.

    \b
    Example:
      exchangectl lab start /tmp/province
    """
    found = _open(folder)
    waiting = sum(state.state != "running" for state in found.status())
    with progress(_("starting"), waiting) as bar:
        found.start(lambda _name: bar.update(1))
    _show(found, as_json=as_json)


@lab.command("stop")
@_FOLDER
@json_option
def stop(folder: Path, *, as_json: bool) -> None:
    """Stop every process of the lab in DIR; what it exchanged stays there.

    \b
    Example:
      exchangectl lab stop /tmp/province
    """
    found = _open(folder)
    found.stop()
    if as_json:
        say_json(found.status())
    else:
        say(_("stopped"))


@lab.command("remove")
@_FOLDER
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def remove(folder: Path, *, yes: bool, as_json: bool) -> None:
    """Stop the lab in DIR, then remove its accounts and the folder with everything in it.

    \b
    Example:
      exchangectl lab remove /tmp/province --yes
    """
    from cli.lab.lab import remove_lab

    if not yes:
        ask(_("remove the lab {folder} with all it holds?").format(folder=folder))
    remove_lab(folder)
    if as_json:
        say_json({"folder": folder.absolute(), "removed": True})
    else:
        say(_("removed: {folder}").format(folder=folder))


@lab.command("status")
@_FOLDER
@json_option
def status(folder: Path, *, as_json: bool) -> int:
    """Show the processes of the lab in DIR. Exit code 1 when one ended without being stopped.

    \b
    Example:
      exchangectl lab status /tmp/province --json
    """
    found = _open(folder)
    _show(found, as_json=as_json)
    died = any(state.state == "died" for state in found.status())
    return ExitCode.FINDINGS if died else ExitCode.DONE


def _open(folder: Path) -> Lab:
    from cli.lab.lab import Lab

    return Lab.open(folder)


def _show(found: Lab, *, as_json: bool) -> None:
    states = found.status()
    if as_json:
        say_json(states)
        return
    rows = [(state.name, _(state.role), state.pid or "-", _(state.state)) for state in states]
    say(table((_("node"), _("role"), _("pid"), _("state")), rows))
