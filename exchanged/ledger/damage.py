"""What an error of SQLite means, by name, in this one place.

A damaged file may also fail while its own error text is decoded (bytes of the file stand in it).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from exchanged.errors import LedgerDamagedError, NoSpaceError, VolumeDamagedError
from packet_spec.errors import ExchangeError

UNREADABLE: Final = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What reading or writing a ledger raises when the disk is full, the volume fails or the file is damaged."""

_DAMAGE: Final = ("disk i/o error", "malformed", "not a database", "readonly database")


def text_of(error: Exception) -> str:
    """What the error says, readable whatever bytes stand in it."""
    if isinstance(error, UnicodeDecodeError):
        return bytes(error.object).decode("ascii", "backslashreplace")
    return str(error)


def name_damage(error: Exception, where: str) -> ExchangeError:
    """A full disk, a volume that cannot be trusted any more, or damage. ``error`` is one of UNREADABLE."""
    said = text_of(error)
    text = said.lower()
    if "full" in text:
        return NoSpaceError("no room for the ledger", where=where)
    if any(word in text for word in _DAMAGE):
        return VolumeDamagedError(f"the ledger's volume failed: {said}", where=where)
    return LedgerDamagedError(f"the ledger refused a statement: {said}", where=where)


@contextmanager
def damage_by_name(where: str) -> Iterator[None]:
    """What reads the ledger directly raises what the ledger itself would (``name_damage``)."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise name_damage(error, where) from error
