"""A province's own rows laid over a catalogue: new types, documents, fields, codes, and changed ones.

Guarantees: pure; the same rows give the same compiled form; all problems at once. A row whose code is known
changes only the keys that it gives; a new one takes a default for every key that may be empty. Unknown
tables and keys are problems, never passed over.

Leaves to others: reading the rows from a file (``cli.pack``); the consistency of the whole
(``catalogue_check``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from packet_spec.catalogue import read_catalogue
from packet_spec.catalogue_check import problems_of
from packet_spec.errors import CatalogueError

Row = dict[str, Any]

# Table -> what a new row has where it says nothing; a key without a default must be given.
_REQUIRED: Final = object()
_NAMED: Final[Mapping[str, Any]] = {"code": _REQUIRED, "zh": _REQUIRED, "en": _REQUIRED}
_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "categories": _NAMED,
    "main_flows": _NAMED,
    "case_kinds": _NAMED,
    "laws": _NAMED,
    "fields": {
        "code": _REQUIRED,
        "zh": _REQUIRED,
        "type": _REQUIRED,
        "scope": "packet",
        "check": "",
        "personal_data": False,
        "code_list": "",
        "max_length": 1000,
        "minimum": None,
        "maximum": None,
        "min_items": 0,
        "items": "",
        "item_attributes": [],
        "agency_kind": "",
        "holds": "",
        "basis": "",
    },
    "document_types": {
        **_NAMED,
        "group": "local",
        "issuers": [],
        "unit": "case",
        "seal_expected": False,
        "formats": _REQUIRED,
        "volume": "procedure",
        "large": False,
        "named_in": [],
    },
    "business_types": {
        **_NAMED,
        "category": _REQUIRED,
        "main_flow": _REQUIRED,
        "message_kind": "notice",
        "unit": "case",
        "senders": _REQUIRED,
        "receivers": _REQUIRED,
        "copies_to": [],
        "level": "any",
        "entry_point": False,
        "needs_acceptance": False,
        "replies": [],
        "replies_to": [],
        "required_documents": [],
        "required_one_of": [],
        "conditional_documents": [],
        "optional_documents": [],
        "required_fields": [],
        "conditional_fields": [],
        "optional_fields": [],
        "outcome_codes": [],
        "deadlines": [],
        "predecessors": {"require_any": [], "expect_any": []},
        "forbidden_after": [],
        "forbidden_unless": [],
        "successors": [],
        "approval": {"customary": False, "chain": [], "basis": ""},
        "legal_basis": [],
        "enabled_by_default": True,
        "named_in_article": [],
        "verified": "local",
        "notes": "",
        "schema": "",
    },
}
# Singular names of the tables, as a file of rows calls them.
TABLES: Final[Mapping[str, str]] = {
    "category": "categories",
    "main_flow": "main_flows",
    "case_kind": "case_kinds",
    "law": "laws",
    "field": "fields",
    "document_type": "document_types",
    "business_type": "business_types",
}
# A field must be of one of these, or of a pattern of the catalogue.
_FIELD_TYPES: Final = frozenset(
    {"string", "code", "bool", "integer", "decimal", "date", "datetime", "list", "agency"}
)


def lay_over(compiled: bytes, rows: Mapping[str, Any], version: str) -> bytes:
    """The compiled form of the catalogue with ``rows`` laid over it.

    ``rows`` are lists of rows by singular table name (``business_type``, ``document_type``, ``field``, ...),
    and ``code_list``: rows of ``name`` and ``codes`` (code -> Chinese name). Raises CatalogueError, naming
    every problem.
    """
    data: dict[str, Any] = json.loads(compiled)
    problems: list[str] = []
    for singular, table in TABLES.items():
        for row in _rows(rows, singular, problems):
            _lay(data[table], _DEFAULTS[table], singular, row, problems)
    for row in _rows(rows, "code_list", problems):
        _lay_codes(data["code_lists"], row, problems)
    problems += [
        f"field {row['code']}: unknown type {row['type']}"
        for row in data["fields"]
        if "type" in row and row["type"] not in _FIELD_TYPES and not row["type"].startswith("pattern.")
    ]
    data["version"] = version
    laid = (json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
    problems = problems or list(_inside(laid))
    if problems:
        raise CatalogueError("the rows cannot be used:\n  " + "\n  ".join(problems))
    return laid


def _inside(compiled: bytes) -> Sequence[str]:
    try:
        return problems_of(read_catalogue(compiled), ())
    except CatalogueError as error:
        return (str(error),)


def _rows(rows: Mapping[str, Any], name: str, problems: list[str]) -> list[Row]:
    found = rows.get(name, [])
    if isinstance(found, list) and all(isinstance(row, dict) for row in found):
        return found
    problems.append(f"[[{name}]]: expected a list of tables")
    return []


def _lay(
    table: list[Row], defaults: Mapping[str, Any], name: str, row: Row, problems: list[str]
) -> None:
    code = row.get("code")
    if not isinstance(code, str) or not code:
        problems.append(f"[[{name}]]: a row has no code")
        return
    unknown = sorted(row.keys() - defaults.keys())
    wrong = sorted(key for key in row.keys() & defaults.keys() if not _fits(defaults[key], row[key]))
    problems += [f"{name} {code}: unknown key {key}" for key in unknown]
    problems += [f"{name} {code}: {key} is of another kind" for key in wrong]
    known = next((each for each in table if each["code"] == code), None)
    if known is None:
        missing = sorted(key for key, value in defaults.items() if value is _REQUIRED and key not in row)
        problems += [f"{name} {code}: {key} is missing" for key in missing]
        known = {key: value for key, value in defaults.items() if value is not _REQUIRED}
        table.append(known)
    known.update(_normal(row))


def _fits(default: object, value: object) -> bool:
    """The value is of the kind of its default; None stands for a number."""
    if default is _REQUIRED:
        return isinstance(value, str | list)
    if default is None:
        return isinstance(value, int)
    return isinstance(value, type(default))


def _normal(row: Row) -> Row:
    """Conditions in the form of the catalogue: values as texts, an empty basis where none is given."""
    normal = dict(row)
    for key in ("conditional_documents", "conditional_fields"):
        if key in row:
            normal[key] = [{"basis": "", **rule, "when": _when(rule.get("when", {}))} for rule in row[key]]
    for key in ("predecessors", "approval"):
        if key in row:
            normal[key] = {**_DEFAULTS["business_types"][key], **row[key]}
    return normal


def _when(conditions: Mapping[str, Sequence[object]]) -> dict[str, list[str]]:
    return {
        field: [str(value).lower() if isinstance(value, bool) else str(value) for value in values]
        for field, values in conditions.items()
    }


def _lay_codes(lists: dict[str, dict[str, str]], row: Row, problems: list[str]) -> None:
    name, codes = row.get("name"), row.get("codes")
    if not isinstance(name, str) or not isinstance(codes, dict) or row.keys() - {"name", "codes"}:
        problems.append("[[code_list]]: expected name and codes, and nothing else")
    elif not all(isinstance(zh, str) for zh in codes.values()):
        problems.append(f"code_list {name}: every code needs a name")
    else:
        lists[name] = {**lists.get(name, {}), **codes}
