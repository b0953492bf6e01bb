"""``exchangectl kit``: what a maker of case software needs at his own desk, in one folder."""

from __future__ import annotations

from pathlib import Path

import click

from cli.frame import NounGroup, json_option, read_input
from cli.locale import _
from cli.render import counting, fields, say, say_json, size


@click.group("kit", cls=NounGroup)
def kit() -> None:
    """Build the kit for makers of case software."""


@kit.command("build")
@click.argument("target", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--types", "codes", multiple=True, metavar="CODE", help="Examples of this type only; may be repeated."
)
@click.option(
    "--pack",
    "pack_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A pack file; without it the standard of this program.",
)
@json_option
def build(target: Path, *, codes: tuple[str, ...], pack_file: Path | None, as_json: bool) -> None:
    """Write the vendor kit: schemas, examples, guide, catalogue and programs, in Chinese and English.

    DIR must be new or empty. Every example is checked while it is written: good ones are valid, bad ones are
    refused for exactly one fault, and expected.json beside each says so. Needs no node and no network.

    \b
    Example:
      exchangectl kit build vendor-kit
    """
    from cli.kit.build import build_kit, kit_steps
    from packet_spec.limits import PACK_BYTES
    from packet_spec.pack import read_pack, shipped_pack_bytes

    data = shipped_pack_bytes() if pack_file is None else read_input(pack_file, PACK_BYTES)
    pack = read_pack(data)
    with counting(_("building"), lambda: kit_steps(pack, codes)) as bar:
        made = build_kit(target, data, codes, bar.update)
    if as_json:
        say_json(made)
        return
    shown = (
        (_("path"), made.path),
        (_("version"), made.version),
        (_("pack"), made.pack_digest),
        (_("business types"), made.types),
        (_("examples"), made.examples),
        (_("files"), made.files),
        (_("size"), size(made.size_bytes)),
    )
    say(fields(shown))
