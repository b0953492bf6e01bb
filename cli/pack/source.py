"""A pack from a folder: rows of a province laid over a standard, and the schemas that it writes itself.

The folder holds ``pack.toml`` and any number of ``*.xsd``. ``[pack]`` gives name and version, and ``base``: a
pack file, or nothing for the standard that this program carries. The tables are those of ``local_rows``. A
business type with ``schema = "x.xsd"`` is validated by that file, which may need XSD 1.1; for all others
schemas are written from the rows. No code of the folder is ever run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from cli.frame import InputFileError, PlanError, read_input
from cli.toml_files import load_plan_file
from exchanged.config_reader import Section
from packet_spec.body_xsd import body_schemas
from packet_spec.catalogue import read_catalogue
from packet_spec.errors import CatalogueError
from packet_spec.identity import is_pack_word
from packet_spec.limits import MIB, PACK_BYTES
from packet_spec.local_rows import TABLES, lay_over
from packet_spec.pack import read_pack, shipped_pack, write_pack

PLAN: Final = "pack.toml"

_SHAPE: Final = "1 to 64 of A-Z a-z 0-9 . -"


def build_pack(folder: Path) -> bytes:
    """The bytes of the pack that ``folder`` describes.

    Raises PlanError for a pack.toml that cannot be used, PackError for schemas that cannot, InputFileError
    when the folder cannot be read.
    """
    return load_plan_file(folder / PLAN, lambda data: _build(data, folder))


def _build(data: dict[str, Any], folder: Path) -> bytes:
    problems: list[str] = []
    head = Section("", {"pack": data.pop("pack", {})}, folder, problems).table("pack")
    name = head.text("name", check=is_pack_word, shape=_SHAPE)
    version = head.text("version", check=is_pack_word, shape=_SHAPE)
    base = head.text("base", "")
    head.finish()
    problems += [f"{key}: unknown table" for key in data.keys() - {*TABLES, "code_list"}]
    if problems:
        raise PlanError(tuple(problems))
    below = read_pack(read_input(folder / base, PACK_BYTES)) if base else shipped_pack()
    try:
        compiled = lay_over(below.compiled, data, version)
    except CatalogueError as error:
        raise PlanError(tuple(str(error).splitlines())) from error
    catalogue = read_catalogue(compiled)
    own = {row.schema for row in catalogue.business_types.values() if row.schema}
    written, lying = body_schemas(catalogue), _schemas(folder)
    problems += [f"{file}: no business type names this schema" for file in sorted(lying.keys() - own)]
    problems += [
        f"{file}: the name of a schema that is written from the rows" for file in sorted(own & written.keys())
    ]
    if problems:
        raise PlanError(tuple(problems))
    inherited = {file: below.schemas[file] for file in own & below.schemas.keys()}
    return write_pack(name, version, compiled, {**inherited, **written, **lying})


def _schemas(folder: Path) -> dict[str, bytes]:
    try:
        return {path.name: read_input(path, MIB) for path in sorted(folder.glob("*.xsd"))}
    except OSError as error:
        found = error.strerror or ""
        raise InputFileError("the folder cannot be read", where=str(folder), found=found) from error
