"""``exchangectl agency``: agencies come, stop and leave, by a directory that the roots sign."""

from __future__ import annotations

from pathlib import Path

import click

from cli.frame import NounGroup, json_option

_FILE = click.Path(path_type=Path)


@click.group("agency", cls=NounGroup, members={"enrol": "agency_enrol", "pack": "agency_pack"})
def agency() -> None:
    """Let agencies come, stop and leave: at the desk of those who keep the directory."""


@agency.command("disable")
@click.argument("code")
@click.option("--directory", "file", type=_FILE, required=True, help="The directory in force, or a draft.")
@click.option("--output", type=_FILE, required=True, help="Where the next directory goes, unsigned.")
@json_option
def disable(code: str, file: Path, output: Path, *, as_json: bool) -> None:
    """Stop the agency CODE at once: its seals count no more, and its links end.

    For a stolen machine or key. What it sealed and is still on its way is stopped too; old receipts stay
    good. Who leaves in good order is retired instead. It takes effect where the signed directory arrives.

    \b
    Example:
      exchangectl agency disable 620199-05-00 --directory directory.xml --output next.xml
    """
    from cli.desk_output import write_next
    from cli.directory_desk import disable as disabled
    from cli.directory_desk import load_base, successor
    from exchanged.clock import SystemClock

    base = load_base(file)
    changed = disabled(successor(base, SystemClock().now()), code)
    write_next(base, changed, output, as_json=as_json)


@agency.command("retire")
@click.argument("code")
@click.option("--directory", "file", type=_FILE, required=True, help="The directory in force, or a draft.")
@click.option("--output", type=_FILE, required=True, help="Where the next directory goes, unsigned.")
@click.option(
    "--at", "at", metavar="TIME", help="From when on, such as 2027-01-01T00:00:00+08:00; else in 24 hours."
)
@json_option
def retire(code: str, file: Path, output: Path, at: str | None, *, as_json: bool) -> None:
    """End the agency CODE in good order: nothing new is sent by or to it.

    Packets that were sealed before go on, and its receipts about them count; senders of new ones are told.
    When nothing is on the way any more, disable it: that ends its links. TIME lies ahead, so that every
    node knows by then: what is sent in between is accepted, and can be proved.

    \b
    Example:
      exchangectl agency retire 620199-05-00 --at 2027-01-01T00:00:00+08:00 \\
          --directory directory.xml --output next.xml
    """
    from cli.desk_output import write_next
    from cli.directory_desk import load_base, successor
    from cli.directory_desk import retire as retired
    from cli.moments import read_moment_ahead
    from exchanged.clock import SystemClock

    now = SystemClock().now()
    base = load_base(file)
    changed = retired(successor(base, now), code, read_moment_ahead(at, "--at", now))
    write_next(base, changed, output, as_json=as_json)
