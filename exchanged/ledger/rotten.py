"""Stored bytes that are no longer what they were: what was found, until it is mended or nobody waits for it.

A large part is named with its generation; that it is here is no longer said of it then (``blobs``). A packet
is named for as long as it is on hold for that, waits to be offered again, or to be delivered here.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from exchanged.errors import StoredPartRottenError
from exchanged.ledger.times import moment
from exchanged.ledger.transaction import Transaction
from packet_spec.identity import PacketKey

# Offered, and the neighbour lacks it.
_WAITED_FOR: Final = (
    "batch_out.state <> 'closed' AND batch_out.state IN ('committed', 'needing') AND batch_blob.needed = 1"
)
# A packet cannot be judged by it; landed, it is looked at once more.
_IS_HELD: Final = "arrival.state IN ('held', 'landed') AND arrival.reason = ?"
_HOLDS: Final = (
    "EXISTS (SELECT 1 FROM arrival_blob JOIN arrival ON arrival.id = arrival_blob.arrival"  # noqa: S608 - ours
    f" WHERE arrival_blob.digest = rotten_blob.digest AND {_IS_HELD})"
)
# It is to be delivered here.
_ARRIVED: Final = "destination.state IN ('arrived', 'on-hold') AND destination.link = ''"
_DELIVERED_HERE: Final = (
    "JOIN packet ON packet.sender = blob_reference.sender AND packet.packet_id = blob_reference.packet_id"
    f" JOIN destination ON destination.packet = packet.id AND {_ARRIVED}"
)
_KEEPS_FROM_THE_INBOX: Final = (
    f"EXISTS (SELECT 1 FROM blob_reference {_DELIVERED_HERE}"  # noqa: S608 - ours
    " WHERE blob_reference.digest = rotten_blob.digest)"
)


@dataclass(frozen=True, slots=True)
class Rotten:
    """A file below the data directory, since when that is known, and the packets that wait for it."""

    file: str
    since: datetime
    packets: tuple[PacketKey, ...]


def is_noted(connection: sqlite3.Connection, digest: str, generation: int) -> bool:
    """That generation of a blob was found to be rotten, and not found good since."""
    row = connection.execute(
        "SELECT 1 FROM rotten_blob WHERE digest = ? AND generation = ?", (digest, generation)
    ).fetchone()
    return row is not None


def note_blob(transaction: Transaction, digest: str, generation: int) -> bool:
    """It is rotten. False when that was known."""
    cursor = transaction.execute(
        "INSERT OR IGNORE INTO rotten_blob VALUES (?, ?, ?)", digest, generation, transaction.stamp
    )
    return cursor.rowcount == 1


def blob_is_good(transaction: Transaction, digest: str, generation: int) -> None:
    """It was read once more, and is whole."""
    transaction.execute("DELETE FROM rotten_blob WHERE digest = ? AND generation = ?", digest, generation)


def note_packet(transaction: Transaction, packet: int) -> bool:
    """Its sealed bytes are rotten. False when that was known."""
    cursor = transaction.execute(
        "INSERT OR IGNORE INTO rotten_packet VALUES (?, ?)", packet, transaction.stamp
    )
    return cursor.rowcount == 1


def is_packet_noted(connection: sqlite3.Connection, packet: int) -> bool:
    """Its sealed bytes were found to be rotten, and not looked at again since."""
    row = connection.execute("SELECT 1 FROM rotten_packet WHERE packet = ?", (packet,)).fetchone()
    return row is not None


def packet_is_looked_at_again(transaction: Transaction, packet: int) -> None:
    """Somebody let it go on, or its bytes are whole again."""
    transaction.execute("DELETE FROM rotten_packet WHERE packet = ?", packet)


def held_for(connection: sqlite3.Connection, digest: str, limit: int) -> dict[int, PacketKey]:
    """Arrivals that are held because that blob is rotten, by their numbers, oldest first."""
    rows = connection.execute(
        "SELECT arrival.id, arrival.sender, arrival.packet_id FROM arrival_blob"  # noqa: S608 - ours
        " JOIN arrival ON arrival.id = arrival_blob.arrival WHERE arrival_blob.digest = ?"
        f" AND {_IS_HELD} ORDER BY arrival.id LIMIT ?",
        (digest, StoredPartRottenError.reference, limit),
    )
    return {int(row["id"]): PacketKey(row["sender"], row["packet_id"]) for row in rows}


def packets_of_blob(connection: sqlite3.Connection, digest: str, limit: int) -> tuple[PacketKey, ...]:
    """Packets that wait for that blob: in open batches whose neighbour lacks it, held, to be delivered here.

    Of each the oldest first.
    """
    offered = _offered_with(connection, digest, limit)
    held = held_for(connection, digest, limit).values()
    rows = connection.execute(
        "SELECT DISTINCT packet.id, packet.sender, packet.packet_id FROM blob_reference"  # noqa: S608 - ours
        f" {_DELIVERED_HERE} WHERE blob_reference.digest = ? ORDER BY packet.id LIMIT ?",
        (digest, limit),
    )
    arrived = [PacketKey(row["sender"], row["packet_id"]) for row in rows]
    return tuple(dict.fromkeys((*offered, *held, *arrived)))[:limit]


def _offered_with(connection: sqlite3.Connection, digest: str, limit: int) -> tuple[PacketKey, ...]:
    rows = connection.execute(
        "SELECT DISTINCT packet.id, packet.sender, packet.packet_id FROM batch_blob"  # noqa: S608 - ours
        " JOIN batch_out ON batch_out.id = batch_blob.batch"
        " JOIN outgoing ON outgoing.batch = batch_blob.batch AND outgoing.kind = 'packet'"
        " JOIN packet ON packet.id = outgoing.reference"
        " JOIN blob_reference ON blob_reference.sender = packet.sender"
        " AND blob_reference.packet_id = packet.packet_id AND blob_reference.digest = batch_blob.digest"
        f" WHERE batch_blob.digest = ? AND {_WAITED_FOR} ORDER BY packet.id LIMIT ?",
        (digest, limit),
    )
    return tuple(PacketKey(row["sender"], row["packet_id"]) for row in rows)


def waited_for(connection: sqlite3.Connection, limit: int) -> tuple[Rotten, ...]:
    """Everything rotten that somebody waits for, oldest first, each with at most ``limit`` packets.

    Not a blob that has come again since, under another generation.
    """
    blobs = connection.execute(
        "SELECT digest, generation, since FROM rotten_blob WHERE NOT EXISTS (SELECT 1 FROM blob"  # noqa: S608 - ours
        " WHERE blob.digest = rotten_blob.digest AND blob.generation > rotten_blob.generation"
        " AND blob.state = 'live') AND (EXISTS (SELECT 1 FROM batch_blob"
        " JOIN batch_out ON batch_out.id = batch_blob.batch"
        f" WHERE batch_blob.digest = rotten_blob.digest AND {_WAITED_FOR})"
        f" OR {_HOLDS} OR {_KEEPS_FROM_THE_INBOX}) ORDER BY since",
        (StoredPartRottenError.reference,),
    ).fetchall()
    packets = connection.execute(
        "SELECT packet.sender, packet.packet_id, rotten_packet.since, spool.name FROM rotten_packet"  # noqa: S608
        " JOIN packet ON packet.id = rotten_packet.packet"
        " LEFT JOIN kept_bytes ON kept_bytes.packet = packet.id AND kept_bytes.attempt = packet.attempt"
        " JOIN spool ON spool.id = coalesce(packet.spool, kept_bytes.spool)"
        " WHERE EXISTS (SELECT 1 FROM outgoing WHERE outgoing.reference = packet.id"
        " AND outgoing.kind = 'packet' AND outgoing.batch IS NULL"
        " AND (outgoing.held = 1 OR outgoing.again = 1)) OR EXISTS (SELECT 1 FROM destination"
        f" WHERE destination.packet = packet.id AND {_ARRIVED}) ORDER BY rotten_packet.since"
    ).fetchall()
    found = [
        Rotten(
            f"blobs/{row['digest']}.{row['generation']}",
            moment(row["since"]),
            packets_of_blob(connection, row["digest"], limit),
        )
        for row in blobs
    ]
    found += [
        Rotten(f"spool/{row['name']}", moment(row["since"]), (PacketKey(row["sender"], row["packet_id"]),))
        for row in packets
    ]
    return tuple(sorted(found, key=lambda each: each.since))
