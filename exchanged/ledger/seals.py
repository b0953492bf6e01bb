"""Seals and their signatures as the exact bytes, by the digest of the seal: what a proof begins with."""

from __future__ import annotations

import sqlite3

from exchanged.ledger.transaction import Transaction


def keep(transaction: Transaction, digest: str, document: bytes, signature: bytes) -> None:
    """Keep a verified seal; ``signature`` is the file seal.sig."""
    transaction.execute("INSERT OR IGNORE INTO seal VALUES (?, ?, ?)", digest, document, signature)


def find(connection: sqlite3.Connection, digest: str) -> tuple[bytes, bytes] | None:
    """Seal and signature file, or None for a packet from before seals were kept."""
    row = connection.execute("SELECT document, signature FROM seal WHERE digest = ?", (digest,)).fetchone()
    return None if row is None else (bytes(row["document"]), bytes(row["signature"]))
