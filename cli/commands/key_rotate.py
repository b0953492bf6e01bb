"""``exchangectl key rotate``: ask nodes for new keys, by the next directory."""

from __future__ import annotations

from pathlib import Path

import click

from cli.frame import json_option
from cli.locale import _

_FILE = click.Path(path_type=Path)


@click.command("rotate")
@click.option("--directory", "file", type=_FILE, required=True, help="The directory in force, or a draft.")
@click.option("--node", "codes", multiple=True, metavar="CODE", help="A node whose keys are to change.")
@click.option("--all", "every", is_flag=True, help="The keys of all nodes are to change.")
@click.option(
    "--at", "at", metavar="TIME", help="Keys that began before this time are to be replaced; else now."
)
@click.option("--output", type=_FILE, required=True, help="Where the next directory goes, unsigned.")
@json_option
def key_rotate(
    file: Path, codes: tuple[str, ...], at: str | None, output: Path, *, every: bool, as_json: bool
) -> None:
    """Ask nodes for new keys: write the directory that says so.

    Where it arrives, a node makes a new key for every use and offers it to the province by itself; nobody
    at an agency does anything. Then exchangectl key offers lists them, and exchangectl directory next
    --offers takes them, with the time from which they count. Until then everything goes on as it is.

    \b
    Example:
      exchangectl key rotate --all --directory directory.xml --output next.xml
    """
    from cli.desk_output import write_next
    from cli.directory_desk import load_base, successor
    from cli.directory_rotation import ask_for_keys
    from cli.moments import read_moment
    from exchanged.clock import SystemClock

    if every is bool(codes):
        raise click.UsageError(_("name nodes with --node, or all with --all"))
    now = SystemClock().now()
    base = load_base(file)
    changed = ask_for_keys(successor(base, now), codes, now if at is None else read_moment(at, "--at"))
    write_next(base, changed, output, as_json=as_json)
