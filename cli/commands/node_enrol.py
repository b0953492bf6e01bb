"""``exchangectl node enrol``: an enrolment pack makes a node that was made whole."""

from __future__ import annotations

from pathlib import Path

import click

from cli.exit_codes import ExitCode
from cli.frame import Settings, as_called, json_option
from cli.locale import _
from cli.render import fields, local_time, say, say_json


@click.command("enrol")
@click.argument("pack", type=click.Path(path_type=Path))
@click.option(
    "--root-fingerprint", "fingerprint", metavar="HEX", help="As it was told by another road than the pack."
)
@json_option
@click.pass_obj
def node_enrol(settings: Settings, pack: Path, fingerprint: str | None, *, as_json: bool) -> int:
    """Take the enrolment pack PACK: directory, roots, address and host key of the server.

    Without --root-fingerprint the fingerprint in PACK is shown and nothing is changed (exit code 1): ask the
    keepers of the directory for theirs, by telephone or on paper, and compare. A pack that these roots do not
    prove, or that lists other keys for this node than it made, changes nothing.

    \b
    Example:
      exchangectl --config /etc/exchanged/police.toml node enrol police.enrol --root-fingerprint 3a7f...
    """
    from cli.enrolment_pack import PACK_BYTES, fingerprints, read_enrolment_pack, told_fingerprints
    from cli.frame import read_input
    from cli.node_enrol import enrol_node
    from exchanged.clock import SystemClock

    content = read_enrolment_pack(read_input(pack, PACK_BYTES))
    if fingerprint is None:
        found = fingerprints(content)
        if as_json:
            say_json({"taken": False, "node": content.node, "root_fingerprints": found})
        else:
            say(_("The roots in this pack have the fingerprint, the newest first:"))
            say(told_fingerprints(found))
            say(_("Nothing was changed. Compare it with what you were told by another road, then give that:"))
            say(as_called(f"  exchangectl node enrol {pack} --root-fingerprint ...", settings.config_path))
        return ExitCode.FINDINGS
    taken = enrol_node(settings.config_path, content, fingerprint, SystemClock().now())
    if as_json:
        said = {"taken": True, "node": content.node, "version": taken.directory.version}
        say_json({**said, "root_fingerprint": taken.fingerprint, "changed": taken.changed})
        return ExitCode.DONE
    rows: list[tuple[str, object]] = [
        (_("directory"), taken.directory.edition),
        (_("expires"), local_time(taken.directory.expires_at)),
        (_("root fingerprint"), told_fingerprints([taken.fingerprint])),
        (_("changed in the configuration"), ", ".join(taken.changed) or "-"),
    ]
    say(fields(rows))
    say(_("The daemon takes the directory at its next look, or when it starts."))
    return ExitCode.DONE
