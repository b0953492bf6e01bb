"""Questions of the command line about one packet: find it by its id, tell everything known of it.

Read-only: every function takes a connection from ``open_read_only`` (or any other) and changes nothing, so
they answer with or without a running daemon. Indexes are used throughout: the answer costs the same in
a ledger of a thousand packets and of a million.

Leaves to others: lists (``questions_list``), what waits (``questions_queue``), and what the answers mean
(``exchanged.trace``).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from exchanged.ledger import blobs, drops, packets, statements
from exchanged.ledger.drops import DropRow
from exchanged.ledger.questions_queue import missing_blobs
from exchanged.ledger.rows import DestinationRow, PacketRow, ReceiptRow
from exchanged.ledger.times import moment
from exchanged.states import ArrivalState
from packet_spec.identity import PacketKey
from packet_spec.model import ItemKind
from packet_spec.waybill_model import BlobReference

# Where a packet id may stand. event_packet is partial: its condition must be repeated to be used.
_ID_TABLES: Final = ("packet WHERE", "arrival WHERE", "receipt WHERE", "event WHERE packet_id <> '' AND")


@dataclass(frozen=True, slots=True)
class EventRow:
    """One row of the event chain, without its chain value."""

    id: int
    at: datetime
    kind: str
    recipient: str
    detail: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class HopRow:
    """A hop note with the exact signed bytes. ``next_node`` is empty where the way ended in an inbox."""

    node: str
    landed_at: datetime
    left_at: datetime
    next_node: str
    document: bytes


@dataclass(frozen=True, slots=True)
class WaitingArrival:
    """An item that a link brought and that is not judged: why it waits, since when, and for what.

    ``missing`` are digests of blobs that it lacks; ``retry_at`` is when it is judged again by itself.
    """

    id: int
    key: PacketKey
    kind: ItemKind
    link: str
    state: ArrivalState
    since: datetime
    landed_at: datetime
    reason: str
    retry_at: datetime | None
    tries: int
    crashes: int
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PacketFacts:
    """Everything that this node knows of one packet. ``packet`` is None before it was judged here."""

    key: PacketKey
    packet: PacketRow | None
    destinations: tuple[DestinationRow, ...]
    arrivals: tuple[WaitingArrival, ...]
    receipts: tuple[ReceiptRow, ...]
    hops: tuple[HopRow, ...]
    events: tuple[EventRow, ...]
    blobs: tuple[BlobReference, ...]
    drop: DropRow | None


def find_keys(
    connection: sqlite3.Connection, prefix: str, sender: str = "", limit: int = 20
) -> tuple[PacketKey, ...]:
    """Packets whose id begins with ``prefix``, in the order of their ids, at most ``limit``.

    Also packets of which only an arrival, a receipt or events are known. ``prefix`` is not empty.
    """
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    found: set[PacketKey] = set()
    for table in _ID_TABLES:
        rows = connection.execute(
            f"SELECT DISTINCT packet_id, sender FROM {table} packet_id >= ? AND packet_id < ?"  # noqa: S608
            " AND (? = '' OR sender = ?) ORDER BY packet_id, sender LIMIT ?",
            (prefix, end, sender, sender, limit),
        )
        found.update(PacketKey(row["sender"], row["packet_id"]) for row in rows)
    return tuple(sorted(found, key=lambda key: (key.packet_id, key.sender))[:limit])


def facts(connection: sqlite3.Connection, key: PacketKey) -> PacketFacts:
    """Everything known of the packet ``key``; all empty when nothing is."""
    packet = packets.find(connection, key)
    return PacketFacts(
        key=key,
        packet=packet,
        destinations=() if packet is None else packets.destinations(connection, packet.id),
        arrivals=_arrivals_of(connection, key),
        receipts=statements.receipts_of(connection, key),
        hops=_hops_of(connection, key),
        events=events_of(connection, key),
        blobs=blobs.references(connection, key),
        drop=None if packet is None else drops.of_packet(connection, packet.id),
    )


def events_of(connection: sqlite3.Connection, key: PacketKey) -> tuple[EventRow, ...]:
    """The events of one packet, oldest first."""
    rows = connection.execute(
        "SELECT id, at, kind, recipient, detail FROM event"
        " WHERE packet_id <> '' AND packet_id = ? AND sender = ? ORDER BY id",
        (key.packet_id, key.sender),
    )
    return tuple(
        EventRow(row["id"], moment(row["at"]), row["kind"], row["recipient"], json.loads(row["detail"]))
        for row in rows
    )


def waiting_arrival(row: sqlite3.Row, missing: tuple[str, ...] = ()) -> WaitingArrival:
    """A WaitingArrival from a row of the arrival table."""
    return WaitingArrival(
        id=row["id"],
        key=PacketKey(row["sender"], row["packet_id"]),
        kind=ItemKind(row["kind"]),
        link=row["link"],
        state=ArrivalState(row["state"]),
        since=moment(row["since"]),
        landed_at=moment(row["landed_at"]),
        reason=row["reason"],
        retry_at=moment(row["retry_at"]) if row["retry_at"] else None,
        tries=row["tries"],
        crashes=row["crashes"],
        missing=missing,
    )


def _arrivals_of(connection: sqlite3.Connection, key: PacketKey) -> tuple[WaitingArrival, ...]:
    rows = connection.execute(
        "SELECT * FROM arrival WHERE packet_id = ? AND sender = ? ORDER BY id", (key.packet_id, key.sender)
    ).fetchall()
    return tuple(waiting_arrival(row, missing_blobs(connection, row["id"])) for row in rows)


def _hops_of(connection: sqlite3.Connection, key: PacketKey) -> tuple[HopRow, ...]:
    return tuple(
        HopRow(
            row["node"],
            moment(row["landed_at"]),
            moment(row["left_at"]),
            row["next_node"],
            bytes(row["document"]),
        )
        for row in statements.hops_of(connection, key)
    )
