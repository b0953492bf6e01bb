"""What an error of SQLite means, by name, in this one place.

A damaged file may also fail while its own error text is decoded (bytes of the file stand in it).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from exchanged.errors import (
    FileOperationError,
    LedgerBusyError,
    LedgerDamagedError,
    NoSpaceError,
    VolumeDamagedError,
)
from packet_spec.errors import ExchangeError

REFUSED: Final = (sqlite3.DatabaseError,)
"""What the engine itself raises."""

UNREADABLE: Final = (*REFUSED, UnicodeDecodeError)
"""What reading or writing a ledger raises when the disk is full, the volume fails or the file is damaged."""

_BUSY: Final = ("database is locked", "database table is locked")
# The index of the write-ahead log cannot be begun: no right, no descriptor, no room. Nothing of the ledger is
# in it.
_NOT_OPENED: Final = ("SQLITE_CANTOPEN", "SQLITE_IOERR_SHMOPEN")
_DAMAGE: Final = ("disk i/o error", "malformed", "not a database", "readonly database")


def text_of(error: Exception) -> str:
    """What the error says, readable whatever bytes stand in it."""
    if isinstance(error, UnicodeDecodeError):
        return bytes(error.object).decode("ascii", "backslashreplace")
    return str(error)


def name_damage(raised: Exception, where: str) -> ExchangeError:
    """A full disk, files that do not open, somebody else's lock, a volume not to be trusted, or damage.

    ``raised`` is one of UNREADABLE.
    """
    error = text_of(raised)
    if (busy := name_busy(raised, where)) is not None:
        return busy
    text = error.lower()
    if getattr(raised, "sqlite_errorname", "").startswith(_NOT_OPENED):
        return FileOperationError(
            "the files of the ledger cannot be opened", where=where,
            hint="check owner and mode of ledger.sqlite3 and its folder, free descriptors and room",
        )  # fmt: skip
    # The index of the write-ahead log has no room; it holds nothing that is not made anew.
    if "full" in text or getattr(raised, "sqlite_errorname", "") == "SQLITE_IOERR_SHMSIZE":
        return NoSpaceError("no room for the ledger", where=where)
    if any(word in text for word in _DAMAGE):
        return VolumeDamagedError(f"the ledger's volume failed: {error}", where=where)
    return LedgerDamagedError(f"the ledger refused a statement: {error}", where=where)


def name_busy(raised: Exception, where: str) -> LedgerBusyError | None:
    """Somebody else's lock; None when the error says something else."""
    if text_of(raised).lower().startswith(_BUSY):
        return LedgerBusyError("another program keeps the ledger locked", where=where)
    return None


@contextmanager
def damage_by_name(where: str, errors: tuple[type[Exception], ...] = UNREADABLE) -> Iterator[None]:
    """Any of ``errors`` is raised as what it means (``name_damage``).

    Around work that decodes other texts too, ``errors`` are REFUSED alone.
    """
    try:
        yield
    except errors as error:
        raise name_damage(error, where) from error
