"""What changed from one pack to another, row by row and key by key.

Guarantees: every table of the catalogue and every schema is compared; a changed row names its keys with both
values. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from packet_spec.identity import sha256_hex
from packet_spec.pack import Pack


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. ``kind`` is added, removed or changed; ``key`` is empty for a whole row or file."""

    table: str
    row: str
    kind: str
    key: str = ""
    before: str = ""
    after: str = ""


def compare_packs(old: Pack, new: Pack) -> list[Change]:
    """Every change from ``old`` to ``new``."""
    before, after = json.loads(old.compiled), json.loads(new.compiled)
    changes: list[Change] = []
    for table in dict.fromkeys((*before, *after)):
        changes += _table(table, _by_code(before.get(table)), _by_code(after.get(table)))
    digests = [{file: sha256_hex(data)[:12] for file, data in pack.schemas.items()} for pack in (old, new)]
    changes += _table("schema", digests[0], digests[1])
    return changes


def _by_code(table: Any) -> dict[str, Any]:
    """A table as rows by code; what is no list of rows is one row, or a mapping already."""
    if isinstance(table, list) and all(isinstance(row, dict) and "code" in row for row in table):
        return {row["code"]: row for row in table}
    return table if isinstance(table, dict) else {"": table}


def _table(table: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for code in dict.fromkeys((*before, *after)):
        if code not in after:
            yield Change(table, code, "removed")
        elif code not in before:
            yield Change(table, code, "added")
        elif before[code] != after[code]:
            yield from _row(table, code, before[code], after[code])


def _row(table: str, code: str, before: Any, after: Any) -> Iterator[Change]:
    if not (isinstance(before, dict) and isinstance(after, dict)):
        yield Change(table, code, "changed", "", _text(before), _text(after))
        return
    for key in dict.fromkeys((*before, *after)):
        if before.get(key) != after.get(key):
            yield Change(table, code, "changed", key, _text(before.get(key)), _text(after.get(key)))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
