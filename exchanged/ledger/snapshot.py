"""Several looks at one moment: what moves meanwhile is neither missed nor counted twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """While the block runs, ``connection`` (a reader) sees the ledger as it was at its first look.

    Keep it short: the daemon's write-ahead log cannot be folded back meanwhile.
    """
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
