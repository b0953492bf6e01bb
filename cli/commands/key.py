"""``exchangectl key``: make key files and show the public half of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.frame import NounGroup, Settings, json_option
from cli.locale import _
from cli.render import fields, say, say_json

if TYPE_CHECKING:
    from exchanged.config import Config


@click.group(
    "key",
    cls=NounGroup,
    members={
        "offers": "key_offers",
        "rotate": "key_rotate",
        "retire": "key_retire",
        "rehearse": "key_rehearse",
        "protect": "key_protect",
    },
)
def key() -> None:
    """Make, show, change and end keys."""


@key.command("generate")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--ssh", is_flag=True, help="Make an OpenSSH key pair for the login of an SFTP link.")
@click.option("--comment", default="exchanged", show_default=True, help="The comment of an OpenSSH key.")
@json_option
def generate(file: Path, comment: str, *, ssh: bool, as_json: bool) -> None:
    """Make a new private key in FILE (mode 0600) and its public half in FILE.pub.

    A file that is there already is never overwritten. Made by root, the files belong to the owner of
    their folder. Hand the public half to whoever keeps the directory, or for --ssh to whoever keeps the
    server's accounts.

    \b
    Example:
      exchangectl key generate /var/lib/exchanged/keys/seal.key
      exchangectl key generate --ssh --comment 620199-03-00 /var/lib/exchanged/keys/login
    """
    from cli.service_user import acting_as, owner_of
    from exchanged.clock import SystemRandomness
    from exchanged.keys import generate_key, generate_ssh_key, write_public_key
    from exchanged.public_keys import public_key_text

    if not file.name:
        raise click.BadParameter(_("expected the name of a new file"), param_hint="FILE")
    public_file = file.with_name(file.name + ".pub")
    made: dict[str, object] = {"file": file, "public_file": public_file}
    # What root makes in the folder of a node the node must be able to read.
    with acting_as(owner_of(file.parent)):
        if ssh:
            made["public"] = generate_ssh_key(file, SystemRandomness(), comment)
        else:
            new = generate_key(file, SystemRandomness())
            write_public_key(public_file, new.public_key)
            made |= {"key_id": new.key_id, "public": public_key_text(new.public_key)}
    _show([made], as_json=as_json)


@key.command("show")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE]...")
@json_option
@click.pass_obj
def show(settings: Settings, files: tuple[Path, ...], *, as_json: bool) -> None:
    """Show the key id and public half of private key files; without FILE, of all of this node.

    \b
    Example:
      exchangectl key show /var/lib/exchanged/keys/seal.key
    """
    from exchanged.keys import read_public_half
    from exchanged.public_keys import public_key_text

    shown = []
    for path in files or _configured(settings.load()):
        found = read_public_half(path)
        shown.append({"file": path, "key_id": found.key_id, "public": public_key_text(found)})
    _show(shown, as_json=as_json)


def _configured(config: Config) -> tuple[Path, ...]:
    from exchanged.key_files import key_files_here

    further = (path for paths in key_files_here(config).values() for path in paths)
    return tuple(dict.fromkeys((*config.key_files().values(), *further)))


def _show(keys: list[dict[str, object]], *, as_json: bool) -> None:
    if as_json:
        say_json(keys)
        return
    names = {
        "file": _("file"),
        "public_file": _("public file"),
        "key_id": _("key id"),
        "public": _("public key"),
    }
    say("\n\n".join(fields((names[name], value) for name, value in one.items()) for one in keys))
