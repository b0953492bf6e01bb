"""Compiles data/*.yaml into data/catalogue.json and schemas/body/*.xsd.

Run as ``python -m packet_spec.compile_catalogue``. Guarantees: nothing is written unless every
cross-reference holds; the same sources give the same bytes.
``--check`` writes nothing and exits 1 when a shipped file differs from a fresh compile.

This is the one module of packet_spec that touches a disk and that needs PyYAML (a development
dependency). Nothing imports it at run time: the program reads the compiled forms as package data.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]  # a development dependency, used by this module alone

from packet_spec.body_xsd import body_schemas
from packet_spec.catalogue import COMPILED, read_catalogue
from packet_spec.catalogue_check import problems_of
from packet_spec.errors import CatalogueError

PACKAGE: Final = Path(__file__).parent
SOURCES: Final = ("business_types.yaml", "document_types.yaml")

Rows = list[dict[str, Any]]


def main(arguments: Sequence[str] | None = None, package: Path = PACKAGE) -> int:
    """Write (or with ``--check`` compare) the compiled forms. Returns 0, or 1 for problems."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words not in ([], ["--check"]):
        sys.stderr.write("usage: python -m packet_spec.compile_catalogue [--check]\n")
        return 2
    try:
        outputs = compile_package(package)
    except CatalogueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    stale = [path for path, data in outputs.items() if not path.is_file() or path.read_bytes() != data]
    stale += [path for path in (package / "schemas" / "body").glob("*.xsd") if path not in outputs]
    for path in stale:
        sys.stdout.write(f"{path.relative_to(package)}\n")
        if words:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if path in outputs:
            path.write_bytes(outputs[path])
        else:
            path.unlink()
    return 1 if words and stale else 0


def compile_package(package: Path) -> dict[Path, bytes]:
    """Target path -> bytes of every compiled form.

    Raises CatalogueError, naming every problem, when the sources contradict themselves.
    """
    business, documents = (load_source(package / "data" / name) for name in SOURCES)
    compiled = compile_sources(business, documents)
    problems = problems_of(read_catalogue(compiled), documents["document_types"])
    if problems:
        raise CatalogueError("the catalogue contradicts itself:\n  " + "\n  ".join(problems))
    schemas = body_schemas(read_catalogue(compiled))
    return {package / "data" / COMPILED: compiled} | {
        package / "schemas" / "body" / name: data for name, data in schemas.items()
    }


def compile_sources(business: Mapping[str, Any], documents: Mapping[str, Any]) -> bytes:
    """The compiled form: every key present, booleans in conditions as text, one row a line."""
    about = business["catalogue"]
    tables: dict[str, object] = {
        "version": about["version"],
        "date": about["date"],
        "levels": business["levels"],
        "agency_kinds": [
            _pick(row, "code", "number", "zh", "en")
            | {"levelled": row.get("levelled", True), "stands_in_for": row.get("stands_in_for", [])}
            for row in business["agency_kinds"]
        ],
        **{
            name: [{"code": row.get("code") or row["id"]} | _pick(row, "zh", "en") for row in business[name]]
            for name in ("categories", "main_flows", "case_kinds", "laws")
        },
        "patterns": business["patterns"],
        "code_lists": {
            name: {row["code"]: row["zh"] for row in rows} for name, rows in business["code_lists"].items()
        },
        "person_block": business["person_block"],
        "identity_checks": business["identity_checks"],
        "fields": [_field(row, business) for row in business["metadata_fields"]],
        "document_types": [
            {key: value for key, value in row.items() if key not in INVERSE}
            for row in documents["document_types"]
        ],
        "business_types": [_business_type(row) for row in business["business_types"]],
    }
    rows = ",\n".join(f"{_json(key)}: {_lines(value)}" for key, value in tables.items())
    return f"{{\n{rows}\n}}\n".encode()


# Lists of document_types.yaml that only mirror business_types.yaml; they are compared, not carried.
INVERSE: Final = frozenset({"required_by", "one_of_in", "conditional_in", "optional_in"})


def load_source(path: Path) -> dict[str, Any]:
    """One source as rows; raises what PyYAML raises for a file that is not YAML."""
    # The parser in C is ten times faster and comes with most builds of PyYAML.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loaded: dict[str, Any] = yaml.load(path.read_bytes(), Loader=loader)  # noqa: S506 - both loaders are safe
    return loaded


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _lines(value: object) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(_json(row) for row in value) + "\n]"
    # Tables that are mappings keep the order of the source.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _pick(row: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: row[key] for key in keys}


def _field(row: Mapping[str, Any], business: Mapping[str, Any]) -> dict[str, Any]:
    listed = row["type"] == "code" and row["code"] in business["code_lists"]
    return {
        "code_list": row["code"] if listed else "",
        "max_length": business["text_max_length"],
        "minimum": None,
        "maximum": None,
        "min_items": 0,
        "items": "",
        "item_attributes": [],
        "agency_kind": "",
        "holds": "",
        "basis": "",
        **row,
    }


def _business_type(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **row,
        "conditional_documents": [_requirement(rule) for rule in row["conditional_documents"]],
        "conditional_fields": [_requirement(rule) for rule in row["conditional_fields"]],
        "deadlines": [_deadline(deadline) for deadline in row["deadlines"]],
        "approval": _texts(row["approval"], "basis"),
        "notes": row["notes"] or "",
    }


def _requirement(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {"basis": "", **rule, "when": _when(rule["when"])}


def _deadline(deadline: Mapping[str, Any]) -> dict[str, Any]:
    return _texts(deadline, "clock_packet", "when", "quote", "note") | {
        "applies_if": _when(deadline["applies_if"] or {}),
        "extensions": [_texts(extension, "when", "basis") for extension in deadline["extensions"]],
    }


def _when(conditions: Mapping[str, Sequence[object]]) -> dict[str, list[str]]:
    return {
        field: [str(value).lower() if isinstance(value, bool) else str(value) for value in values]
        for field, values in conditions.items()
    }


def _texts(row: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """The row with an empty text where a key of ``keys`` is null."""
    return {**row} | {key: row[key] or "" for key in keys}


if __name__ == "__main__":  # pragma: no cover - main() is what tests call
    sys.exit(main())
