"""``exchangectl log install``: a recovery statement that the roots signed, for this node."""

from __future__ import annotations

from pathlib import Path

import click

from cli.frame import Settings, json_option, read_input


@click.command("install")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@click.pass_obj
def log_install(settings: Settings, file: Path, *, as_json: bool) -> None:
    """Verify the recovery statement in FILE and hand it to this node.

    The daemon takes it at its next look, or when it starts. At the node whose log it is about, it is sent
    on to every front-end, so it has to be installed there only; an agency may install it by itself.

    \b
    Example:
      exchangectl log install recovery.xml
    """
    from cli.commands.log_recovery import tell_recovery
    from cli.directory_trusted import find_directory
    from cli.incoming import put_incoming
    from exchanged.errors import NotFoundError
    from exchanged.places import LOG_FOLDER
    from packet_spec.identity import sha256_hex
    from packet_spec.limits import LOG_RECOVERY_BYTES
    from packet_spec.log_recovery import open_log_recovery

    config = settings.load()
    data = read_input(file, LOG_RECOVERY_BYTES)
    directory, _state = find_directory(config)
    if directory is None:
        raise NotFoundError("no directory is installed", hint="run: exchangectl directory install FILE")
    recovery = open_log_recovery(data, directory.roots, directory.threshold)
    target = put_incoming(config, LOG_FOLDER, f"recovery-{sha256_hex(data)[:16]}.xml", data)
    tell_recovery(recovery, target, as_json=as_json)
