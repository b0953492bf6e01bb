"""Whether every receipt that a ledger keeps is the one that was recorded, and is listed as what it says.

Reads only. A receipt's bytes are held against their digest, which the chain of events and the log name, and
the columns by which it is found against its bytes: they stand there letter by letter. Leaves to others: its
signature, which is verified when it lands and whenever it is shown.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, Final

from packet_spec.identity import sha256_hex

_PAGE: Final = 1_000
_NAMED: Final = ("sender", "packet_id", "kind", "recipient", "issued_by", "content_digest", "seal_digest")
_COLUMNS: Final = ", ".join(_NAMED)

Found = tuple[str, str, str, str]
"""What (kebab-case), where, expected, found."""


def examine_receipts(connection: sqlite3.Connection, most: int) -> list[Found]:
    """At most ``most`` problems."""
    return [*islice(chain(_receipts(connection), _listed_wrongly(connection)), most)]


def _receipts(connection: sqlite3.Connection) -> Iterator[Found]:
    last = 0
    page: list[Any] = [None]
    while page:
        page = connection.execute(
            f"SELECT id, digest, document, {_COLUMNS} FROM receipt WHERE id > ? ORDER BY id LIMIT ?",  # noqa: S608
            (last, _PAGE),
        ).fetchall()
        for number, digest, document, *named in page:
            last = number
            found = sha256_hex(document)
            if found != digest:
                yield "receipt-differs", f"receipt {number}", digest, found
                continue
            for column, value in zip(_NAMED, named, strict=True):
                if value.encode() not in document:
                    yield "receipt-listed-wrongly", f"receipt {number}", f"the {column} that it names", value


def _listed_wrongly(connection: sqlite3.Connection) -> Iterator[Found]:
    """Log entries of receipts that are found under another packet than the receipt."""
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'log_entry'").fetchone()
    if known is None:
        return
    rows = connection.execute(
        "SELECT log_entry.position, receipt.sender, receipt.packet_id, log_entry.sender, log_entry.packet_id"
        " FROM log_entry JOIN receipt ON receipt.digest = log_entry.digest WHERE log_entry.kind = 'receipt'"
        " AND (log_entry.sender <> receipt.sender OR log_entry.packet_id <> receipt.packet_id)"
        " ORDER BY log_entry.position"
    )
    for position, sender, packet, said, listed in rows:
        yield "log-entry-listed-wrongly", f"log entry {position}", f"{sender} {packet}", f"{said} {listed}"
