"""Seals and their signatures as the exact bytes, by the digest of the seal: what a proof begins with."""

from __future__ import annotations

import sqlite3

from exchanged.ledger.rows import PacketRow
from exchanged.ledger.transaction import Transaction
from packet_spec.model import Seal
from packet_spec.seal_document import decode_seal


def keep(transaction: Transaction, seal: Seal, digest: str, document: bytes, signature: bytes) -> None:
    """Keep a verified seal, and the number that it bears; ``signature`` is the file seal.sig."""
    transaction.execute("INSERT OR IGNORE INTO seal VALUES (?, ?, ?)", digest, document, signature)
    transaction.execute(
        "INSERT OR IGNORE INTO seal_number VALUES (?, ?, ?, ?)",
        seal.key.sender, seal.incarnation, seal.sequence, digest,
    )  # fmt: skip


def is_fork(connection: sqlite3.Connection, seal: Seal, digest: str) -> bool:
    """Another seal bears the same (sender, incarnation, sequence), of whatever packet and attempt (C15).

    Only one that was here itself: what neighbours told after a restore convicts nobody (C23).
    """
    row = connection.execute(
        "SELECT 1 FROM seal_number WHERE sender = ? AND incarnation = ? AND sequence = ? AND seal <> ?"
        " LIMIT 1",
        (seal.key.sender, seal.incarnation, seal.sequence, digest),
    ).fetchone()
    return row is not None


def find(connection: sqlite3.Connection, digest: str) -> tuple[bytes, bytes] | None:
    """Seal and signature file, or None for a packet from before seals were kept."""
    row = connection.execute("SELECT document, signature FROM seal WHERE digest = ?", (digest,)).fetchone()
    return None if row is None else (bytes(row["document"]), bytes(row["signature"]))


def states(connection: sqlite3.Connection, packet: PacketRow) -> bool:
    """The seal that this row names is kept, and says the same of whose it is, its content and its recipients.

    Anybody may name a seal after a restore: one of another packet supports nothing (C23).
    """
    found = find(connection, packet.seal_digest)
    if found is None:
        return False
    seal = decode_seal(found[0])
    said = (seal.key, seal.attempt, seal.content_digest, seal.recipients)
    return said == (packet.key, packet.attempt, packet.content_digest, packet.recipients)
