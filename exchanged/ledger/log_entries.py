"""What goes into this node's own log, and whom it was told: entries, debts, requests, recoveries.

Guarantees: what the admitting node accepts is in its log in the same transaction: the seal and the
``accepted`` receipt, and each further receipt about that packet; so is its own refusal of a whole packet.
Whether this node admits follows from what it issued itself, so that no directory has to be asked.

Each entry is owed to the agencies that it is about until their node was told. Leaves to others: signing and
sending (``log_telling``), the tree (``log_tree``).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from exchanged.ledger import log_tree
from exchanged.ledger.transaction import Transaction
from packet_spec.identity import sha256_hex
from packet_spec.log_entry import EntryKind
from packet_spec.signing import split_signed

# Only the admitting node issues these two kinds for a whole packet (C21).
_ADMITTED: Final = (
    "({0}.own = 1 AND ({0}.kind = 'accepted' OR ({0}.kind = 'refused' AND {0}.recipient = '')))"
)
_EARLIER: Final = (
    "EXISTS (SELECT 1 FROM receipt AS first WHERE first.packet_id = receipt.packet_id"
    " AND first.sender = receipt.sender AND first.id < receipt.id AND "
)
LOGGED_SQL: Final = f"({_ADMITTED.format('receipt')} OR {_EARLIER}{_ADMITTED.format('first')}))"
"""Whether a row of ``receipt`` belongs into the log of this node."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the log."""

    position: int
    kind: EntryKind
    digest: str
    sender: str
    packet_id: str


@dataclass(frozen=True, slots=True)
class Told:
    """What a front-end was told last: the size of a head, and the number of a recovery statement."""

    size: int
    recovery: int


@dataclass(frozen=True, slots=True)
class Asked:
    """The newest request of a front-end."""

    id: int
    node: str
    held: tuple[int, ...]
    wanted: tuple[str, ...]


def log_receipt(connection: sqlite3.Connection, number: int) -> bool:
    """Append what the receipt of that row stands for, if it belongs into the log. Part of recording it."""
    row = connection.execute(
        "SELECT sender, packet_id, kind, recipient, seal_digest, digest FROM receipt"  # noqa: S608
        f" WHERE id = ? AND {LOGGED_SQL}",
        (number,),
    ).fetchone()
    if row is None:
        return False
    sender, packet_id, kind, recipient, seal_digest, digest = row
    agencies = {sender, recipient} - {""}
    entries = [(EntryKind.RECEIPT, digest)]
    if kind == "accepted":
        agencies |= _recipients(connection, sender, packet_id)
        entries.insert(0, (EntryKind.SEAL, seal_digest))
    elif kind != "refused" and not recipient:
        agencies |= _recipients(connection, sender, packet_id)
    for entry, value in entries:
        position = log_tree.append(connection, entry, value, sender, packet_id)
        connection.executemany(
            "INSERT INTO log_due VALUES (?, ?)", [(agency, position) for agency in sorted(agencies)]
        )
    return True


def _recipients(connection: sqlite3.Connection, sender: str, packet_id: str) -> set[str]:
    row = connection.execute(
        "SELECT receiver, copies FROM packet WHERE sender = ? AND packet_id = ?", (sender, packet_id)
    ).fetchone()
    return set() if row is None else {row[0], *json.loads(row[1])}


def owed(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Agencies that entries are owed to, in the order of their codes."""
    found: list[str] = []
    while True:
        # One look each, however much is owed: SQLite reads the whole index for DISTINCT.
        row = connection.execute(
            "SELECT agency FROM log_due WHERE agency > ? ORDER BY agency LIMIT 1",
            (found[-1] if found else "",),
        ).fetchone()
        if row is None:
            return tuple(found)
        found.append(row["agency"])


def owed_to(connection: sqlite3.Connection, agency: str, below: int, limit: int) -> tuple[Entry, ...]:
    """Entries below that position that ``agency`` was not told of, oldest first."""
    rows = connection.execute(
        "SELECT log_entry.* FROM log_due JOIN log_entry ON log_entry.position = log_due.position"
        " WHERE log_due.agency = ? AND log_due.position < ? ORDER BY log_due.position LIMIT ?",
        (agency, below, limit),
    )
    return tuple(_entry(row) for row in rows)


def forget_owed(transaction: Transaction, agency: str, entries: Sequence[Entry]) -> None:
    """The agency's node is being told of these."""
    transaction.connection.executemany(
        "DELETE FROM log_due WHERE agency = ? AND position = ?",
        [(agency, entry.position) for entry in entries],
    )


def entries_of(connection: sqlite3.Connection, digest: str, below: int) -> tuple[Entry, ...]:
    """The entries with that digest below that position."""
    rows = connection.execute(
        "SELECT * FROM log_entry WHERE digest = ? AND position < ? ORDER BY position", (digest, below)
    )
    return tuple(_entry(row) for row in rows)


def parties_of(connection: sqlite3.Connection, entry: Entry) -> set[str]:
    """The agencies that may be shown an entry: the sender of its packet and the recipients."""
    return {entry.sender} | _recipients(connection, entry.sender, entry.packet_id)


def all_told(connection: sqlite3.Connection) -> dict[str, Told]:
    """Every front-end that was told anything."""
    rows = connection.execute("SELECT node, size, recovery FROM log_told ORDER BY node")
    return {row["node"]: Told(row["size"], row["recovery"]) for row in rows}


def tell(transaction: Transaction, node: str, told: Told) -> None:
    """That front-end is being told this."""
    transaction.execute(
        "INSERT INTO log_told VALUES (?, ?, ?, ?) ON CONFLICT (node)"
        " DO UPDATE SET size = excluded.size, at = excluded.at, recovery = excluded.recovery",
        node, told.size, transaction.stamp, told.recovery,
    )  # fmt: skip


def ask(transaction: Transaction, node: str, held: Sequence[int], wanted: Sequence[str]) -> None:
    """Keep what a front-end asks for; its newest request counts."""
    transaction.execute(
        "INSERT OR REPLACE INTO log_request (node, held, wanted) VALUES (?, ?, ?)",
        node, json.dumps(list(held)), json.dumps(list(wanted)),
    )  # fmt: skip
    transaction.wake("log")


def asking(connection: sqlite3.Connection) -> tuple[str, ...]:
    """The nodes whose requests wait for an answer, oldest first."""
    return tuple(row["node"] for row in connection.execute("SELECT node FROM log_request ORDER BY id"))


def asked(connection: sqlite3.Connection, node: str) -> Asked:
    """The request of that node, which waits for an answer."""
    row = connection.execute("SELECT * FROM log_request WHERE node = ?", (node,)).fetchone()
    return Asked(row["id"], row["node"], tuple(json.loads(row["held"])), tuple(json.loads(row["wanted"])))


def answered(transaction: Transaction, number: int) -> None:
    """That request was answered."""
    transaction.execute("DELETE FROM log_request WHERE id = ?", number)


def keep_recovery(transaction: Transaction, node: str, document: bytes) -> int | None:
    """Keep a verified recovery statement about ``node``'s log. None when what it says is here already.

    Whatever signatures it bears: anybody can add one of his own, which counts for nothing.
    """
    said = sha256_hex(split_signed(document)[0])
    cursor = transaction.execute(
        "INSERT OR IGNORE INTO log_recovery (node, digest, taken_at, document) VALUES (?, ?, ?, ?)",
        node, said, transaction.stamp, document,
    )  # fmt: skip
    return cursor.lastrowid if cursor.rowcount == 1 else None


def recovery_of(connection: sqlite3.Connection, node: str, document: bytes) -> bytes | None:
    """What is kept of the statement in ``document``, with whatever signatures it bears."""
    said = sha256_hex(split_signed(document)[0])
    row = connection.execute(
        "SELECT document FROM log_recovery WHERE node = ? AND digest = ?", (node, said)
    ).fetchone()
    return None if row is None else bytes(row["document"])


def replace_recovery(transaction: Transaction, node: str, document: bytes) -> None:
    """The same statement with signatures that count now. Its number is the newest: it is told again."""
    transaction.execute(
        "UPDATE log_recovery SET id = (SELECT max(id) + 1 FROM log_recovery), taken_at = ?, document = ?"
        " WHERE node = ? AND digest = ?",
        transaction.stamp, document, node, sha256_hex(split_signed(document)[0]),
    )  # fmt: skip


def recoveries(connection: sqlite3.Connection, node: str) -> tuple[tuple[int, bytes], ...]:
    """Number and bytes of every recovery statement about ``node``'s log, oldest first."""
    rows = connection.execute("SELECT id, document FROM log_recovery WHERE node = ? ORDER BY id", (node,))
    return tuple((row["id"], bytes(row["document"])) for row in rows)


def _entry(row: sqlite3.Row) -> Entry:
    return Entry(row["position"], EntryKind(row["kind"]), row["digest"], row["sender"], row["packet_id"])
