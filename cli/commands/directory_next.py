"""``exchangectl directory next``: the next version of a directory, for a ceremony of the roots."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Final

import click

from cli.frame import json_option

_FILE = click.Path(path_type=Path)
_HOST_KEY_TERM: Final = timedelta(days=3652)


@click.command("next")
@click.argument("file", type=_FILE)
@click.option("--output", type=_FILE, required=True, help="Where the next directory goes, unsigned.")
@click.option("--valid-days", type=click.FloatRange(1, 3660), help="How long it is valid; else as before.")
@click.option(
    "--add-root", "added", multiple=True, metavar="KEY", help="A further root: a key, or its .pub file."
)
@click.option("--remove-root", "removed", multiple=True, metavar="ID", help="The key id of a root that goes.")
@click.option("--threshold", type=click.IntRange(1, 32), help="How many roots must sign from now on.")
@click.option(
    "--new-epoch", is_flag=True, help="Begin a new epoch at version 1, after a version went too far."
)
@click.option(
    "--host-key",
    "host_keys",
    multiple=True,
    nargs=2,
    metavar="NODE FILE.pub",
    help="The host key of the SSH server that serves the mailboxes of NODE.",
)
@click.option("--offers", "offers_file", type=_FILE, help="Take the keys of this file of key offers.")
@click.option("--keys-from", metavar="TIME", help="When offered keys begin to count; else in 24 hours.")
@click.option(
    "--overlap-days",
    type=click.FloatRange(0, 3660),
    default=30.0,
    show_default=True,
    help="How long the keys before them count on.",
)
@click.option(
    "--key-days",
    type=click.FloatRange(0.001, 3660),
    default=730.0,
    show_default=True,
    help="How long offered keys count.",
)
@json_option
def directory_next(
    file: Path,
    output: Path,
    valid_days: float | None,
    added: tuple[str, ...],
    removed: tuple[str, ...],
    threshold: int | None,
    host_keys: tuple[tuple[str, str], ...],
    offers_file: Path | None,
    keys_from: str | None,
    overlap_days: float,
    key_days: float,
    *,
    new_epoch: bool,
    as_json: bool,
) -> None:
    """Write the directory that follows the one in FILE: renewed, with other keys or roots, or in a new epoch.

    Without options it is the same for another term. Other roots, another threshold and a new epoch count
    only with the signatures of the old threshold and of the new one. A FILE without signatures is a draft:
    it keeps its version, so that several changes gather in one.

    \b
    Example:
      exchangectl directory next directory.xml --add-root new.key.pub --remove-root 3a7f... --output next.xml
    """
    from cli import directory_desk as desk
    from cli.desk_output import write_next
    from cli.directory_keys import SUITE_OF_USE, read_listed_key, require_uses
    from cli.directory_rotation import Schedule, take_offers
    from cli.key_offer_file import read_offers
    from cli.moments import KNOWN_IN, read_moment
    from exchanged.clock import SystemClock
    from packet_spec.model import DirectoryKey, KeyUse, RootKey

    now = SystemClock().now()
    base = desk.load_base(file)
    directory = desk.successor(base, now, timedelta(days=valid_days) if valid_days else None)
    roots = [read_listed_key(text, Path()) for text in added]
    for root in roots:
        # A root signs as a node's key does.
        require_uses(root, (KeyUse.SEAL,))
    new_roots = [RootKey(root.key_id, root.suite, root.public) for root in roots]
    directory = desk.change_roots(directory, new_roots, removed, threshold)
    for code, key_file in host_keys:
        public = read_listed_key(key_file, Path())
        require_uses(public, (KeyUse.HOST,))
        # A host key has no end of its own: it stays until it is revoked or replaced.
        key = DirectoryKey(
            public.key_id, SUITE_OF_USE[KeyUse.HOST], public.public, (KeyUse.HOST,), now, now + _HOST_KEY_TERM
        )
        directory = desk.add_keys(directory, code, (key,))
    if offers_file is not None:
        begin = now + KNOWN_IN if keys_from is None else read_moment(keys_from, "--keys-from")
        schedule = Schedule(begin, timedelta(days=overlap_days), timedelta(days=key_days))
        directory = take_offers(directory, read_offers(offers_file, directory), schedule)
    if new_epoch:
        directory = desk.new_epoch(base, directory)
    write_next(base, directory, output, as_json=as_json)
