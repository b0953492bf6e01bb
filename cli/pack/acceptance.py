"""A pack put to the test before it is published, piece by piece, in worker processes with a time limit.

Guarantees: every schema, type and pattern is looked at by both XML engines (``schema_opinion``); a hostile
pack costs only its own verdict. Leaves to others: whether the rows say what the law says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

from cli.fiction.choose import choose_parties
from cli.fiction.drop import make_drop
from cli.fiction.packet_xml import DropEncoding, packet_xml
from cli.fiction.request import DropRequest
from exchanged.pool import WorkPool
from packet_spec.catalogue import BusinessType
from packet_spec.errors import ExchangeError
from packet_spec.pack import Pack, read_pack
from packet_spec.schema_opinion import file_problems, pattern_problems, patterns_of, type_problems

WORKERS: Final = 2
PIECE_SECONDS: Final = 20.0
"""The time of a piece that is slow: it is not waited for, it only ends then."""

_PATIENCE_SECONDS: Final = 8.0
_WHEN: Final = datetime(2026, 7, 15, 1, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing to look at: ``kind`` is file, type or pattern, ``name`` which; the pack lies at ``path``."""

    path: str
    kind: str
    name: str

    @property
    def allowance_seconds(self) -> float:
        """More patience than with a packet: building a type in xmlschema takes a tenth of a second."""
        return _PATIENCE_SECONDS


def pieces_of(pack: Pack, path: Path) -> list[Piece]:
    """Everything that must be looked at."""
    files = [Piece(str(path), "file", file) for file in sorted(pack.schemas)]
    types = [Piece(str(path), "type", code) for code in pack.catalogue.business_types]
    patterns = [Piece(str(path), "pattern", value) for value in sorted(patterns_of(pack))]
    return [*files, *patterns, *types]


def problems_of_pack(
    pieces: list[Piece], pool: WorkPool, moved: Callable[[int], object] = lambda _count: None
) -> list[str]:
    """What speaks against the pack, in English; empty when nothing does. ``moved`` hears of each group."""
    problems: list[str] = []
    for start in range(0, len(pieces), WORKERS):
        group = pieces[start : start + WORKERS]
        for piece, answer in zip(group, pool.run(look_at, group), strict=True):
            if isinstance(answer, ExchangeError):
                problems.append(f"{piece.kind} {piece.name}: {answer}")
            else:
                problems += [f"{piece.kind} {piece.name}: {problem}" for problem in answer]
        moved(len(group))
    return problems


def look_at(piece: Piece) -> list[str]:
    """What is wrong with one piece. Runs in a worker process."""
    pack = _pack(piece.path)
    if piece.kind == "file":
        return list(file_problems(pack, piece.name))
    if piece.kind == "pattern":
        return list(pattern_problems(piece.name))
    row = pack.catalogue.business_type(piece.name)
    return list(type_problems(pack, row, b"" if row.schema else _invented(pack, row)))


@lru_cache(maxsize=2)
def _pack(path: str) -> Pack:
    return read_pack(Path(path).read_bytes())


def _invented(pack: Pack, row: BusinessType) -> bytes:
    """A right packet.xml of the type; empty where no two agencies fit it."""
    try:
        sender, receiver = choose_parties(pack.catalogue, row)
    except ExchangeError:
        return b""
    drop = make_drop(DropRequest(row.code, sender.code, receiver.code, _WHEN), pack.catalogue)
    return packet_xml(drop, (), DropEncoding.UTF_8)
