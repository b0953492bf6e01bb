"""The matrix of faults as data, and who tries which row."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from certainty.shard import Shard

MATRIX: Final = Path(__file__).with_name("matrix.toml")


@dataclass(frozen=True, slots=True)
class Row:
    """One fault. ``tests`` are node ids of pytest, or files; ``without`` says why nobody tries it."""

    id: str
    part: str
    fault: str
    promise: str
    invariants: str
    goal: str
    tests: tuple[str, ...]
    without: str


def load_matrix(path: Path = MATRIX) -> tuple[Row, ...]:
    """All rows in their order. Raises KeyError and ValueError when the file is not what it should be."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    rows = tuple(
        Row(
            each["id"], each["part"], each["fault"], each["promise"], each["invariants"], each["goal"],
            tuple(each["tests"]), each.get("without", ""),
        )
        for each in table["row"]
    )  # fmt: skip
    if len({row.id for row in rows}) != len(rows):
        raise ValueError("a row stands twice in the matrix")
    return rows


def rows_without_source(rows: Sequence[Row], shards: Sequence[Shard]) -> tuple[str, ...]:
    """Rows that no shard tries, no test proves, and nobody gave a reason for."""
    tried = {row for shard in shards for row in shard.rows}
    return tuple(row.id for row in rows if not (row.id in tried or row.tests or row.without))
