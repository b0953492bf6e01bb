"""Whether every receipt that a ledger keeps is the one that was recorded, and is listed as what it says.

Reads only. A receipt's bytes are held against their digest, which the chain of events and the log name, and
the columns by which it is found against its bytes: they stand there letter by letter. Leaves to others: its
signature, which is verified when it lands and whenever it is shown.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Final

from packet_spec.identity import sha256_hex

_PAGE: Final = 1_000
_NAMED: Final = ("sender", "packet_id", "kind", "recipient", "issued_by", "content_digest", "seal_digest")
_COUNTED: Final = ("attempt", "number", "issued_at")
# Which receipt tells the packet of which entry of the log.
_OF_AN_ENTRY: Final = (
    "log_entry.kind = 'receipt' AND log_entry.digest = receipt.digest",
    "log_entry.kind = 'seal' AND log_entry.digest = receipt.seal_digest AND receipt.own = 1",
)
_COLUMNS: Final = ", ".join((*_NAMED, *_COUNTED))

Found = tuple[str, str, str, str]
"""What (kebab-case), where, expected, found."""


def examine_receipts(connection: sqlite3.Connection, most: int) -> list[Found]:
    """At most ``most`` problems."""
    found = chain(_receipts(connection), _recorded_otherwise(connection), _listed_wrongly(connection))
    return [*islice(found, most)]


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
            for column, value, words in _words(named):
                if words not in document:
                    yield "receipt-listed-wrongly", f"receipt {number}", f"the {column} that it names", value


def _words(row: Sequence[Any]) -> Iterator[tuple[str, str, bytes]]:
    """Column, value, and what stands in the receipt for it."""
    for column, value in zip(_NAMED, row, strict=False):
        yield column, value, value.encode()
    attempt, number, issued_at = row[len(_NAMED) :]
    yield "attempt", str(attempt), f'attempt="{attempt}"'.encode()
    yield "number", str(number), f'number="{number}"'.encode()
    yield "issued_at", issued_at, f'at="{issued_at.replace(".000000Z", "Z")}"'.encode()


def _recorded_otherwise(connection: sqlite3.Connection) -> Iterator[Found]:
    """Receipts of which the chain of events tells another time, or that they came from elsewhere.

    By the packet's events, which are few: at one time there may be many (the plus keeps that index away).
    """
    rows = connection.execute(
        "SELECT id, recorded_at, own FROM receipt WHERE NOT EXISTS (SELECT 1 FROM event"
        " WHERE event.packet_id = receipt.packet_id AND event.packet_id <> ''"
        " AND event.sender = receipt.sender AND +event.at = receipt.recorded_at"
        " AND event.kind = CASE receipt.own WHEN 1 THEN 'receipt-issued' ELSE 'receipt-recorded' END)"
        " ORDER BY id"
    )
    for number, recorded_at, own in rows:
        event = "receipt-issued" if own else "receipt-recorded"
        yield "receipt-listed-wrongly", f"receipt {number}", f"an event {event} of its time", recorded_at


def _listed_wrongly(connection: sqlite3.Connection) -> Iterator[Found]:
    """Log entries that are found under another packet than theirs: no hash of the log covers that.

    Of a seal our own receipts tell the packet; what others say of it proves nothing.
    """
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'log_entry'").fetchone()
    if known is None:
        return
    for of_it in _OF_AN_ENTRY:
        rows = connection.execute(
            "SELECT DISTINCT log_entry.position, receipt.sender, receipt.packet_id, log_entry.sender,"  # noqa: S608
            f" log_entry.packet_id FROM receipt CROSS JOIN log_entry ON {of_it}"
            " WHERE log_entry.sender <> receipt.sender OR log_entry.packet_id <> receipt.packet_id"
            " ORDER BY log_entry.position"
        )
        yield from _told(rows)


def _told(rows: Iterable[tuple[int, str, str, str, str]]) -> Iterator[Found]:
    for position, sender, packet, said, listed in rows:
        yield "log-entry-listed-wrongly", f"log entry {position}", f"{sender} {packet}", f"{said} {listed}"
