"""A copy of a ledger as of one moment, beside a running daemon or without one, and what a copy is of."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from exchanged.errors import FileOperationError, LedgerBusyError, LedgerDamagedError, NoSpaceError
from exchanged.ledger.log_tree import size_of
from exchanged.ledger.times import moment
from exchanged.ledger.transaction import GENESIS
from exchanged.ledger.writer import open_read_only, open_to_read
from exchanged.volume import UNSOUND
from packet_spec.errors import ExchangeError

# What only a writer meets: the volume of the copy, for the ledger is only read.
_OF_THE_COPY: Final = (
    *("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC"),
    *("SQLITE_IOERR_DIR_FSYNC", "SQLITE_IOERR_TRUNCATE", "SQLITE_IOERR_DELETE", "SQLITE_IOERR_CLOSE"),
)


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
    start and stop meanwhile. Not flushed. Raises NotFoundError, FileOperationError also where the copy cannot
    be written, LedgerDamagedError, NoSpaceError, and LedgerBusyError for a ledger that was written meanwhile
    and whose side files the caller cannot use.
    """
    for end in ("", "-wal", "-shm", "-journal"):
        target.with_name(target.name + end).unlink(missing_ok=True)
    written = _written(source)
    connection, is_guarded = open_to_read(source)
    with closing(connection):
        try:
            # One transaction from the first look to the last page.
            connection.execute("BEGIN")
            if not before(connection):
                return False
        except sqlite3.DatabaseError as error:
            raise _damaged(error, source) from error
        try:
            _copy_pages(connection, target)
        except sqlite3.DatabaseError as error:
            raise _not_written(error, target) or _damaged(error, source) from error
    if not is_guarded and _written(source) != written:
        raise LedgerBusyError(
            "the ledger was written while it was copied",
            where=str(source),
            hint="run this as root or as the daemon's user",
        )
    return True


def _copy_pages(connection: sqlite3.Connection, target: Path) -> None:
    with closing(sqlite3.connect(target)) as copy:
        connection.backup(copy)
        # One file: nobody may leave a write-ahead log behind.
        copy.execute("PRAGMA journal_mode = DELETE").fetchone()


def _not_written(error: sqlite3.DatabaseError, target: Path) -> ExchangeError | None:
    """None for an error that may be the ledger's own."""
    if "full" in str(error).lower():
        return NoSpaceError("no room for a copy of the ledger", where=str(target))
    if not getattr(error, "sqlite_errorname", "").startswith(_OF_THE_COPY):
        return None
    return FileOperationError(
        "the copy of the ledger cannot be written",
        where=str(target),
        found=str(error),
        hint=UNSOUND,
    )


def _damaged(error: sqlite3.DatabaseError, source: Path) -> LedgerDamagedError:
    return LedgerDamagedError(f"the ledger cannot be copied: {error}", where=str(source))


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
