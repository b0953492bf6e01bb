"""``exchangectl agency pack``: the one file by which an enrolled node joins."""

from __future__ import annotations

from pathlib import Path

import click

from cli.frame import json_option
from cli.locale import _
from cli.render import fields, say, say_json

_FILE = click.Path(path_type=Path)


@click.command("pack")
@click.argument("code")
@click.option("--directory", "file", type=_FILE, required=True, help="The signed directory that lists it.")
@click.option("--host", required=True, help="Where it reaches the SSH server of the node above it.")
@click.option("--port", type=click.IntRange(1, 65535), default=2222, show_default=True, help="Its port.")
@click.option("--user", help="The account that it logs in as; else ex-CODE.")
@click.option("--mailbox", default="/", show_default=True, help="Its mailbox there; / in a jail.")
@click.option(
    "--step",
    "steps",
    type=_FILE,
    multiple=True,
    help="An earlier directory that changed roots, for a fingerprint that was told before it.",
)
@click.option("--output", type=_FILE, required=True, help="Where the enrolment pack goes.")
@json_option
def agency_pack(
    code: str,
    file: Path,
    host: str,
    port: int,
    user: str | None,
    mailbox: str,
    steps: tuple[Path, ...],
    output: Path,
    *,
    as_json: bool,
) -> None:
    """Write the enrolment pack of the node CODE, by which it joins with one command.

    It carries the signed directory, with the host key of the server, and how to reach it. Tell the agency the
    root fingerprint by another road: by telephone, or on paper. It holds no secret.

    \b
    Example:
      exchangectl agency pack 620199-05-00 --directory directory.xml --host 10.88.1.1 --output justice.enrol
    """
    from cli.directory_desk import DeskError
    from cli.enrolment_pack import (
        DialledLink,
        EnrolmentPack,
        accept,
        told_fingerprints,
        write_enrolment_pack,
    )
    from cli.frame import read_input
    from exchanged.clock import SystemClock
    from exchanged.durable import DurableFiles, Volume
    from packet_spec.directory import decode_directory
    from packet_spec.directory_trust import roots_fingerprint
    from packet_spec.limits import DIRECTORY_BYTES
    from packet_spec.signing import split_signed

    files = [read_input(path, DIRECTORY_BYTES) for path in (*steps, file)]
    directory = decode_directory(split_signed(files[-1])[0])
    node = directory.node(code)
    if node is None or not node.parent:
        raise DeskError("the directory lists no such node below another one", where=f"node {code}")
    files.sort(key=lambda data: decode_directory(split_signed(data)[0]).edition)
    link = DialledLink(node.parent, host, port, user or f"ex-{code}", mailbox)
    pack = EnrolmentPack(code, (link,), tuple(files))
    fingerprint = roots_fingerprint(directory.roots, directory.threshold)
    # As the agency will: a pack that it would refuse is not made.
    accept(pack, fingerprint, SystemClock().now())
    DurableFiles(Volume.OUTPUT).write_file(output, (write_enrolment_pack(pack),), mode=0o644)
    if as_json:
        said = {"file": output, "node": code, "version": directory.version, "root_fingerprint": fingerprint}
        say_json({**said, "link": link})
        return
    say(fields([(_("file"), output), (_("node"), code), (_("directory"), directory.edition)]))
    say()
    say(_("Tell the agency by another road, such as the telephone, the root fingerprint:"))
    say(f"  {told_fingerprints([fingerprint])}")
    say(_("There: exchangectl node enrol {file} --root-fingerprint FINGERPRINT").format(file=output.name))
