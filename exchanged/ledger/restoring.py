"""A ledger that was restored: what it waits for, and what it takes back (C23)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from exchanged.ledger import answering, batches, clock_memory, packets, seals, search, spool, statements
from exchanged.ledger.log_tree import size_of
from exchanged.ledger.node_values import RESTORED_AT, RESTORED_LOG, RESTORED_SINCE, RESTORING
from exchanged.ledger.rows import PacketRow
from exchanged.ledger.times import moment, stamp
from exchanged.ledger.transaction import Transaction
from exchanged.states import PacketState
from packet_spec.errors import FormatError
from packet_spec.identity import PacketKey
from packet_spec.model import CaseNumber
from packet_spec.restoring import KnownPacket, Numbers, Stream


class PeerState(StrEnum):
    """How far a restored node is with one of those whom it asks."""

    WAITING = "waiting"
    ASKED = "asked"
    PARTLY = "partly"
    LISTED = "listed"
    DONE = "done"
    SKIPPED = "skipped"


OVER: Final = frozenset({PeerState.DONE, PeerState.SKIPPED})
# A number that an honest node never reaches, and far below what a document can hold.
_MOST_NUMBERS: Final = 10**15
# Behind a batch that lacks a blob others go on; so many never do.
_BETWEEN: Final = 100_000

# What may be under way by others' word alone.
_WITHOUT_BYTES: Final = (
    "SELECT id FROM packet WHERE state = 'active' AND own = 0 AND transit = 0 AND spool IS NULL"
)


@dataclass(frozen=True, slots=True)
class Peer:
    """One whom this restored node asks: over ``link``, in ``state`` since then."""

    node: str
    link: str
    state: PeerState
    since: datetime


def is_going_on(connection: sqlite3.Connection) -> bool:
    """This node was restored and waits for what others give back: it sends nothing of its own."""
    return _recall(connection, RESTORING) == "yes"


def restored_at(connection: sqlite3.Connection) -> datetime | None:
    """When this ledger was last restored."""
    text = _recall(connection, RESTORED_AT)
    return moment(text) if text else None


def log_at_restore(connection: sqlite3.Connection) -> int | None:
    """How many entries the own log had when this ledger was last restored."""
    text = _recall(connection, RESTORED_LOG)
    return int(text) if text else None


def forgotten_since(connection: sqlite3.Connection) -> datetime | None:
    """Since when this node may have forgotten something."""
    text = _recall(connection, RESTORED_SINCE)
    return moment(text) if text else None


def _recall(connection: sqlite3.Connection, name: str) -> str:
    row = connection.execute("SELECT value FROM node WHERE name = ?", (name,)).fetchone()
    return "" if row is None else str(row[0])


# --- the restore itself -------------------------------------------------------------------------------


def begin(transaction: Transaction, since: datetime, forgets: Iterable[str]) -> None:
    """The ledger of a backup becomes that of the node: another incarnation, everything offered anew.

    ``forgets`` are names of link memories that spoke of the ledger that is gone. What waits here may have
    left since the backup was made: nobody may call it certainly unsent (C18). What an earlier restore had not
    brought back when the backup was made is asked of everybody again: an answer to that restore is none to
    this one. The machine's clock is judged at the start, by what the backup vouches for (C18).
    """
    names = list(forgets)
    clock_memory.keep_last_sound(transaction)
    since, log_size = _reaching_back(transaction.connection, since)
    transaction.execute("DELETE FROM node WHERE name = 'incarnation'")
    transaction.remember(RESTORING, "yes")
    transaction.remember(RESTORED_AT, transaction.stamp)
    transaction.remember(RESTORED_SINCE, stamp(since))
    transaction.remember(RESTORED_LOG, str(log_size))
    for table in ("restore_peer", "restore_wanted", "restore_fresh", "restore_promised"):
        transaction.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
    for name in names:
        transaction.execute("DELETE FROM link_memory WHERE name = ?", name)
    _number_anew(transaction)
    answering.start_over(transaction)
    transaction.event("restored", detail={"since": stamp(since)})


def _reaching_back(connection: sqlite3.Connection, since: datetime) -> tuple[datetime, int]:
    """From when on this ledger may lack something, and from which entry on its log may be another.

    As for the earlier restore, if its node still asked; if somebody was not waited for, the time alone.
    """
    earlier, log_size = forgotten_since(connection), size_of(connection)
    goes_on = is_going_on(connection)
    if goes_on and (before := log_at_restore(connection)) is not None:
        log_size = min(log_size, before)
    if earlier and (goes_on or any(peer.state is PeerState.SKIPPED for peer in peers(connection))):
        since = min(since, earlier)
    return since, log_size


def _number_anew(transaction: Transaction) -> None:
    """A new incarnation numbers its batches from 1; the old rows keep what stood in them, below zero."""
    links = [row["link"] for row in transaction.execute("SELECT DISTINCT link FROM outgoing")]
    transaction.execute(
        "UPDATE destination SET state = 'queued', since = ? WHERE state = 'offered' AND EXISTS"
        " (SELECT 1 FROM outgoing WHERE outgoing.reference = destination.packet"
        " AND outgoing.kind = 'packet' AND outgoing.link = destination.link)",
        transaction.stamp,
    )
    transaction.execute("UPDATE outgoing SET batch = NULL")
    transaction.execute(
        "UPDATE batch_out SET number = -id, state = 'closed', closed_at = coalesce(closed_at, ?)"
        " WHERE number > 0",
        transaction.stamp,
    )
    for link in links:
        cursor = transaction.execute(
            "INSERT INTO batch_out (link, number, name, waybill, signature, size, state, created_at,"
            " closed_at) VALUES (?, (SELECT -coalesce(max(id), 0) - 1 FROM batch_out), 'restored', x'', x'',"
            " 0, 'closed', ?, ?)",
            link, transaction.stamp, transaction.stamp,
        )  # fmt: skip
        transaction.execute(
            "INSERT INTO batch_item (batch, position, kind, reference) SELECT ?, row_number() OVER"
            " (ORDER BY id), kind, reference FROM outgoing WHERE link = ? AND kind = 'packet'",
            cursor.lastrowid, link,
        )  # fmt: skip


def finish(transaction: Transaction) -> None:
    """Everything is back: the node works again, and whoever asked it meanwhile hears the rest."""
    transaction.remember(RESTORING, "")
    answering.start_over(transaction)
    transaction.execute("DELETE FROM restore_wanted")
    transaction.execute("DELETE FROM restore_promised")
    for row in transaction.execute(_WITHOUT_BYTES).fetchall():
        packet = packets.get(transaction.connection, row["id"])
        if is_hearsay(transaction.connection, packet):
            packets.forget(transaction, packet)
    transaction.event("restore-finished")


def is_hearsay(connection: sqlite3.Connection, known: PacketRow) -> bool:
    """Others told of that packet after a restore, and neither its seal nor a receipt of our own was here.

    Nobody tells a ledger that was never restored. The seal comes first: it is one, and receipts may be many.
    """
    if known.own or known.transit or known.bytes_at is not None or restored_at(connection) is None:
        return False
    return not seals.states(connection, known) and not any(
        row.own and (row.attempt, row.content_digest) == (known.attempt, known.content_digest)
        for row in statements.summaries_of(connection, known.key)
    )


# --- whom this node asks --------------------------------------------------------------------------------


def peers(connection: sqlite3.Connection) -> tuple[Peer, ...]:
    """Whom this node asks, in the order of their codes."""
    rows = connection.execute("SELECT * FROM restore_peer ORDER BY node")
    return tuple(
        Peer(row["node"], row["link"], PeerState(row["state"]), moment(row["since"])) for row in rows
    )


def was_skipped(connection: sqlite3.Connection, link: str) -> bool:
    """Somebody over ``link`` was not waited for at the last restore, and may answer late."""
    return any(peer.link == link and peer.state is PeerState.SKIPPED for peer in peers(connection))


def set_peer(transaction: Transaction, node: str, link: str, state: PeerState) -> None:
    """How far this node is with that one."""
    transaction.execute(
        "INSERT INTO restore_peer VALUES (?, ?, ?, ?) ON CONFLICT (node) DO UPDATE SET"
        " link = excluded.link, state = excluded.state, since = excluded.since",
        node, link, state.value, transaction.stamp,
    )  # fmt: skip
    transaction.wake("restoring")


def want(transaction: Transaction, key: PacketKey, node: str) -> None:
    """This packet shall come again, from that node."""
    transaction.execute(
        "INSERT OR IGNORE INTO restore_wanted VALUES (?, ?, ?)", key.sender, key.packet_id, node
    )


def wanted(connection: sqlite3.Connection) -> tuple[tuple[PacketKey, str], ...]:
    """What shall come again, and from whom."""
    rows = connection.execute("SELECT * FROM restore_wanted")
    return tuple((PacketKey(row["sender"], row["packet_id"]), row["node"]) for row in rows)


def no_longer_wanted(transaction: Transaction, key: PacketKey) -> None:
    """It is here, or a person looks at it."""
    transaction.execute(
        "DELETE FROM restore_wanted WHERE sender = ? AND packet_id = ?", key.sender, key.packet_id
    )


def promise(transaction: Transaction, node: str, digests: Iterable[str]) -> None:
    """These receipts come back from that node, as items of their own."""
    for digest in digests:
        transaction.execute("INSERT OR IGNORE INTO restore_promised VALUES (?, ?)", node, digest)


def has_broken_promises(connection: sqlite3.Connection, node: str) -> bool:
    """A promised receipt is neither recorded nor lies here, held for a person."""
    row = connection.execute(
        "SELECT 1 FROM restore_promised WHERE node = ?"
        " AND NOT EXISTS (SELECT 1 FROM receipt WHERE receipt.digest = restore_promised.digest)"
        " AND NOT EXISTS (SELECT 1 FROM arrival WHERE arrival.digest = restore_promised.digest"
        " AND arrival.state IN ('held', 'quarantined')) LIMIT 1",
        (node,),
    ).fetchone()
    return row is not None


def note_fresh(transaction: Transaction, key: PacketKey) -> None:
    """A neighbour is sure that it never handed this packet to us: whatever we forgot, it was not here."""
    transaction.execute("INSERT OR IGNORE INTO restore_fresh VALUES (?, ?)", key.sender, key.packet_id)


def may_have_been_here(connection: sqlite3.Connection, packet: PacketRow) -> bool:
    """It was sealed before this ledger was restored, and nobody is sure that it was not delivered then."""
    at = restored_at(connection)
    if at is None or packet.sealed_at > at:
        return False
    row = connection.execute(
        "SELECT 1 FROM restore_fresh WHERE sender = ? AND packet_id = ?",
        (packet.key.sender, packet.key.packet_id),
    ).fetchone()
    return row is None


def maybe_twice(connection: sqlite3.Connection, since: datetime) -> tuple[PacketKey, ...]:
    """Packets that were delivered since then and may have been delivered before."""
    rows = connection.execute(
        "SELECT sender, packet_id FROM event WHERE kind = 'delivered-maybe-twice' AND at >= ? ORDER BY id",
        (stamp(since),),
    )
    return tuple(PacketKey(row["sender"], row["packet_id"]) for row in rows)


# --- what is taken back -----------------------------------------------------------------------------------


def skip_numbers(transaction: Transaction, numbers: Numbers) -> None:
    """Never use again what a neighbour has seen: sequence, receipt number, time of issue.

    Nobody's bare word uses up the numbers or the time: what no node can have reached is not believed.
    """
    for name, number in (("seal-sequence", numbers.seal), ("receipt-number", numbers.receipt)):
        if int(transaction.recall(name) or "0") < number <= _MOST_NUMBERS:
            transaction.remember(name, str(number))
    issued = numbers.issued_at
    last = transaction.recall("last-issued-at")
    if issued is not None and (last is None or moment(last) < issued):
        transaction.remember("last-issued-at", stamp(issued))


def lacks_beginning(connection: sqlite3.Connection, link: str, incarnation: str, number: int | None) -> bool:
    """A batch of that stream is here, or comes as ``number``, and not the first, 1."""
    row = connection.execute(
        "SELECT through FROM stream_in WHERE link = ? AND incarnation = ?", (link, incarnation)
    ).fetchone()
    if row is None or row["through"] or number == 1:
        return False
    if number is not None:
        return True
    row = connection.execute(
        "SELECT 1 FROM batch_in WHERE link = ? AND incarnation = ? LIMIT 1", (link, incarnation)
    ).fetchone()
    return row is not None


def dispose_of_lost(transaction: Transaction, link: str, stream: Stream) -> None:
    """What the neighbour sent and we acknowledged before we forgot: it will not come under those numbers.

    Raises FormatError, before anything is written, for more numbers than anybody can have left open between.
    """
    first = min(stream.open, default=stream.top + 1)
    if stream.top - first >= _BETWEEN:
        raise FormatError("an answer leaves more batches open than there can be", found=str(stream.top))
    batches.meet_incarnation(transaction, link, stream.incarnation)
    # Rows for those alone that stand behind an open one: a number is only what the neighbour says.
    batches.dispose_through(transaction, link, stream.incarnation, min(first - 1, stream.top))
    row = transaction.execute(
        "SELECT through FROM stream_in WHERE link = ? AND incarnation = ?", link, stream.incarnation
    ).fetchone()
    still = set(stream.open)
    for number in range(int(row["through"]) + 1, stream.top + 1):
        if number in still or batches.number_is_taken(
            transaction.connection, link, stream.incarnation, number
        ):
            continue
        batches.land(transaction, link, stream.incarnation, number, f"lost-{number}")


def remember_packet(
    transaction: Transaction, known: KnownPacket, *, came_by: str, state: PacketState, transit: bool = False
) -> int:
    """A row for a packet that this node had and forgot: without bytes.

    In place of a lower attempt, if any.
    """
    values = {
        "sender": known.key.sender, "packet_id": known.key.packet_id, "attempt": known.attempt,
        "state": state.value, "since": transaction.stamp, "business_type": known.business_type,
        "sender_ref": known.sender_ref, "receiver": known.receiver, "copies": json.dumps(list(known.copy_to)),
        "priority": known.priority.value, "expires_at": stamp(known.expires_at) if known.expires_at else None,
        "sealed_at": stamp(known.sealed_at), "landed_at": stamp(known.sealed_at),
        "incarnation": known.incarnation, "sequence": known.sequence, "content_digest": known.content_digest,
        "seal_digest": known.seal_digest, "in_reply_to": known.in_reply_to, "supersedes": known.supersedes,
        "case_key": known.case_key, "came_by": came_by, "own": int(not came_by), "spool": None, "start": 0,
        "length": 0, "transit": int(transit),
    }  # fmt: skip
    row = transaction.execute(
        "SELECT spool FROM packet WHERE sender = ? AND packet_id = ? AND spool IS NOT NULL",
        known.key.sender, known.key.packet_id,
    ).fetchone()  # fmt: skip
    if row is not None:
        spool.release(transaction, row["spool"])
    names = ", ".join(values)
    marks = ", ".join(f":{name}" for name in values)
    changed = ", ".join(f"{name} = excluded.{name}" for name in values)
    transaction.connection.execute(
        f"INSERT INTO packet ({names}) VALUES ({marks})"  # noqa: S608 - our own names
        f" ON CONFLICT (sender, packet_id) DO UPDATE SET {changed}",
        values,
    )
    row = transaction.execute(
        "SELECT id FROM packet WHERE sender = ? AND packet_id = ?", known.key.sender, known.key.packet_id
    ).fetchone()
    number = int(row["id"])
    transaction.execute("DELETE FROM destination WHERE packet = ?", number)
    search.forget(transaction, number, search.PACKET_FIELDS)
    search.note_packet(transaction, number, known.sender_ref)
    if (case := case_of(known.case_key)) is not None:
        search.note_cases(transaction, number, (case,))
    transaction.event("remembered", known.key, detail={"attempt": known.attempt, "state": state.value})
    return number


def case_of(case_key: str) -> CaseNumber | None:
    """The case number in a case key."""
    kind, colon, value = case_key.partition(":")
    return CaseNumber(kind, value) if colon else None


def set_folder(transaction: Transaction, packet: int, recipient: str, folder: str) -> None:
    """The packet lies in the inbox as that folder."""
    transaction.execute(
        "UPDATE destination SET folder = ? WHERE packet = ? AND recipient = ?", folder, packet, recipient
    )


def remembered_destinations(connection: sqlite3.Connection, agency: str) -> tuple[tuple[int, str], ...]:
    """Packets that the ledger was told to have delivered to ``agency``: row, and the state there."""
    rows = connection.execute(
        "SELECT destination.packet, destination.state FROM destination JOIN packet"
        " ON packet.id = destination.packet WHERE destination.recipient = ? AND destination.folder = ''"
        " AND packet.own = 0 AND packet.spool IS NULL AND destination.state IN"
        " ('delivered', 'collected', 'signed', 'refused')",
        (agency,),
    )
    return tuple((row["packet"], row["state"]) for row in rows)
