"""``exchangectl key protect``: put key files under a passphrase."""

from __future__ import annotations

from pathlib import Path

import click

from cli.frame import Settings, json_option
from cli.locale import _
from cli.render import say, say_json

_FILE = click.Path(path_type=Path)


@click.command("protect")
@click.argument("files", nargs=-1, type=_FILE, metavar="[FILE]...")
@click.option(
    "--passphrase-file", type=_FILE, required=True, help="A private file (mode 0600) with the passphrase."
)
@click.option("--old-passphrase-file", type=_FILE, help="That under which the keys are now, if any.")
@json_option
@click.pass_obj
def key_protect(
    settings: Settings,
    files: tuple[Path, ...],
    passphrase_file: Path,
    old_passphrase_file: Path | None,
    *,
    as_json: bool,
) -> None:
    """Put the key files FILE under a passphrase; without FILE, all of this node.

    Then the node needs it to start: [keys] passphrase_file, or better the credential "passphrase" of its
    unit (docs/operating.md). New keys that it makes are under it too. Stop the daemon first. Where the
    command was stopped in the middle, give it again: what is under the passphrase already stays as it is.

    \b
    Example:
      exchangectl key protect --passphrase-file /etc/exchanged/passphrase
    """
    from exchanged.clock import SystemRandomness
    from exchanged.key_files import key_files_here
    from exchanged.keys import protect, read_passphrase

    passphrase = read_passphrase(passphrase_file)
    old = None if old_passphrase_file is None else read_passphrase(old_passphrase_file)
    paths = files or tuple(path for found in key_files_here(settings.load()).values() for path in found)
    randomness = SystemRandomness()
    done = []
    for path in dict.fromkeys(paths):
        done.append({"file": path, "key_id": protect(path, passphrase, randomness, old).key_id})
        if not as_json:
            say(_("under the passphrase: {file}").format(file=path))
    if as_json:
        say_json(done)
