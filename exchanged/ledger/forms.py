"""The form of a ledger: which steps of ``schema`` it has taken, asked without the library that takes them.

Commands that only look ask this of every ledger, and they start in a fraction of a second.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from exchanged.errors import LedgerDamagedError

STEPS: Final = (
    "0001-first",
    "0002-acts",
    "0003-answers",
    "0004-notices",
    "0005-bridges",
    "0006-filters",
    "0007-case-numbers",
    "0008-notes",
    "0009-log",
    "0010-restoring",
    "0011-keys",
    "0012-encryption",
    "0013-seals",
    "0014-turns",
    "0015-expiring",
    "0016-outgoing",
    "0017-awaited",
    "0018-case-types",
    "0019-streams",
    "0020-answers-page",
    "0021-waking",
    "0022-hops",
    "0023-given",
    "0024-rotten",
    "0025-seal-numbers",
    "0026-brief",
    "0027-offers",
)
"""All of them, in order."""

SET: Final = "exchanged-ledger"
_LIST: Final = "_sqlite_migrations"


def strange(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Names of the steps that the ledger has taken and this program does not know; reads only.

    Raises LedgerDamagedError when the list of steps has other columns than it should.
    """
    return tuple(name for name in _taken(connection) if name not in STEPS)


def lacks(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Names of the steps that this program knows and the ledger has not taken; reads only.

    Raises LedgerDamagedError when the list of steps has other columns than it should.
    """
    taken = _taken(connection)
    return tuple(name for name in STEPS if name not in taken)


def _taken(connection: sqlite3.Connection) -> tuple[str, ...]:
    # The library's own table. Where a column bears another name, a byte of the schema has changed.
    columns = {row[1] for row in connection.execute(f'PRAGMA table_info("{_LIST}")')}
    if not columns:
        return ()
    for column in ("migration_set", "name", "applied_at"):
        if column not in columns:
            raise LedgerDamagedError(f"the ledger's list of steps has no column {column!r}")
    rows = connection.execute(f'SELECT name FROM "{_LIST}" WHERE migration_set = ? ORDER BY id', (SET,))  # noqa: S608
    return tuple(str(row[0]) for row in rows)
