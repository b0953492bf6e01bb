"""A copy of a ledger as of one moment, beside a running daemon or without one, and what a copy is of."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from exchanged.errors import LedgerBusyError, LedgerDamagedError, NoSpaceError
from exchanged.ledger.log_tree import size_of
from exchanged.ledger.times import moment
from exchanged.ledger.transaction import GENESIS
from exchanged.ledger.writer import open_read_only, open_to_read


@dataclass(frozen=True, slots=True)
class LedgerFacts:
    """Which ledger it is and how far.

    Its incarnation (empty before the first start), events, head, last time, and the entries of its own
    Merkle log.
    """

    incarnation: str
    events: int
    head: str
    last_at: datetime | None
    log_entries: int


def copy_ledger(
    source: Path, target: Path, before: Callable[[sqlite3.Connection], bool] = lambda _connection: True
) -> bool:
    """Write ``target`` anew: one file, whole in itself, the ledger as of this moment.

    ``before`` looks first at the very state that is copied, and may refuse it: False then. A daemon may run,
    start and stop meanwhile. Not flushed. Raises NotFoundError, FileOperationError, LedgerDamagedError,
    NoSpaceError, and LedgerBusyError for a ledger that was written meanwhile and whose side files the caller
    cannot use.
    """
    for end in ("", "-wal", "-shm", "-journal"):
        target.with_name(target.name + end).unlink(missing_ok=True)
    written = _written(source)
    connection, is_guarded = open_to_read(source)
    with closing(connection), closing(sqlite3.connect(target)) as copy:
        try:
            # One transaction from the first look to the last page.
            connection.execute("BEGIN")
            if not before(connection):
                return False
            connection.backup(copy)
            # One file: nobody may leave a write-ahead log behind.
            copy.execute("PRAGMA journal_mode = DELETE").fetchone()
        except sqlite3.DatabaseError as error:
            if "full" in str(error).lower():
                raise NoSpaceError("no room for a copy of the ledger", where=str(target)) from error
            raise LedgerDamagedError(f"the ledger cannot be copied: {error}", where=str(source)) from error
    if not is_guarded and _written(source) != written:
        raise LedgerBusyError(
            "the ledger was written while it was copied",
            where=str(source),
            hint="run this as root or as the daemon's user",
        )
    return True


def _written(ledger: Path) -> tuple[tuple[int, int], ...]:
    """Other numbers whenever somebody wrote the ledger: its file, or the log beside it."""
    found = []
    for path in (ledger, ledger.with_name(f"{ledger.name}-wal")):
        with suppress(FileNotFoundError):
            stat = path.stat()
            # The log may come or go empty, by whoever only reads.
            found += [(stat.st_size, stat.st_mtime_ns)] if stat.st_size else []
    return tuple(found)


def facts_of(connection: sqlite3.Connection) -> LedgerFacts:
    """Which ledger it is."""
    event = connection.execute("SELECT id, chain, at FROM event ORDER BY id DESC LIMIT 1").fetchone()
    row = connection.execute("SELECT value FROM node WHERE name = 'incarnation'").fetchone()
    incarnation = "" if row is None else str(row[0])
    if event is None:
        return LedgerFacts(incarnation, 0, GENESIS, None, 0)
    logged = 0
    with suppress(sqlite3.OperationalError):
        # A ledger of before there were logs has no such table.
        logged = size_of(connection)
    return LedgerFacts(incarnation, int(event[0]), str(event[1]), moment(str(event[2])), logged)


def look_at_ledger(path: Path) -> LedgerFacts | None:
    """The same for a file that may be damaged or not there: None then."""
    with suppress(Exception), closing(open_read_only(path)) as connection:
        return facts_of(connection)
    return None
