"""Whether the Merkle log of a ledger agrees with itself, with the receipts, and with the head signed last.

Reads only. What it finds is what an honest fault or a clumsy change leaves behind: whoever rewrites
receipts, log and heads together with the node's keys leaves a ledger that is sound in itself, and is found
by the agencies.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

from exchanged.ledger.log_entries import LOGGED_SQL
from exchanged.ledger.log_tree import Tree, size_of
from packet_spec.errors import ExchangeError
from packet_spec.log_entry import EntryKind, entry_bytes
from packet_spec.log_head import decode_log_head
from packet_spec.merkle import leaf_hash, node_hash
from packet_spec.signing import split_signed

OWN_HEAD: Final = "log-head"
"""What the node remembers of its own log: the newest head that it signed, in hexadecimal."""

_PAGE: Final = 10_000

Found = tuple[str, str, str, str]
"""What (kebab-case), where, expected, found."""


def examine_log(connection: sqlite3.Connection, most: int) -> tuple[int, list[Found]]:
    """The size of the log, and at most about ``most`` problems. A ledger from before has none."""
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'log_entry'").fetchone()
    if known is None:
        return 0, []
    # What the daemon appends meanwhile is not looked at.
    size = size_of(connection)
    problems: list[Found] = []
    for problem in (*_tree(connection, size), *_receipts(connection, size), *_head(connection, size)):
        problems.append(problem)
        if len(problems) >= most:
            break
    return size, problems


def _tree(connection: sqlite3.Connection, size: int) -> Iterator[Found]:
    """Every entry is there, and every complete subtree has the hash of its entries."""
    peaks: list[bytes] = []
    place = 0
    while place < size:
        page = connection.execute(
            "SELECT position, kind, digest FROM log_entry WHERE position >= ? AND position < ?"
            " ORDER BY position LIMIT ?",
            (place, size, _PAGE),
        ).fetchall()
        for position, kind, digest in page:
            if position != place:
                yield "log-entry-missing", f"log entry {place}", "", ""
                return
            value, level, number = leaf_hash(entry_bytes(EntryKind(kind), digest)), 0, position
            while number & 1:
                value, level, number = node_hash(peaks.pop(), value), level + 1, number >> 1
                row = connection.execute(
                    "SELECT hash FROM log_node WHERE level = ? AND number = ?", (level, number)
                ).fetchone()
                found = "none" if row is None else bytes(row[0]).hex()
                if found != value.hex():
                    yield "log-hash-differs", f"log subtree {level}/{number}", value.hex(), found
                    return
            peaks.append(value)
            place += 1
        if not page:
            yield "log-entry-missing", f"log entry {place}", "", ""
            return


def _receipts(connection: sqlite3.Connection, size: int) -> Iterator[Found]:
    """What has to stand in the log does, and what stands there is kept."""
    rows = connection.execute(
        f"SELECT id, digest FROM receipt WHERE {LOGGED_SQL} AND NOT EXISTS"  # noqa: S608
        " (SELECT 1 FROM log_entry WHERE log_entry.digest = receipt.digest) ORDER BY id"
    )
    for number, digest in rows:
        yield "receipt-not-logged", f"receipt {number}", f"a log entry {digest}", "none"
    rows = connection.execute(
        "SELECT position, digest FROM log_entry WHERE kind = 'receipt' AND position < ? AND NOT EXISTS"
        " (SELECT 1 FROM receipt WHERE receipt.digest = log_entry.digest) ORDER BY position",
        (size,),
    )
    for position, digest in rows:
        yield "log-entry-without-receipt", f"log entry {position}", f"a receipt {digest}", "none"


def _head(connection: sqlite3.Connection, size: int) -> Iterator[Found]:
    """The newest head that was signed is of this log."""
    row = connection.execute("SELECT value FROM node WHERE name = ?", (OWN_HEAD,)).fetchone()
    if row is None:
        return
    try:
        head = decode_log_head(split_signed(bytes.fromhex(row[0]))[0])
        found = Tree(connection, head.size).root().hex() if head.size <= size else f"{size} entries"
    except (ExchangeError, LookupError, ValueError) as error:
        yield "log-head-unreadable", "log", "the head that was signed last", type(error).__name__
        return
    if found != head.root:
        yield "log-differs-from-head", f"log of {head.size} entries", head.root, found
