"""Receipts and hop notes: signed statements about packets, kept as the exact bytes that were signed."""

from __future__ import annotations

import sqlite3

from exchanged.ledger import log_entries
from exchanged.ledger.rows import (
    RECEIPT_SUMMARY,
    ReceiptRow,
    ReceiptSummary,
    receipt_row,
    receipt_summary,
)
from exchanged.ledger.times import stamp
from exchanged.ledger.transaction import Transaction
from packet_spec.identity import PacketKey, sha256_hex
from packet_spec.model import HopNote, Receipt


def record_receipt(transaction: Transaction, receipt: Receipt, document: bytes, *, own: bool) -> int | None:
    """Keep a verified receipt, in the log too where this node admits. None when it was recorded before."""
    cursor = transaction.execute(
        "INSERT OR IGNORE INTO receipt (sender, packet_id, kind, recipient, attempt, issued_by, issued_at,"
        " number, content_digest, seal_digest, recorded_at, own, document, digest)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        receipt.key.sender, receipt.key.packet_id, receipt.kind.value, receipt.recipient, receipt.attempt,
        receipt.issued_by, stamp(receipt.issued_at), receipt.number, receipt.content_digest,
        receipt.seal_digest, transaction.stamp, int(own), document, sha256_hex(document),
    )  # fmt: skip
    if cursor.rowcount != 1:
        return None
    number = cursor.lastrowid
    assert number is not None  # noqa: S101 - an INSERT always sets it
    transaction.event(
        "receipt-issued" if own else "receipt-recorded",
        receipt.key,
        recipient=receipt.recipient,
        detail={"kind": receipt.kind.value, "by": receipt.issued_by, "receipt": sha256_hex(document)},
    )
    if log_entries.log_receipt(transaction.connection, number):
        transaction.wake("log")
    return number


def receipts_of(connection: sqlite3.Connection, key: PacketKey) -> tuple[ReceiptRow, ...]:
    """Every receipt about a packet, documents and all, in the order in which they were recorded."""
    rows = connection.execute(
        "SELECT * FROM receipt WHERE sender = ? AND packet_id = ? ORDER BY id", (key.sender, key.packet_id)
    )
    return tuple(receipt_row(row) for row in rows)


def summaries_of(connection: sqlite3.Connection, key: PacketKey) -> tuple[ReceiptSummary, ...]:
    """The same without their documents, of which each may be large."""
    rows = connection.execute(
        f"SELECT {RECEIPT_SUMMARY} FROM receipt WHERE sender = ? AND packet_id = ? ORDER BY id",  # noqa: S608
        (key.sender, key.packet_id),
    )
    return tuple(receipt_summary(row) for row in rows)


def summary(connection: sqlite3.Connection, number: int) -> ReceiptSummary:
    """What the receipt with that row number says."""
    row = connection.execute(f"SELECT {RECEIPT_SUMMARY} FROM receipt WHERE id = ?", (number,))  # noqa: S608
    return receipt_summary(row.fetchone())


def number_of(connection: sqlite3.Connection, document: bytes) -> int:
    """The row number of a receipt that is recorded, by its very bytes."""
    row = connection.execute("SELECT id FROM receipt WHERE digest = ?", (sha256_hex(document),)).fetchone()
    return int(row["id"])


def times_said(connection: sqlite3.Connection, receipt: Receipt, at_most: int) -> int:
    """How often its issuer, another than this node, said the same of the packet; counted to ``at_most``.

    Number, time and what else differs count for nothing.
    """
    row = connection.execute(
        "SELECT count(*) AS said FROM (SELECT 1 FROM receipt INDEXED BY receipt_said WHERE own = 0"
        " AND packet_id = ? AND sender = ? AND issued_by = ? AND kind = ? AND attempt = ? AND recipient = ?"
        " LIMIT ?)",
        (
            receipt.key.packet_id, receipt.key.sender, receipt.issued_by, receipt.kind.value, receipt.attempt,
            receipt.recipient, at_most,
        ),
    ).fetchone()  # fmt: skip
    return int(row["said"])


def record_hop(transaction: Transaction, hop: HopNote, document: bytes) -> int | None:
    """Keep a verified hop note. None when these very bytes were recorded before."""
    cursor = transaction.execute(
        "INSERT OR IGNORE INTO hop (sender, packet_id, node, landed_at, left_at, next_node, document, digest)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        hop.key.sender, hop.key.packet_id, hop.node, stamp(hop.landed_at), stamp(hop.left_at), hop.next_node,
        document, sha256_hex(document),
    )  # fmt: skip
    return cursor.lastrowid if cursor.rowcount == 1 else None


def times_noted(connection: sqlite3.Connection, hop: HopNote, at_most: int) -> int:
    """How many notes about the packet are kept of that node, whatever they say; counted to ``at_most``."""
    row = connection.execute(
        "SELECT count(*) AS said FROM"
        " (SELECT 1 FROM hop WHERE packet_id = ? AND sender = ? AND node = ? LIMIT ?)",
        (hop.key.packet_id, hop.key.sender, hop.node, at_most),
    ).fetchone()
    return int(row["said"])


def hops_of(connection: sqlite3.Connection, key: PacketKey) -> tuple[sqlite3.Row, ...]:
    """Every hop note about a packet, in the order of the way.

    By landing: a packet has left when the next node has acknowledged it, which may be heard of late.
    """
    rows = connection.execute(
        "SELECT * FROM hop WHERE sender = ? AND packet_id = ? ORDER BY landed_at, left_at, id",
        (key.sender, key.packet_id),
    )
    return tuple(rows.fetchall())


def get_document(connection: sqlite3.Connection, table: str, number: int) -> bytes:
    """The signed bytes of a statement. ``table`` is ``receipt``, ``hop`` or ``note``."""
    statement = {
        "receipt": "SELECT document FROM receipt WHERE id = ?",
        "hop": "SELECT document FROM hop WHERE id = ?",
        "note": "SELECT document FROM note WHERE id = ?",
    }[table]
    row = connection.execute(statement, (number,)).fetchone()
    return bytes(row["document"])


def key_of(connection: sqlite3.Connection, table: str, number: int) -> PacketKey:
    """The packet that a receipt or hop note speaks of; a note is known by its own node and id."""
    statement = {
        "receipt": "SELECT sender, packet_id FROM receipt WHERE id = ?",
        "hop": "SELECT sender, packet_id FROM hop WHERE id = ?",
        "note": "SELECT from_node AS sender, note_id AS packet_id FROM note WHERE id = ?",
    }[table]
    row = connection.execute(statement, (number,)).fetchone()
    return PacketKey(row["sender"], row["packet_id"])


def is_recorded(connection: sqlite3.Connection, document: bytes) -> bool:
    """These very bytes of a receipt are recorded."""
    row = connection.execute("SELECT 1 FROM receipt WHERE digest = ?", (sha256_hex(document),)).fetchone()
    return row is not None


def is_kept(connection: sqlite3.Connection, table: str, number: int) -> bool:
    """The statement is still there: at a bridge, and notes anywhere, go after some time."""
    statement = {
        "receipt": "SELECT 1 FROM receipt WHERE id = ?",
        "hop": "SELECT 1 FROM hop WHERE id = ?",
        "note": "SELECT 1 FROM note WHERE id = ?",
    }[table]
    return connection.execute(statement, (number,)).fetchone() is not None


def digest_of(connection: sqlite3.Connection, number: int) -> str:
    """The digest of a recorded receipt's bytes, by which others name it."""
    row = connection.execute("SELECT digest FROM receipt WHERE id = ?", (number,)).fetchone()
    return str(row["digest"])
