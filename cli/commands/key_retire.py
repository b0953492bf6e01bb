"""``exchangectl key retire``: end or revoke one key, by the next directory."""

from __future__ import annotations

from pathlib import Path

import click

from cli.frame import json_option

_FILE = click.Path(path_type=Path)


@click.command("retire")
@click.argument("key_id")
@click.option("--directory", "file", type=_FILE, required=True, help="The directory in force, or a draft.")
@click.option(
    "--at",
    "at",
    metavar="TIME",
    help="From when on, such as 2027-01-01T00:00:00+08:00; else in 24 hours, with --revoke now.",
)
@click.option("--revoke", is_flag=True, help="It was stolen or lost: what it signs counts no more anywhere.")
@click.option("--output", type=_FILE, required=True, help="Where the next directory goes, unsigned.")
@json_option
def key_retire(key_id: str, file: Path, at: str | None, output: Path, *, revoke: bool, as_json: bool) -> None:
    """End the key KEY_ID in good order, at a time ahead: what it signed before stays good.

    With --revoke it is refused at every door as soon as the signed directory arrives, within a minute at
    linked nodes, whatever date stands on what it signed. Have a new key in the same directory, or the node
    stands still: exchangectl key rehearse says so.

    \b
    Example:
      exchangectl key retire 3a7f... --revoke --directory directory.xml --output next.xml
    """
    from cli.desk_output import write_next
    from cli.directory_desk import load_base, successor
    from cli.directory_rotation import end_key, revoke_key
    from cli.moments import read_moment, read_moment_ahead
    from exchanged.clock import SystemClock

    now = SystemClock().now()
    base = load_base(file)
    if revoke:
        since = now if at is None else read_moment(at, "--at")
        changed = revoke_key(successor(base, now), key_id, since)
    else:
        changed = end_key(successor(base, now), key_id, read_moment_ahead(at, "--at", now))
    write_next(base, changed, output, as_json=as_json)
