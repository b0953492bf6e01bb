"""Whether a ledger still has the tables and indexes that its steps made: bytes of the schema can change too.

Of names, columns and what an index covers; not of the words of a statement, which versions of the database
library write differently. Reads only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from typing import TypeAlias

from sqlite_utils import Database, Migrations

from exchanged.ledger.forms import lacks
from exchanged.ledger.schema import migrate_until

# (kind, name) -> what it is made of.
_Shape: TypeAlias = dict[tuple[str, str], tuple[object, ...]]


def examine_schema(connection: sqlite3.Connection, most: int) -> list[tuple[str, str, str, str]]:
    """At most ``most`` contradictions: (what, where, expected, found) as of ``verify.Problem``."""
    return [each for _, each in zip(range(most), _contradictions(connection), strict=False)]


def _contradictions(connection: sqlite3.Connection) -> Iterator[tuple[str, str, str, str]]:
    wanted, found = _wanted(lacks(connection)), _shape(connection)
    for key in sorted(wanted.keys() | found.keys()):
        left, right = wanted.get(key), found.get(key)
        if left != right:
            yield "schema-changed", " ".join(key), _told(left, right), _told(right, left)


@cache
def _wanted(missing: tuple[str, ...]) -> _Shape:
    """What a ledger looks like to which the steps ``missing`` are still to come."""
    made = Database(memory=True)
    made = Database(memory=True)
    with closing(made.conn):
        migrate_until(made, missing)
        return _shape(made.conn)


def _shape(connection: sqlite3.Connection) -> _Shape:
    every = connection.execute("SELECT type, name, tbl_name FROM sqlite_master").fetchall()
    shape: _Shape = {}
    for kind, name, table in every:
        # What ANALYZE writes belongs to the library; and so does an index that it makes beside the table of
        # the steps, not in one transaction with it: a kill in between leaves it out, and nothing needs it.
        if str(name).startswith("sqlite_stat") or (kind == "index" and table == Migrations.migrations_table):
            continue
        about = "table_xinfo" if kind == "table" else "index_xinfo"
        rows = connection.execute(f"SELECT * FROM pragma_{about}(?)", (name,)).fetchall()  # noqa: S608
        shape[str(kind), str(name)] = (table, *(tuple(row) for row in rows))
    return shape


def _told(what: tuple[object, ...] | None, other: tuple[object, ...] | None) -> str:
    """What of it the other one does not have."""
    if what is None:
        return "nothing of that name"
    return ", ".join(str(each) for each in what if other is None or each not in other)
