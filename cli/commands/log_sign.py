"""``exchangectl log sign``: one root key's signature under a recovery statement."""

from __future__ import annotations

from pathlib import Path

import click

from cli.frame import json_option, read_input

_FILE = click.Path(path_type=Path)


@click.command("sign")
@click.argument("file", type=_FILE)
@click.option("--key", "key_file", type=_FILE, required=True, help="The private root key.")
@click.option("--passphrase-file", type=_FILE, help="A private file with the passphrase of the key, if any.")
@click.option("--output", type=_FILE, help="Where the signed statement goes; without it, into FILE.")
@json_option
def log_sign(
    file: Path, key_file: Path, passphrase_file: Path | None, output: Path | None, *, as_json: bool
) -> None:
    """Add the signature of one root key to the recovery statement in FILE, and show what it says.

    It excuses the loss of part of a node's record: sign it only when you know that, and why, it was lost.

    \b
    Example:
      exchangectl log sign recovery.xml --key root.key
    """
    from cli.commands.log_recovery import tell_recovery
    from cli.directory_keys import load_root
    from exchanged.durable import DurableFiles, Volume
    from packet_spec.limits import LOG_RECOVERY_BYTES
    from packet_spec.log_recovery import decode_log_recovery, sign_log_recovery
    from packet_spec.signing import split_signed

    data = read_input(file, LOG_RECOVERY_BYTES)
    recovery = decode_log_recovery(split_signed(data)[0])
    target = output or file
    signed = sign_log_recovery(data, load_root(key_file, passphrase_file))
    DurableFiles(Volume.OUTPUT).write_file(target, (signed,), mode=0o644)
    tell_recovery(recovery, target, as_json=as_json)
