"""Pages of a ledger's file that a disk has spoiled."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def first_pages(ledger: Path, *tables: str) -> list[tuple[int, int]]:
    """Offset and size in bytes of the first page of each table and index; ``tables``: of these alone.

    Not of the schema itself, without which nothing is a ledger.
    """
    with closing(sqlite3.connect(ledger)) as connection:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        asked = "SELECT tbl_name, rootpage FROM sqlite_schema WHERE rootpage > 1"
        rows = connection.execute(asked).fetchall()
    return [((page - 1) * size, size) for table, page in rows if not tables or table in tables]


def spoil(ledger: Path, place: tuple[int, int]) -> None:
    """What stands there is no page any more."""
    offset, size = place
    with ledger.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * size)
