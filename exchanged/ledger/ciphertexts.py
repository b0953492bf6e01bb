"""Which stored ciphertext holds which content, and what encrypted drops held.

A row says: the content of digest ``plain`` lies here as the blob ``digest``; its content key is kept sealed
to this node's own encryption key, never in clear. So what was entered once is used many times. The row goes
with the blob, and counts only while that is live. The generation of the blob is asked of ``blobs`` at the
moment of use: all generations hold the same bytes (C10).

The content digest of an encrypted packet is that of its ciphertexts, which differ each time. So the sealing
front-end also keeps the digest of what was dropped, and recognises a repeated drop by that (C13).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from exchanged.ledger.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Ciphertext:
    """``plain`` and ``size`` are of the content, ``digest`` of the blob.

    ``wrapped`` is its content key, sealed to the own key ``key_id``.
    """

    plain: str
    size: int
    digest: str
    key_id: str
    wrapped: bytes


def stored(connection: sqlite3.Connection, plain: str) -> tuple[Ciphertext, ...]:
    """The ciphertexts of that content whose blobs lie here, in the order of their digests."""
    rows = connection.execute(
        "SELECT * FROM ciphertext WHERE plain = ? AND EXISTS (SELECT 1 FROM blob"
        " WHERE blob.digest = ciphertext.digest AND blob.state = 'live' AND NOT EXISTS (SELECT 1"
        " FROM rotten_blob WHERE rotten_blob.digest = blob.digest"
        " AND rotten_blob.generation = blob.generation)) ORDER BY digest",
        (plain,),
    )
    return tuple(
        Ciphertext(row["plain"], row["size"], row["digest"], row["key_id"], bytes(row["wrapped"]))
        for row in rows
    )


def keep(transaction: Transaction, ciphertexts: Iterable[Ciphertext]) -> None:
    """These blobs lie here, and their keys are known; one that is known already is wrapped anew."""
    for each in ciphertexts:
        transaction.execute(
            "INSERT OR REPLACE INTO ciphertext VALUES (?, ?, ?, ?, ?)",
            each.plain, each.size, each.digest, each.key_id, each.wrapped,
        )  # fmt: skip


def forget(transaction: Transaction, digest: str) -> None:
    """The blob is collected: its key is needed no more."""
    transaction.execute("DELETE FROM ciphertext WHERE digest = ?", digest)


def note_drop(transaction: Transaction, packet: int, digest: str) -> None:
    """The packet of that row was dropped with the content digest ``digest``; empty when it says so itself."""
    if digest:
        transaction.execute("INSERT OR REPLACE INTO dropped_content VALUES (?, ?)", packet, digest)
    else:
        transaction.execute("DELETE FROM dropped_content WHERE packet = ?", packet)


def is_same_drop(connection: sqlite3.Connection, packet: int, digest: str) -> bool:
    """The packet of that row was encrypted, and dropped with that content digest."""
    row = connection.execute(
        "SELECT 1 FROM dropped_content WHERE packet = ? AND digest = ?", (packet, digest)
    ).fetchone()
    return row is not None
