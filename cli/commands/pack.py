"""``exchangectl pack``: versions of the exchange standard, from rows and schemas to what nodes judge by."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.exit_codes import ExitCode
from cli.frame import Settings, as_called, json_option, read_input
from cli.locale import _, told
from cli.render import fields, local_time, progress, say, say_json, table

if TYPE_CHECKING:
    from packet_spec.pack import Pack

_PATH = click.Path(path_type=Path)
_STANDARD = "standard"


@click.group("pack")
def pack() -> None:
    """Build, check, show, compare and install versions of the standard."""


@pack.command("build")
@click.argument("folder", type=_PATH)
@click.option("--output", type=_PATH, required=True, help="Where the pack goes.")
@json_option
def build(folder: Path, output: Path, *, as_json: bool) -> None:
    """Build a pack from the rows and schemas in FOLDER.

    FOLDER holds pack.toml: [pack] name, version, base (a pack file; without it the standard of this
    program); then rows: [[business_type]], [[document_type]], [[field]], [[code_list]], [[case_kind]],
    [[category]], [[main_flow]], [[law]]. A row of a known code changes only the keys that it gives. A
    business type may name a schema of its own, a .xsd in FOLDER, of XSD 1.0 or 1.1.

    \b
    Example:
      exchangectl pack build my-province --output my-province.pack
    """
    from cli.pack.source import build_pack
    from packet_spec.pack import read_pack

    data = build_pack(folder)
    _write(output, data)
    _tell(read_pack(data), output, as_json=as_json)


@pack.command("check")
@click.argument("source", type=_PATH)
@json_option
def check(source: Path, *, as_json: bool) -> int:
    """Put a pack, or the folder of one, to the test before it is published.

    Both XML engines must take every schema and agree on invented bodies of every type, right ones and
    wrong ones; no pattern may take long. Takes about a minute. Exit code 1: something speaks against it.

    \b
    Example:
      exchangectl pack check my-province.pack
    """
    from cli.pack.source import build_pack
    from packet_spec.pack import read_pack

    data = build_pack(source) if source.is_dir() else _read(source)
    count, problems = _second_opinion(data)
    if as_json:
        say_json({"pack": read_pack(data).stamp, "looked_at": count, "problems": problems})
    else:
        _tell_problems(problems)
        summary = _("{title}: {count} pieces looked at, {problems} problems")
        say(summary.format(title=read_pack(data).title, count=count, problems=len(problems)))
    return ExitCode.FINDINGS if problems else ExitCode.DONE


@pack.command("show")
@click.argument("source", type=_PATH, required=False)
@json_option
@click.pass_obj
def show(settings: Settings, source: Path | None, *, as_json: bool) -> None:
    """Show a pack, or without one the packs of this node and of its directory.

    SOURCE is a pack file, or "standard" for the one that this program carries.

    \b
    Example:
      exchangectl pack show my-province.pack
    """
    if source is not None:
        from packet_spec.pack import read_pack

        _tell(read_pack(_read(source)), source, as_json=as_json)
        return
    from cli.directory_trusted import find_directory
    from exchanged.clock import SystemClock
    from exchanged.packs import find_pack
    from exchanged.places import PACK_FOLDER
    from packet_spec.errors import PackUnknownError
    from packet_spec.pack import shipped_pack

    config = settings.load()
    directory, state = find_directory(config)
    listed = () if directory is None else directory.packs
    in_force = {each.digest for each in (directory.packs_at(SystemClock().now()) if directory else ())}
    own = shipped_pack().digest
    rows = []
    for each in listed:
        try:
            find_pack(config.node.data_dir / PACK_FOLDER, each.digest)
            here = True
        except PackUnknownError:
            here = False
        rows.append((each, here, each.digest in in_force))
    if as_json:
        packs = [{"pack": each, "here": here, "in_force": now} for each, here, now in rows]
        say_json({"shipped": shipped_pack().stamp, "directory": packs})
        return
    say(fields([(_("this program carries"), shipped_pack().title)]))
    if directory is None:
        # What one would name cannot be known: that it names none must not be said.
        text = _("no directory is in force here: {why}").format(why=told(state.detail))
        say(as_called(text, settings.config_path))
        return
    if not rows:
        say(_("the directory names no pack: what this program carries is in force"))
        return
    shown = [
        (
            each.name,
            each.version,
            each.digest[:12] + ("*" if each.digest == own else ""),
            local_time(each.valid_from),
            local_time(each.valid_until) if each.valid_until else "-",
            _("in force") if now else "-",
            _("here") if here else _("missing"),
        )
        for each, here, now in rows
    ]
    say(table((_("name"), _("version"), _("digest"), _("from"), _("until"), "", ""), shown))


@pack.command("diff")
@click.argument("old", type=_PATH)
@click.argument("new", type=_PATH)
@json_option
def diff(old: Path, new: Path, *, as_json: bool) -> int:
    """Tell what changed from the pack OLD to the pack NEW.

    "standard" stands for the pack that this program carries. Exit code 1: something changed.

    \b
    Example:
      exchangectl pack diff standard my-province.pack
    """
    from cli.pack.compare import compare_packs
    from packet_spec.pack import read_pack

    changes = compare_packs(*(read_pack(_read(path)) for path in (old, new)))
    if as_json:
        say_json({"changes": changes})
    elif not changes:
        say(_("nothing changed"))
    else:
        for each in changes:
            place = f"{each.table} {each.row} {each.key}".strip()
            was = f": {each.before} -> {each.after}" if each.kind == "changed" else ""
            say(f"{_(each.kind)} {place}{was}")
    return ExitCode.FINDINGS if changes else ExitCode.DONE


@pack.command("install")
@click.argument("file", type=_PATH)
@click.option("--checked", is_flag=True, help="This file passed pack check already: do not repeat it.")
@json_option
@click.pass_obj
def install(settings: Settings, file: Path, *, checked: bool, as_json: bool) -> int:
    """Put the pack in FILE to the test and hand it to this node, which hands it on.

    The daemon takes it as soon as its directory names the pack. Once at the province is enough: all
    others get it over their links. A pack that does not pass is not handed over (exit code 1).

    \b
    Example:
      exchangectl --config /etc/exchanged/exchanged.toml pack install my-province.pack
    """
    from cli.incoming import put_incoming
    from exchanged.places import PACK_FOLDER
    from packet_spec.pack import read_pack

    config = settings.load()
    data = _read(file)
    found = read_pack(data)
    problems = [] if checked else _second_opinion(data)[1]
    if problems:
        if as_json:
            say_json({"pack": found.stamp, "problems": problems, "taken": False})
        else:
            _tell_problems(problems)
        return ExitCode.FINDINGS
    target = put_incoming(config, PACK_FOLDER, f"{found.digest}.pack", data)
    _tell(found, target, as_json=as_json)
    return ExitCode.DONE


def _second_opinion(data: bytes) -> tuple[int, list[str]]:
    """How many pieces were looked at, and what speaks against the pack."""
    from tempfile import TemporaryDirectory

    from cli.pack.acceptance import PIECE_SECONDS, WORKERS, pieces_of, problems_of_pack
    from exchanged.pool import ProcessWorkPool
    from packet_spec.pack import read_pack

    with TemporaryDirectory(prefix="pack-") as folder:
        path = Path(folder) / "one.pack"
        path.write_bytes(data)
        pieces = pieces_of(read_pack(data), path)
        pool = ProcessWorkPool(WORKERS, PIECE_SECONDS)
        try:
            with progress(_("checking"), len(pieces)) as bar:
                return len(pieces), problems_of_pack(pieces, pool, bar.update)
        finally:
            pool.close()


def _tell_problems(problems: list[str]) -> None:
    for problem in problems:
        say(problem)


def _read(path: Path) -> bytes:
    from packet_spec.limits import PACK_BYTES
    from packet_spec.pack import shipped_pack_bytes

    return shipped_pack_bytes() if str(path) == _STANDARD else read_input(path, PACK_BYTES)


def _write(path: Path, data: bytes) -> None:
    from exchanged.durable import DurableFiles, Volume

    DurableFiles(Volume.OUTPUT).write_file(path, (data,), mode=0o644)


def _tell(found: Pack, path: Path, *, as_json: bool) -> None:
    catalogue = found.catalogue
    own = sorted(row.code for row in catalogue.business_types.values() if row.schema)
    said = {
        "file": path,
        "name": found.name,
        "version": found.version,
        "digest": found.digest,
        "business_types": len(catalogue.business_types),
        "document_types": len(catalogue.document_types),
        "fields": len(catalogue.fields),
        "own_schemas": own,
    }
    if as_json:
        say_json(said)
        return
    names = {
        "file": _("file"),
        "name": _("name"),
        "version": _("version"),
        "digest": _("digest"),
        "business_types": _("business types"),
        "document_types": _("document types"),
        "fields": _("fields"),
        "own_schemas": _("schemas of their own"),
    }
    shown = {**said, "own_schemas": ", ".join(own) or "-"}
    say(fields((names[key], value) for key, value in shown.items()))
