"""``exchangectl directory``: the signed list of everybody who may speak, from plan to node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.exit_codes import ExitCode
from cli.frame import NounGroup, Settings, json_option, read_input, read_roots
from cli.locale import _
from cli.render import fields, local_time, say, say_json, table

if TYPE_CHECKING:
    from packet_spec.model import Directory, DirectoryAgency

_FILE = click.Path(path_type=Path)


@click.group("directory", cls=NounGroup, members={"next": "directory_next"})
def directory() -> None:
    """Build, sign, verify and install the directory."""


@directory.command("build")
@click.argument("plan", type=_FILE)
@click.option("--base", "base_file", type=_FILE, help="The directory in force, or a draft, that it follows.")
@click.option("--output", type=_FILE, required=True, help="Where the unsigned directory goes.")
@json_option
def build(plan: Path, base_file: Path | None, output: Path, *, as_json: bool) -> None:
    """Build an unsigned directory from the TOML file PLAN.

    The plan has [directory] version, valid_days, threshold, roots; [[node]] code, role, parent with
    [[node.key]] public, uses, valid_days; [[agency]] code, kind, level, parent, node, admitting_node,
    name_zh, name_en; [[pack]]. A key is "ed25519-sha256:HEX" or the name of a .pub file.

    Any directory but the first follows another: with --base the plan says what becomes different, and may
    leave out the rest. Nodes, agencies, keys and packs of the base stay, with their dates, and nothing that
    was revoked, disabled or retired comes back. Roots and threshold are those of the base: a plan that states
    others is refused. Routes and enabled types are replaced by those that the plan states. What changes is
    printed.

    \b
    Example:
      exchangectl directory build standard.toml --base directory.xml --output next.xml
    """
    from cli.desk_output import write_next
    from cli.directory_desk import load_base
    from cli.directory_plan import load_directory_plan
    from exchanged.clock import SystemClock
    from packet_spec.directory import encode_directory

    base = None if base_file is None else load_base(base_file)
    planned = load_directory_plan(plan, SystemClock().now(), base)
    if base is not None:
        write_next(base, planned, output, as_json=as_json)
        return
    _write(output, encode_directory(planned))
    _tell(planned, output, as_json=as_json)


@directory.command("sign")
@click.argument("file", type=_FILE)
@click.option("--key", "key_file", type=_FILE, required=True, help="The private root key.")
@click.option("--passphrase-file", type=_FILE, help="A private file with the passphrase of the key, if any.")
@click.option("--output", type=_FILE, help="Where the signed directory goes; without it, into FILE.")
@json_option
def sign(
    file: Path, key_file: Path, passphrase_file: Path | None, output: Path | None, *, as_json: bool
) -> None:
    """Add the signature of one root key to the directory in FILE.

    Look at what you sign first: exchangectl directory show FILE

    \b
    Example:
      exchangectl directory sign directory.xml --key root.key
    """
    from cli.directory_keys import load_root
    from packet_spec.directory import add_signature, decode_directory
    from packet_spec.limits import DIRECTORY_BYTES
    from packet_spec.signing import split_signed

    data = read_input(file, DIRECTORY_BYTES)
    content = decode_directory(split_signed(data)[0])
    target = output or file
    _write(target, add_signature(data, load_root(key_file, passphrase_file)))
    _tell(content, target, as_json=as_json)


@directory.command("show")
@click.argument("file", type=_FILE)
@json_option
def show(file: Path, *, as_json: bool) -> None:
    """Show what the directory in FILE says; its signatures are listed, not verified.

    \b
    Example:
      exchangectl directory show directory.xml
    """
    from packet_spec.directory import decode_directory
    from packet_spec.directory_trust import roots_fingerprint
    from packet_spec.limits import DIRECTORY_BYTES
    from packet_spec.signing import split_signed

    document, signatures = split_signed(read_input(file, DIRECTORY_BYTES))
    content = decode_directory(document)
    signers = [signature.key_id for signature in signatures]
    if as_json:
        fingerprint = roots_fingerprint(content.roots, content.threshold)
        say_json({"directory": content, "signed_by": signers, "root_fingerprint": fingerprint})
        return
    say(_summary(content))
    say(f"{_('signed by (not verified)')}: {', '.join(signers) or '-'}")
    say()
    roots = [(root.key_id, f"{root.suite}:{root.public.hex()}") for root in content.roots]
    say(table((_("root"), _("public key")), roots))
    say()
    nodes = [
        (node.code, node.role, node.parent, len(node.keys), _off(node.disabled)) for node in content.nodes
    ]
    say(table((_("node"), _("role"), _("parent"), _("keys"), ""), nodes))
    say()
    agencies = [
        (agency.code, agency.kind, _(agency.level), agency.node, agency.name_zh, _standing(agency))
        for agency in content.agencies
    ]
    say(table((_("agency"), _("kind"), _("level"), _("node"), _("name"), ""), agencies))


@directory.command("verify")
@click.argument("file", type=_FILE)
@click.option("--root", "roots", multiple=True, metavar="KEY", help="A trusted root key; may be repeated.")
@click.option("--threshold", type=click.IntRange(1), default=1, help="How many roots must have signed.")
@json_option
@click.pass_obj
def verify(settings: Settings, file: Path, roots: tuple[str, ...], threshold: int, *, as_json: bool) -> None:
    """Verify the root signatures of the directory in FILE.

    Without --root those roots count that are in force at this node.

    \b
    Example:
      exchangectl directory verify directory.xml
    """
    from cli.directory_trusted import open_trusted
    from packet_spec.directory import open_directory
    from packet_spec.limits import DIRECTORY_BYTES

    data = read_input(file, DIRECTORY_BYTES)
    if roots:
        content = open_directory(data, read_roots(roots), threshold)
    else:
        content = open_trusted(data, settings.load())
    _tell(content, file, as_json=as_json)


@directory.command("install")
@click.argument("file", type=_FILE)
@json_option
@click.pass_obj
def install(settings: Settings, file: Path, *, as_json: bool) -> int:
    """Verify the directory in FILE and hand it to this node.

    The daemon takes it at its next look, or when it starts. A directory that is not newer than the
    installed one is left out (exit code 1).

    \b
    Example:
      exchangectl --config /etc/exchanged/exchanged.toml directory install directory.xml
    """
    from cli.directory_trusted import open_trusted, roots_in_force
    from cli.incoming import put_incoming
    from exchanged.places import DIRECTORY_FOLDER
    from packet_spec.directory_trust import NotNewerError, open_successor
    from packet_spec.limits import DIRECTORY_BYTES

    config = settings.load()
    data = read_input(file, DIRECTORY_BYTES)
    in_force = roots_in_force(config)
    try:
        offered = open_successor(data, in_force)
    except NotNewerError:
        edition = open_trusted(data, config).edition
        said = {"installed": str(in_force.edition), "offered": str(edition), "taken": False}
        if as_json:
            say_json(said)
        else:
            text = _("not newer: version {offered} is offered, version {installed} is installed")
            say(text.format_map(said))
        return ExitCode.FINDINGS
    target = put_incoming(config, DIRECTORY_FOLDER, f"directory-{offered.edition}.xml", data)
    _tell(offered, target, as_json=as_json)
    return ExitCode.DONE


def _write(path: Path, data: bytes) -> None:
    from exchanged.durable import DurableFiles, Volume

    DurableFiles(Volume.OUTPUT).write_file(path, (data,), mode=0o644)


def _tell(content: Directory, file: Path, *, as_json: bool) -> None:
    from packet_spec.directory_trust import roots_fingerprint

    if as_json:
        said = {
            "file": file,
            "epoch": content.epoch,
            "version": content.version,
            "root_fingerprint": roots_fingerprint(content.roots, content.threshold),
            "issued_at": content.issued_at,
            "expires_at": content.expires_at,
            "nodes": len(content.nodes),
            "agencies": len(content.agencies),
        }
        say_json(said)
    else:
        say(fields([(_("file"), file)]))
        say(_summary(content))


def _summary(content: Directory) -> str:
    from packet_spec.directory_trust import roots_fingerprint

    epoch = [] if content.epoch == 1 else [(_("epoch"), content.epoch)]
    return fields(
        [
            *epoch,
            (_("version"), content.version),
            (_("issued"), local_time(content.issued_at)),
            (_("expires"), local_time(content.expires_at)),
            (_("roots"), f"{content.threshold} / {len(content.roots)}"),
            (_("root fingerprint"), roots_fingerprint(content.roots, content.threshold)),
            (_("nodes"), len(content.nodes)),
            (_("agencies"), len(content.agencies)),
        ]
    )


def _standing(agency: DirectoryAgency) -> str:
    if agency.disabled or agency.retired_at is None:
        return _off(agency.disabled)
    return _("retired from {at}").format(at=local_time(agency.retired_at))


def _off(disabled: bool) -> str:
    return _("disabled") if disabled else ""
