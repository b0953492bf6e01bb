"""Blobs: generations, references, entitlements and what arrivals still lack (C8 to C10).

A holder is the node at the other end of a link; a front-end stands for its agency. Whether an
agency may learn that a blob is here is a row in ``entitlement`` and nothing else (C9).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Iterable
from datetime import datetime
from typing import Final

from exchanged.ledger import ciphertexts
from exchanged.ledger.times import stamp
from exchanged.ledger.transaction import Transaction
from packet_spec.identity import PacketKey
from packet_spec.waybill_model import BlobReference

# Its bytes were read again, and are what they should be as far as anybody knows.
_GOOD: Final = (
    "NOT EXISTS (SELECT 1 FROM rotten_blob WHERE rotten_blob.digest = blob.digest"
    " AND rotten_blob.generation = blob.generation)"
)


def live_generation(connection: sqlite3.Connection, digest: str) -> int | None:
    """The stored generation of a blob that may be used, or None: one that is known to be rotten may not.

    So the bytes are taken wherever they come again, under the next generation.
    """
    return _newest(connection, digest, f" AND {_GOOD}")


def kept_generation(connection: sqlite3.Connection, digest: str) -> int | None:
    """The generation whose file is to be read: the newest that may be used, else the newest there is."""
    good = live_generation(connection, digest)
    return _newest(connection, digest) if good is None else good


def _newest(connection: sqlite3.Connection, digest: str, only: str = "") -> int | None:
    row = connection.execute(
        f"SELECT max(generation) AS generation FROM blob WHERE digest = ? AND state = 'live'{only}",  # noqa: S608
        (digest,),
    ).fetchone()
    return None if row["generation"] is None else int(row["generation"])


def live_size(connection: sqlite3.Connection, digest: str) -> int | None:
    """The size in bytes of the stored blob that may be used, or None."""
    row = connection.execute(
        "SELECT size FROM blob WHERE digest = ? AND state = 'live' ORDER BY generation DESC LIMIT 1",
        (digest,),
    ).fetchone()
    return None if row is None else int(row["size"])


def next_generation(connection: sqlite3.Connection, digest: str) -> int:
    """The generation that a newly stored file of this digest gets."""
    row = connection.execute(
        "SELECT max(generation) AS last FROM blob WHERE digest = ?", (digest,)
    ).fetchone()
    return int(row["last"] or 0) + 1


def store(transaction: Transaction, digest: str, generation: int, size: int) -> None:
    """A verified, durable blob file of that generation is on the books."""
    transaction.execute(
        "INSERT OR IGNORE INTO blob VALUES (?, ?, ?, 'live', ?)", digest, generation, size, transaction.stamp
    )


def all_files(connection: sqlite3.Connection) -> dict[tuple[str, int], int]:
    """Every live blob on the books: (digest, generation) -> size."""
    rows = connection.execute("SELECT digest, generation, size FROM blob WHERE state = 'live'")
    return {(row["digest"], row["generation"]): row["size"] for row in rows}


def refer(transaction: Transaction, key: PacketKey, blobs: Iterable[BlobReference]) -> None:
    """The packet's seal names exactly these blobs; those of an earlier attempt are its own no more.

    What a neighbour's waybill says of a packet is written for the arrival alone (``named``): only a
    verified seal makes a reference of the packet.
    """
    transaction.execute(
        "DELETE FROM blob_reference WHERE sender = ? AND packet_id = ?", key.sender, key.packet_id
    )
    for blob in blobs:
        transaction.execute(
            "INSERT OR IGNORE INTO blob_reference VALUES (?, ?, ?, ?)",
            key.sender, key.packet_id, blob.digest, blob.size,
        )  # fmt: skip


def references(connection: sqlite3.Connection, key: PacketKey) -> tuple[BlobReference, ...]:
    """The blobs that a packet names."""
    rows = connection.execute(
        "SELECT digest, size FROM blob_reference WHERE sender = ? AND packet_id = ? ORDER BY digest",
        (key.sender, key.packet_id),
    )
    return tuple(BlobReference(row["digest"], row["size"]) for row in rows)


def names_any(connection: sqlite3.Connection, key: PacketKey) -> bool:
    """A packet names blobs, however many."""
    row = connection.execute(
        "SELECT 1 FROM blob_reference WHERE sender = ? AND packet_id = ? LIMIT 1", (key.sender, key.packet_id)
    ).fetchone()
    return row is not None


def comes_again(connection: sqlite3.Connection, link: str, digest: str) -> bool:
    """A packet that names it stood in a batch before and waits on ``link`` to be offered once more (C5)."""
    row = connection.execute(
        "SELECT 1 FROM blob_reference JOIN packet ON packet.sender = blob_reference.sender"
        " AND packet.packet_id = blob_reference.packet_id"
        " JOIN outgoing ON outgoing.reference = packet.id AND outgoing.kind = 'packet'"
        " WHERE blob_reference.digest = ? AND outgoing.link = ? AND outgoing.batch IS NULL"
        " AND outgoing.held = 0 AND EXISTS (SELECT 1 FROM batch_item WHERE batch_item.kind = 'packet'"
        " AND batch_item.reference = packet.id) LIMIT 1",
        (digest, link),
    ).fetchone()
    return row is not None


def count_open(connection: sqlite3.Connection, link: str) -> int:
    """How many blobs the open batches of ``link`` name, one counted for each batch that names it."""
    row = connection.execute(
        "SELECT count(*) AS n FROM batch_out INDEXED BY batch_out_open"
        " JOIN batch_blob ON batch_blob.batch = batch_out.id"
        # Word for word as the index of open batches wants it.
        " WHERE batch_out.link = ? AND batch_out.state <> 'closed'"
        " AND batch_out.state IN ('committed', 'needing')",
        (link,),
    ).fetchone()
    return int(row["n"])


def entitle(transaction: Transaction, digest: str, holder: str) -> None:
    """``holder`` has proved that it has the blob (C9)."""
    transaction.execute("INSERT OR IGNORE INTO entitlement VALUES (?, ?)", digest, holder)


def strip_title(transaction: Transaction, digest: str, holder: str) -> None:
    """``holder`` said that it lacks the blob: never assume that it has it again."""
    transaction.execute("DELETE FROM entitlement WHERE digest = ? AND agency = ?", digest, holder)


def is_entitled(connection: sqlite3.Connection, digest: str, holder: str) -> bool:
    """``holder`` has proved before that it has the blob."""
    row = connection.execute(
        "SELECT 1 FROM entitlement WHERE digest = ? AND agency = ?", (digest, holder)
    ).fetchone()
    return row is not None


# A packet that needs its large parts no more: final for long, and nothing of it comes in again.
_NEEDS_NONE: Final = (
    "EXISTS (SELECT 1 FROM packet WHERE packet.sender = blob_reference.sender"
    " AND packet.packet_id = blob_reference.packet_id AND packet.state IN ('done', 'refused')"
    " AND packet.since < ? AND packet.id <= ?) AND NOT EXISTS (SELECT 1 FROM arrival"
    " WHERE arrival.sender = blob_reference.sender AND arrival.packet_id = blob_reference.packet_id)"
)


def need_none(
    connection: sqlite3.Connection, final_before: datetime, limit: int, *, last_packet: int
) -> tuple[PacketKey, ...]:
    """At most ``limit`` packets that refer to blobs, were final before that time, and do so no more.

    Up to the row ``last_packet`` (``ledger.keeping``: what was there by then). Reads every reference: this is
    asked outside the writer, and ``collect`` looks once more.
    """
    rows = connection.execute(
        f"SELECT DISTINCT sender, packet_id FROM blob_reference WHERE {_NEEDS_NONE} LIMIT ?",  # noqa: S608 - ours
        (stamp(final_before), last_packet, limit),
    )
    return tuple(PacketKey(row["sender"], row["packet_id"]) for row in rows)


# Stored before that time, and no packet and no arrival refers to it, no open batch offers it.
_UNNEEDED: Final = (
    "state = 'live' AND since < ?"
    " AND NOT EXISTS (SELECT 1 FROM blob_reference WHERE blob_reference.digest = blob.digest)"
    " AND NOT EXISTS (SELECT 1 FROM arrival_blob WHERE arrival_blob.digest = blob.digest)"
    " AND NOT EXISTS (SELECT 1 FROM batch_blob JOIN batch_out ON batch_out.id = batch_blob.batch"
    " WHERE batch_blob.digest = blob.digest AND batch_out.state IN ('committed', 'needing'))"
)


def unneeded(connection: sqlite3.Connection, final_before: datetime, limit: int) -> tuple[str, ...]:
    """At most ``limit`` digests of large parts that nothing needs any more.

    Reads every one that is here for so long: asked outside the writer like ``need_none``.
    """
    rows = connection.execute(
        f"SELECT digest FROM blob INDEXED BY blob_live WHERE {_UNNEEDED} LIMIT ?",  # noqa: S608 - ours
        (stamp(final_before), limit),
    )
    return tuple(row["digest"] for row in rows)


def collect(
    transaction: Transaction,
    final_before: datetime,
    *,
    last_packet: int,
    of: Iterable[PacketKey],
    spare: Iterable[str] = (),
) -> tuple[tuple[str, int], ...]:
    """Mark dead what nothing needs any more, and say which files may go (C10).

    References of the packets ``of`` (``need_none``, with the same time and row) are let go first; then what
    they named and what is ``spare`` (``unneeded``, with the same time) is looked at once more: a generation
    goes when no packet and no arrival refers to it and no open batch offers it. All in one transaction, so
    that a landing either finds its reference counted or meets a dead row and says ``need``.
    """
    digests = list(spare)
    for key in of:
        digests += [blob.digest for blob in references(transaction.connection, key)]
        transaction.execute(
            f"DELETE FROM blob_reference WHERE sender = ? AND packet_id = ? AND {_NEEDS_NONE}",  # noqa: S608 - ours
            key.sender, key.packet_id, stamp(final_before), last_packet,
        )  # fmt: skip
    gone: list[tuple[str, int]] = []
    for digest in dict.fromkeys(digests):
        rows = transaction.execute(
            f"SELECT digest, generation FROM blob WHERE digest = ? AND {_UNNEEDED}",  # noqa: S608 - ours
            digest, stamp(final_before),
        )  # fmt: skip
        gone += [(row["digest"], row["generation"]) for row in rows.fetchall()]
    for digest, generation in gone:
        transaction.execute(
            "UPDATE blob SET state = 'dead', since = ? WHERE digest = ? AND generation = ?",
            transaction.stamp, digest, generation,
        )  # fmt: skip
        transaction.execute("DELETE FROM rotten_blob WHERE digest = ? AND generation = ?", digest, generation)
        ciphertexts.forget(transaction, digest)
    return tuple(gone)


def is_present_for(connection: sqlite3.Connection, digest: str, holder: str) -> bool:
    """The blob is stored and ``holder`` may know it: without a title the answer is that of absence (C9)."""
    return live_generation(connection, digest) is not None and is_entitled(connection, digest, holder)


def named(
    transaction: Transaction, arrival: int, blobs: Iterable[BlobReference], missing: Container[str]
) -> None:
    """The waybill says that the arrival needs these; it cannot be judged before the missing ones are here.

    Written in the landing transaction, before presence is asked: what an arrival names is not
    collected (C10).
    """
    for blob in blobs:
        transaction.execute(
            "INSERT OR IGNORE INTO arrival_blob VALUES (?, ?, ?, ?)",
            arrival, blob.digest, blob.size, int(blob.digest in missing),
        )  # fmt: skip


def named_by(connection: sqlite3.Connection, arrival: int) -> dict[str, int]:
    """What the waybill named for that arrival: digest -> size."""
    rows = connection.execute("SELECT digest, size FROM arrival_blob WHERE arrival = ?", (arrival,))
    return {row["digest"]: int(row["size"]) for row in rows}


def proved_by(connection: sqlite3.Connection, arrival: int) -> tuple[str, ...]:
    """What of it the neighbour has shown that it has: the rest may lie here, and is none of its (C9)."""
    rows = connection.execute(
        "SELECT digest FROM arrival_blob WHERE arrival = ? AND missing = 0 ORDER BY digest", (arrival,)
    )
    return tuple(row["digest"] for row in rows)


def lacking(connection: sqlite3.Connection, link: str) -> dict[str, int]:
    """Blobs that needing arrivals of ``link`` lack: digest -> size as announced."""
    rows = connection.execute(
        "SELECT arrival_blob.digest, max(arrival_blob.size) AS size FROM arrival"
        " JOIN arrival_blob ON arrival_blob.arrival = arrival.id AND arrival_blob.missing = 1"
        " WHERE arrival.link = ? AND arrival.state = 'needing' GROUP BY arrival_blob.digest",
        (link,),
    )
    return {row["digest"]: int(row["size"]) for row in rows}


def found(transaction: Transaction, link: str, digest: str) -> None:
    """The blob was landed over ``link``: arrivals of that link no longer lack it."""
    transaction.execute(
        "UPDATE arrival_blob SET missing = 0 WHERE digest = ? AND missing = 1"
        " AND (SELECT link FROM arrival WHERE arrival.id = arrival_blob.arrival) = ?",
        digest, link,
    )  # fmt: skip


def complete_arrivals(connection: sqlite3.Connection, link: str, limit: int) -> tuple[int, ...]:
    """Needing arrivals of ``link`` that lack nothing any more, at most ``limit``, oldest first."""
    rows = connection.execute(
        "SELECT id FROM arrival INDEXED BY arrival_link WHERE link = ? AND state = 'needing' AND NOT EXISTS"
        " (SELECT 1 FROM arrival_blob WHERE arrival_blob.arrival = arrival.id AND missing = 1)"
        " ORDER BY landed_at, id LIMIT ?",
        (link, limit),
    )
    return tuple(row["id"] for row in rows)


def are_many_lacking(connection: sqlite3.Connection, link: str, many: int) -> bool:
    """What waits over ``link`` lacks ``many`` blobs or more, one counted for each that waits for it."""
    row = connection.execute(
        "SELECT 1 FROM arrival INDEXED BY arrival_link JOIN arrival_blob"
        " ON arrival_blob.arrival = arrival.id AND arrival_blob.missing = 1"
        " WHERE arrival.link = ? AND arrival.state = 'needing' LIMIT 1 OFFSET ?",
        (link, many - 1),
    ).fetchone()
    return row is not None
