"""Packets and their destinations: rows that change only along the state table."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from exchanged.errors import NotFoundError, StaleStateError
from exchanged.ledger import keeping, rotten, search, spool
from exchanged.ledger.rows import (
    PACKET_COLUMNS,
    PACKET_TABLES,
    DestinationRow,
    PacketRow,
    destination_row,
    packet_row,
)
from exchanged.ledger.times import stamp
from exchanged.ledger.transaction import Detail, Transaction
from exchanged.ranges import SpoolRange
from exchanged.states import FINAL_DESTINATIONS, DestinationState, Event, PacketState, advance
from packet_spec.identity import PacketKey
from packet_spec.model import Seal

# The indexes that hold just these states, word for word as they want them.
_BEFORE_DELIVERY: Final = {
    (DestinationState.ARRIVED, DestinationState.DELIVERING): "destination_arrived",
    (DestinationState.DELIVERING,): "destination_delivering",
}


def find(connection: sqlite3.Connection, key: PacketKey) -> PacketRow | None:
    """The packet of that identity, if this node knows it (C11)."""
    row = connection.execute(
        f"SELECT {PACKET_COLUMNS} FROM {PACKET_TABLES} WHERE sender = ? AND packet_id = ?",  # noqa: S608
        (key.sender, key.packet_id),
    ).fetchone()
    return None if row is None else packet_row(row)


def get(connection: sqlite3.Connection, number: int) -> PacketRow:
    """The packet with that row number. Raises NotFoundError."""
    packet = look(connection, number)
    if packet is None:
        raise NotFoundError("no such packet row", found=str(number))
    return packet


def look(connection: sqlite3.Connection, number: int) -> PacketRow | None:
    """The packet with that row number, unless it was forgotten since: what only passed through is."""
    row = connection.execute(
        f"SELECT {PACKET_COLUMNS} FROM {PACKET_TABLES} WHERE packet.id = ?",  # noqa: S608
        (number,),
    ).fetchone()
    return None if row is None else packet_row(row)


def _all_of(connection: sqlite3.Connection, numbers: Iterable[int]) -> dict[int, PacketRow]:
    """Packets by row number."""
    rows = connection.execute(
        f"SELECT {PACKET_COLUMNS} FROM {PACKET_TABLES} "  # noqa: S608
        "WHERE packet.id IN (SELECT value FROM json_each(?))",
        (json.dumps(sorted(set(numbers))),),
    )
    return {row["id"]: packet_row(row) for row in rows}


def find_same_content(
    connection: sqlite3.Connection, sender: str, sender_ref: str, business_type: str, content_digest: str
) -> PacketRow | None:
    """The newest packet with this content from this sender, over all time (C13).

    The content as it was dropped: an encrypted packet itself has the digest of its ciphertexts.
    """
    row = connection.execute(
        f"SELECT {PACKET_COLUMNS} FROM {PACKET_TABLES} WHERE sender = ? AND sender_ref = ?"  # noqa: S608
        " AND business_type = ? AND (content_digest = ? OR packet.id IN (SELECT dropped_content.packet"
        " FROM dropped_content WHERE digest = ?)) ORDER BY packet.id DESC LIMIT 1",
        (sender, sender_ref, business_type, content_digest, content_digest),
    ).fetchone()
    return None if row is None else packet_row(row)


def insert(
    transaction: Transaction,
    seal: Seal,
    *,
    seal_digest: str,
    landed_at: datetime,
    came_by: str,
    bytes_at: SpoolRange,
    relations: tuple[str, str, str],
    state: PacketState = PacketState.ACTIVE,
    transit: bool = False,
) -> int:
    """A new packet. ``came_by`` is the link's name, empty for this node's own.

    ``relations`` are the packet id named in inReplyTo, the one in supersedes, and the case key.
    The packet's hold on its spool file is taken over from the caller (an arrival or the intake).
    """
    cursor = transaction.execute(
        "INSERT INTO packet (sender, packet_id, attempt, state, since, business_type, sender_ref, receiver,"
        " copies, priority, expires_at, sealed_at, landed_at, incarnation, sequence, content_digest,"
        " seal_digest, in_reply_to, supersedes, case_key, came_by, own, spool, start, length, bytes_digest,"
        " transit) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        *_values(transaction, seal, state, seal_digest, landed_at, came_by, bytes_at, relations),
        int(transit),
    )
    number = cursor.lastrowid
    assert number is not None  # noqa: S101 - an INSERT always sets it
    search.note_packet(transaction, number, seal.sender_ref)
    return number


def replace(
    transaction: Transaction,
    row: PacketRow,
    event: Event,
    seal: Seal,
    *,
    seal_digest: str,
    landed_at: datetime,
    came_by: str,
    bytes_at: SpoolRange,
    relations: tuple[str, str, str],
    transit: bool = False,
) -> None:
    """A higher attempt takes the place of a refused one (C12), or what passed through comes again (C14).

    Raises IllegalTransitionError.
    """
    state = advance(row.state, event)
    if row.bytes_at is not None:
        spool.release(transaction, row.bytes_at.spool)
    # Whatever batch still carries the refused attempt: the new one waits for its own (C12).
    transaction.execute(
        "DELETE FROM outgoing WHERE kind = 'packet' AND reference = ?"
        " AND link IN (SELECT link FROM destination WHERE packet = ?)",
        row.id, row.id,
    )  # fmt: skip
    transaction.execute("DELETE FROM destination WHERE packet = ?", row.id)
    rotten.packet_is_looked_at_again(transaction, row.id)
    transaction.execute(
        "UPDATE packet SET sender = ?, packet_id = ?, attempt = ?, state = ?, since = ?, business_type = ?,"
        " sender_ref = ?, receiver = ?, copies = ?, priority = ?, expires_at = ?, sealed_at = ?,"
        " landed_at = ?, incarnation = ?, sequence = ?, content_digest = ?, seal_digest = ?,"
        " in_reply_to = ?, supersedes = ?, case_key = ?, came_by = ?, own = ?,"
        " spool = ?, start = ?, length = ?, bytes_digest = ?, transit = ? WHERE id = ?",
        *_values(transaction, seal, PacketState(state), seal_digest, landed_at, came_by, bytes_at, relations),
        int(transit),
        row.id,
    )
    search.forget(transaction, row.id, search.PACKET_FIELDS)
    search.note_packet(transaction, row.id, seal.sender_ref)


def give_bytes(
    transaction: Transaction,
    number: int,
    seal: Seal,
    *,
    seal_digest: str,
    landed_at: datetime,
    came_by: str,
    bytes_at: SpoolRange,
    relations: tuple[str, str, str],
) -> None:
    """A packet that was only remembered after a restore has its bytes again; its destinations stay (C23)."""
    transaction.execute(
        "UPDATE packet SET sender = ?, packet_id = ?, attempt = ?, state = ?, since = ?, business_type = ?,"
        " sender_ref = ?, receiver = ?, copies = ?, priority = ?, expires_at = ?, sealed_at = ?,"
        " landed_at = ?, incarnation = ?, sequence = ?, content_digest = ?, seal_digest = ?,"
        " in_reply_to = ?, supersedes = ?, case_key = ?, came_by = ?, own = ?,"
        " spool = ?, start = ?, length = ?, bytes_digest = ? WHERE id = ?",
        *_values(transaction, seal, PacketState.ACTIVE, seal_digest, landed_at, came_by, bytes_at, relations),
        number,
    )


def forget(transaction: Transaction, packet: PacketRow) -> None:
    """A packet that others alone told of after a restore: their word is no knowledge (C23)."""
    for statement in (
        "DELETE FROM outgoing WHERE kind = 'packet' AND reference = ?",
        "DELETE FROM destination WHERE packet = ?",
        "DELETE FROM packet WHERE id = ?",
    ):
        transaction.execute(statement, packet.id)
    search.forget(transaction, packet.id, search.PACKET_FIELDS)
    transaction.event("told-otherwise", packet.key, detail={"attempt": packet.attempt})


def _values(
    transaction: Transaction,
    seal: Seal,
    state: PacketState,
    seal_digest: str,
    landed_at: datetime,
    came_by: str,
    bytes_at: SpoolRange,
    relations: tuple[str, str, str],
) -> tuple[object, ...]:
    in_reply_to, supersedes, case_key = relations
    return (
        seal.key.sender, seal.key.packet_id, seal.attempt, state.value, transaction.stamp,
        seal.business_type, seal.sender_ref, seal.receiver, json.dumps(list(seal.copy_to)),
        seal.priority.value, stamp(seal.expires_at) if seal.expires_at else None, stamp(seal.sealed_at),
        stamp(landed_at), seal.incarnation, seal.sequence, seal.content_digest, seal_digest,
        in_reply_to, supersedes, case_key, came_by, int(not came_by),
        bytes_at.spool, bytes_at.start, bytes_at.length, bytes_at.digest,
    )  # fmt: skip


def add_destination(
    transaction: Transaction, packet: int, recipient: str, state: DestinationState, link: str = ""
) -> None:
    """The packet now also stands for ``recipient`` in ``state``, to leave over ``link``."""
    transaction.execute(
        "INSERT INTO destination (packet, recipient, state, since, link, came_at)"
        " VALUES (?, ?, ?, ?, ?, (SELECT landed_at FROM packet WHERE id = ?))",
        packet, recipient, state.value, transaction.stamp, link, packet,
    )  # fmt: skip


def destinations(connection: sqlite3.Connection, packet: int) -> tuple[DestinationRow, ...]:
    """All destinations of a packet, in the order of their codes."""
    rows = connection.execute("SELECT * FROM destination WHERE packet = ? ORDER BY recipient", (packet,))
    return tuple(destination_row(row) for row in rows)


def move(
    transaction: Transaction,
    packet: PacketRow,
    destination: DestinationRow,
    event: Event,
    *,
    staging: str | None = None,
    folder: str | None = None,
    detail: Detail | None = None,
) -> DestinationState:
    """Advance one destination: compare-and-set, event row, and ``done`` when it was the last.

    Raises IllegalTransitionError by the table and StaleStateError when somebody was faster.
    """
    target = DestinationState(advance(destination.state, event))
    cursor = transaction.execute(
        "UPDATE destination SET state = ?, since = ?, staging = coalesce(?, staging),"
        " folder = coalesce(?, folder) WHERE packet = ? AND recipient = ? AND state = ?",
        target.value, transaction.stamp, staging, folder,
        packet.id, destination.recipient, destination.state.value,
    )  # fmt: skip
    if cursor.rowcount != 1:
        raise StaleStateError(
            f"packet {packet.key} is no longer {destination.state.value} for {destination.recipient}"
        )
    transaction.event(
        event.value,
        packet.key,
        recipient=destination.recipient,
        detail={"from": destination.state.value, "to": target.value, **(detail or {})},
    )
    if target in FINAL_DESTINATIONS:
        _complete(transaction, packet)
    return target


def _complete(transaction: Transaction, packet: PacketRow) -> None:
    """When every destination is final the packet is done and its bytes are no longer needed."""
    if any(row.state not in FINAL_DESTINATIONS for row in destinations(transaction.connection, packet.id)):
        return
    cursor = transaction.execute(
        "UPDATE packet SET state = ?, since = ? WHERE id = ? AND state = ?",
        PacketState.DONE.value, transaction.stamp, packet.id, PacketState.ACTIVE.value,
    )  # fmt: skip
    if cursor.rowcount == 1:
        transaction.event(Event.COMPLETE.value, packet.key)
        let_go(transaction, packet)


def let_go(transaction: Transaction, packet: PacketRow) -> None:
    """The packet's bytes may go from the spool; blob references stay for retention.

    Those that were sealed here stay for the restore window, when nobody works with them any more (C23). What
    waits to be offered, on hold or not, waits no longer: there is nothing to offer.
    """
    transaction.execute(
        "DELETE FROM outgoing WHERE kind = 'packet' AND reference = ? AND batch IS NULL AND again = 0"
        " AND link IN (SELECT link FROM destination WHERE packet = ?)",
        packet.id, packet.id,
    )  # fmt: skip
    where = packet.bytes_at
    if where is not None:
        if packet.own:
            keeping.keep_bytes(transaction, packet.id, packet.attempt, where)
        else:
            spool.release(transaction, where.spool)
        transaction.execute("UPDATE packet SET spool = NULL WHERE id = ?", packet.id)


def in_states(
    connection: sqlite3.Connection, states: tuple[DestinationState, ...], limit: int
) -> tuple[tuple[PacketRow, DestinationRow], ...]:
    """Destinations in any of ``states``, oldest packet first, at most ``limit``.

    What is before delivery is read in order, so that a backlog costs no look at all of it.
    """
    # Literals, not bound values, and by name: of itself SQLite takes the index of all states, and sorts.
    names = ", ".join(f"'{state.value}'" for state in states)
    index = f" INDEXED BY {_BEFORE_DELIVERY[states]}" if states in _BEFORE_DELIVERY else ""
    rows = connection.execute(
        f"SELECT * FROM destination{index} WHERE state IN ({names}) ORDER BY packet LIMIT ?",  # noqa: S608
        (limit,),
    ).fetchall()
    return _with_packets(connection, rows)


def in_inbox(connection: sqlite3.Connection) -> tuple[tuple[PacketRow, DestinationRow], ...]:
    """Destinations whose folder still counts as lying in the inbox (C20)."""
    rows = connection.execute("SELECT * FROM destination WHERE folder <> '' ORDER BY packet").fetchall()
    return _with_packets(connection, rows)


def _with_packets(
    connection: sqlite3.Connection, rows: Sequence[sqlite3.Row]
) -> tuple[tuple[PacketRow, DestinationRow], ...]:
    """One question for all of them: an inbox may hold thousands. What was forgotten meanwhile is left out."""
    known = _all_of(connection, (row["packet"] for row in rows))
    return tuple((known[row["packet"]], destination_row(row)) for row in rows if row["packet"] in known)


def forget_folder(transaction: Transaction, packet: int, recipient: str) -> None:
    """The inbox folder of this destination is gone; its name is no longer watched."""
    transaction.execute(
        "UPDATE destination SET folder = '' WHERE packet = ? AND recipient = ?", packet, recipient
    )
