"""The matrix of faults as data, and who tries which row."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from certainty.shard import Shard

MATRIX: Final = Path(__file__).with_name("matrix.toml")
# "0 accepted" and "100% refused" say that every case counts, not how many there are.
_ALL_OR_NONE: Final = re.compile(r"(?<![\d,.])(0|100%)(?!\d|[,.]\d)")


@dataclass(frozen=True, slots=True)
class Row:
    """One fault. ``tests`` are node ids of pytest, or files; ``without`` says why nobody tries it.

    ``least`` and ``most`` are the figures of the goal that these tests report by ``record_property``, by the
    name of the property: what is counted is added up over the tests and must come to ``least``; the largest
    of what is measured (``seconds``, ``peak_mib``) may be ``most``.
    """

    id: str
    part: str
    fault: str
    promise: str
    invariants: str
    goal: str
    tests: tuple[str, ...]
    without: str
    least: Mapping[str, float] = field(default_factory=dict)
    most: Mapping[str, float] = field(default_factory=dict)

    @property
    def has_figure(self) -> bool:
        """The goal names a number other than none and all."""
        return any(map(str.isdigit, _ALL_OR_NONE.sub("", self.goal)))


def load_matrix(path: Path = MATRIX) -> tuple[Row, ...]:
    """All rows in their order. Raises KeyError and ValueError when the file is not what it should be."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    rows = tuple(
        Row(
            each["id"], each["part"], each["fault"], each["promise"], each["invariants"], each["goal"],
            tuple(each["tests"]), each.get("without", ""), each.get("least", {}), each.get("most", {}),
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
