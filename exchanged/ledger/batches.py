"""Batches and streams of the links: what waits, what was offered, what was landed (C4 to C6)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from exchanged.ledger import turns, waiting
from exchanged.ledger.rows import BatchRow, OutgoingRow
from exchanged.ledger.times import stamp
from exchanged.ledger.transaction import Transaction
from packet_spec.limits import WAYBILL_BYTES
from packet_spec.model import NO_EDITION, Edition, ItemKind
from packet_spec.waybill_model import Acknowledgement, BatchException, ExceptionKind, Waybill

# What an acknowledgement's exceptions may take of a waybill; the rest is for the items.
_EXCEPTION_BYTES: Final = WAYBILL_BYTES // 2
_NEEDED_BLOB_BYTES: Final = 96
# Blobs that an acknowledgement can say are needed, of all open batches: a sixteenth is for what else it says.
BLOBS_TOLD: Final = _EXCEPTION_BYTES * 15 // 16 // _NEEDED_BLOB_BYTES

COMMITTED, NEEDING, SETTLED, CLOSED = "committed", "needing", "settled", "closed"


def enqueue(
    transaction: Transaction, link: str, kind: ItemKind, reference: int, priority: int = 1, *, of: str = ""
) -> None:
    """Something shall be offered on ``link``; queued once however often this is called.

    ``priority`` 0 is urgent, 1 is not; ``of`` is the agency among whose packets it counts (``turns``).
    """
    stream = turns.stream_of(transaction, reference) if kind is ItemKind.PACKET else ""
    behind, turn = turns.last_of(transaction, link, stream)
    urgent = f"{of}!"
    is_urgent = priority == 0 and behind in (None, urgent)
    flow, share = (urgent, turns.SMALL_SHARE) if is_urgent else (of, turns.FULL_SHARE)
    transaction.execute(
        "INSERT OR IGNORE INTO outgoing (link, kind, reference, priority, queued_at, stream, flow, turn)"  # noqa: S608
        f" VALUES (?, ?, ?, ?, ?, ?, ?, {turns.OUTGOING_TURN})",
        link, kind.value, reference, priority, transaction.stamp, stream, flow, link, flow, link, share, turn,
    )  # fmt: skip
    transaction.wake(f"link:{link}")


def withdraw(transaction: Transaction, link: str, kind: ItemKind, reference: int) -> bool:
    """Take something back that was not offered yet. False when it is already in a batch."""
    cursor = transaction.execute(
        "DELETE FROM outgoing WHERE link = ? AND kind = ? AND reference = ? AND batch IS NULL",
        link, kind.value, reference,
    )  # fmt: skip
    return cursor.rowcount == 1


def due(
    connection: sqlite3.Connection, link: str, limit: int, *, is_restoring: bool = False
) -> tuple[OutgoingRow, ...]:
    """What waits to be offered on ``link``, in turn (``turns``).

    ``is_restoring``: packets only if somebody wants them again; a restored node sends nothing of its own
    (C23).
    """
    only = " AND (kind <> 'packet' OR again = 1)" if is_restoring else ""
    rows = connection.execute(
        "SELECT id, kind, reference, again FROM outgoing WHERE link = ? AND batch IS NULL AND held = 0"  # noqa: S608
        f"{only} ORDER BY turn, id LIMIT ?",
        (link, limit),
    )
    return tuple(
        OutgoingRow(row["id"], ItemKind(row["kind"]), row["reference"], bool(row["again"])) for row in rows
    )


def due_and_late(connection: sqlite3.Connection, link: str, now: datetime) -> tuple[OutgoingRow, ...]:
    """Own packets that wait to be offered on ``link`` and whose expiry has passed; none that is on hold."""
    rows = connection.execute(
        # From the few packets that may expire, not from the many that wait; the index holds just these terms.
        "SELECT outgoing.id, outgoing.kind, outgoing.reference FROM packet INDEXED BY packet_expiring"
        " JOIN outgoing ON outgoing.kind = 'packet' AND outgoing.reference = packet.id"
        " WHERE packet.own = 1 AND packet.state = 'active' AND packet.expires_at IS NOT NULL"
        " AND packet.expires_at <= ? AND outgoing.link = ? AND outgoing.batch IS NULL AND outgoing.held = 0",
        (stamp(now), link),
    )
    return tuple(OutgoingRow(row["id"], ItemKind(row["kind"]), row["reference"]) for row in rows)


def was_offered(connection: sqlite3.Connection, kind: ItemKind, reference: int) -> bool:
    """It stood in a committed batch before, on whatever link: from then on it may have left (C18)."""
    row = connection.execute(
        "SELECT 1 FROM batch_item WHERE kind = ? AND reference = ? LIMIT 1", (kind.value, reference)
    ).fetchone()
    return row is not None


def is_waiting(connection: sqlite3.Connection, link: str, kind: ItemKind, reference: int) -> bool:
    """It waits on ``link`` in no batch, on hold or not."""
    row = connection.execute(
        "SELECT 1 FROM outgoing WHERE link = ? AND kind = ? AND reference = ? AND batch IS NULL",
        (link, kind.value, reference),
    ).fetchone()
    return row is not None


def set_held(transaction: Transaction, link: str, kind: ItemKind, reference: int, *, held: bool) -> bool:
    """Put what waits on hold, or let it go on: it keeps its place. False when it is in a batch, or gone."""
    cursor = transaction.execute(
        "UPDATE outgoing SET held = ? WHERE link = ? AND kind = ? AND reference = ? AND batch IS NULL",
        int(held), link, kind.value, reference,
    )  # fmt: skip
    return cursor.rowcount == 1


def held_streams(connection: sqlite3.Connection, link: str) -> dict[tuple[str, str], int]:
    """(case, receiver) of own packets on hold on ``link`` -> row of the first: later ones wait (C15)."""
    rows = connection.execute(
        "SELECT packet.case_key, packet.receiver, min(packet.id) AS first FROM destination"
        " JOIN packet ON packet.id = destination.packet WHERE destination.state = 'on-hold'"
        " AND destination.link = ? AND packet.own = 1 AND packet.case_key <> '' GROUP BY 1, 2",
        (link,),
    )
    return {(row["case_key"], row["receiver"]): row["first"] for row in rows}


PAUSED: Final = "paused"
DIRECTORY_VERSION: Final = "directory-version"


def paused_because(connection: sqlite3.Connection, link: str) -> str:
    """The reason of the operator who paused the link; empty while it works."""
    return recall(connection, link, PAUSED) or ""


def next_number(connection: sqlite3.Connection, link: str) -> int:
    """The number that the next batch on ``link`` bears, from 1."""
    row = connection.execute("SELECT max(number) AS last FROM batch_out WHERE link = ?", (link,)).fetchone()
    # What a restored ledger had numbered before stands below zero: a new incarnation begins with 1.
    return max(int(row["last"] or 0), 0) + 1


def commit_batch(
    transaction: Transaction,
    link: str,
    number: int,
    name: str,
    waybill: bytes,
    signature: bytes,
    size: int,
    items: Iterable[OutgoingRow],
    blobs: Iterable[tuple[str, int, bool]],
) -> int:
    """Number, name, items and waybill bytes, before the first byte is uploaded (C4).

    ``blobs``: digest, generation, and whether the file must be put beside the batch. Raises StaleStateError
    when one of ``items`` waits no more.
    """
    cursor = transaction.execute(
        "INSERT INTO batch_out (link, number, name, waybill, signature, size, state, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        link, number, name, waybill, signature, size, COMMITTED, transaction.stamp,
    )  # fmt: skip
    batch = cursor.lastrowid
    assert batch is not None  # noqa: S101 - an INSERT always sets it
    for position, item in enumerate(items):
        transaction.execute(
            "INSERT INTO batch_item VALUES (?, ?, ?, ?)", batch, position, item.kind.value, item.reference
        )
        waiting.take(transaction, link, item, batch)
    for digest, generation, needed in blobs:
        transaction.execute(
            "INSERT INTO batch_blob VALUES (?, ?, ?, ?)", batch, digest, generation, int(needed)
        )
    return batch


def sign_anew(transaction: Transaction, batch: int, name: str, waybill: bytes, signature: bytes) -> None:
    """The same number and items under another key, because the one that signed them counts no more."""
    transaction.execute(
        "UPDATE batch_out SET name = ?, waybill = ?, signature = ? WHERE id = ?",
        name, waybill, signature, batch,
    )  # fmt: skip


def open_batches(connection: sqlite3.Connection, link: str) -> tuple[BatchRow, ...]:
    """Batches of ``link`` whose mailbox file may still lie there, in order of number."""
    rows = connection.execute(
        "SELECT * FROM batch_out WHERE link = ? AND state <> 'closed' ORDER BY number", (link,)
    )
    return tuple(
        BatchRow(
            row["id"], row["link"], row["number"], row["name"], row["waybill"], row["signature"], row["size"],
            row["state"], row["told"],
        )
        for row in rows
    )  # fmt: skip


def batch_items(connection: sqlite3.Connection, batch: int) -> tuple[tuple[ItemKind, int], ...]:
    """Kind and reference of each item, in order."""
    rows = connection.execute(
        "SELECT kind, reference FROM batch_item WHERE batch = ? ORDER BY position", (batch,)
    )
    return tuple((ItemKind(row["kind"]), row["reference"]) for row in rows)


def still_carried(connection: sqlite3.Connection, batch: int) -> tuple[tuple[ItemKind, int], ...]:
    """Kind and reference of the items that wait for this batch's acknowledgement, oldest first.

    A packet that a higher attempt took the place of since is no longer among them (C12).
    """
    rows = connection.execute("SELECT kind, reference FROM outgoing WHERE batch = ? ORDER BY id", (batch,))
    return tuple((ItemKind(row["kind"]), row["reference"]) for row in rows)


def offered_without(connection: sqlite3.Connection, batch: int, needed: Iterable[str]) -> tuple[int, ...]:
    """Rows of the batch's packets that are offered on its link and name none of the blobs ``needed``."""
    rows = connection.execute(
        "SELECT outgoing.reference FROM outgoing WHERE outgoing.batch = ? AND outgoing.kind = 'packet'"
        " AND EXISTS (SELECT 1 FROM destination WHERE destination.packet = outgoing.reference"
        " AND destination.link = outgoing.link AND destination.state = 'offered')"
        " AND NOT EXISTS (SELECT 1 FROM packet JOIN blob_reference ON blob_reference.sender = packet.sender"
        " AND blob_reference.packet_id = packet.packet_id WHERE packet.id = outgoing.reference"
        " AND blob_reference.digest IN (SELECT value FROM json_each(?))) ORDER BY outgoing.id",
        (batch, json.dumps(sorted(needed))),
    )
    return tuple(row["reference"] for row in rows)


def wanted_blobs(connection: sqlite3.Connection, link: str) -> dict[str, int]:
    """Blobs that must lie in the mailbox for this link's open batches: digest -> generation."""
    rows = connection.execute(
        "SELECT batch_blob.digest, max(batch_blob.generation) AS generation FROM batch_blob"
        " JOIN batch_out ON batch_out.id = batch_blob.batch"
        # The index of open batches holds just what is not closed; the term must stand here word by word.
        " WHERE batch_out.link = ? AND batch_out.state <> 'closed'"
        " AND batch_out.state IN ('committed', 'needing') AND batch_blob.needed = 1"
        " GROUP BY batch_blob.digest",
        (link,),
    )
    return {row["digest"]: row["generation"] for row in rows}


def batch_blobs(connection: sqlite3.Connection, batch: int) -> tuple[str, ...]:
    """Digests of all blobs that the batch's packets name."""
    rows = connection.execute("SELECT digest FROM batch_blob WHERE batch = ? ORDER BY digest", (batch,))
    return tuple(row["digest"] for row in rows)


def need_blobs(transaction: Transaction, batch: int, digests: Iterable[str], told: str) -> None:
    """The neighbour says that it lacks these: they must be put (C6). ``told`` stands for all of them."""
    for digest in digests:
        transaction.execute("UPDATE batch_blob SET needed = 1 WHERE batch = ? AND digest = ?", batch, digest)
    transaction.execute("UPDATE batch_out SET state = ?, told = ? WHERE id = ?", NEEDING, told, batch)


def note_told(transaction: Transaction, batch: int, told: str) -> None:
    """What the neighbour said last of this batch, as a digest."""
    transaction.execute("UPDATE batch_out SET told = ? WHERE id = ?", told, batch)


def settle(transaction: Transaction, batch: int) -> None:
    """Disposed of by the neighbour; what it offered no longer waits. Its file may be removed."""
    if any(kind is ItemKind.NOTE for kind, _ in still_carried(transaction.connection, batch)):
        # Who tells in notes waits while too many are under way.
        transaction.wake("log")
    transaction.execute("DELETE FROM outgoing WHERE batch = ?", batch)
    transaction.execute("UPDATE batch_out SET state = ? WHERE id = ?", SETTLED, batch)


def give_back(transaction: Transaction, batch: int) -> None:
    """The neighbour could not read it: its items wait again, for a new number (C5).

    They had their turn: what was queued since comes behind them, the later packets of their cases too (C15).
    """
    transaction.execute(
        "UPDATE outgoing SET batch = NULL, turn = min(turn, coalesce((SELECT min(waits.turn)"
        " FROM outgoing AS waits WHERE waits.link = (SELECT link FROM batch_out WHERE batch_out.id = ?)"
        " AND waits.batch IS NULL AND waits.held = 0), turn)) WHERE batch = ?",
        batch, batch,
    )  # fmt: skip
    transaction.execute("UPDATE batch_out SET state = ? WHERE id = ?", SETTLED, batch)


def close_batches(transaction: Transaction, numbers: Iterable[int]) -> None:
    """The mailbox files are gone: nothing is left to do for these batch rows."""
    for batch in numbers:
        transaction.execute(
            "UPDATE batch_out SET state = ?, closed_at = ? WHERE id = ?", CLOSED, transaction.stamp, batch
        )


# the other direction


def is_landed(connection: sqlite3.Connection, link: str, name: str) -> bool:
    """The batch of that file name was landed (or disposed of) before."""
    row = connection.execute("SELECT 1 FROM batch_in WHERE link = ? AND name = ?", (link, name)).fetchone()
    return row is not None


def current_incarnation(connection: sqlite3.Connection, link: str) -> str:
    """The neighbour's newest incarnation on this link, or empty before its first batch."""
    row = connection.execute(
        "SELECT incarnation FROM stream_in WHERE link = ? ORDER BY current DESC LIMIT 1", (link,)
    ).fetchone()
    return "" if row is None else str(row["incarnation"])


def meet_incarnation(
    transaction: Transaction, link: str, incarnation: str, since: str = "", *, is_left_over: bool = False
) -> bool:
    """The neighbour speaks in this incarnation, first at ``since`` by its clock.

    ``is_left_over``: what it says was written before the current one began, so it is not the newest.
    True when it is a new one.
    """
    row = transaction.execute(
        "SELECT 1 FROM stream_in WHERE link = ? AND incarnation = ?", link, incarnation
    ).fetchone()
    if row is not None:
        return False
    newest = transaction.execute("SELECT coalesce(max(current), 0) AS c FROM stream_in WHERE link = ?", link)
    current = 0 if is_left_over else int(newest.fetchone()["c"]) + 1
    transaction.execute(
        "INSERT INTO stream_in (link, incarnation, through, current, since) VALUES (?, ?, 0, ?, ?)",
        link, incarnation, current, since,
    )  # fmt: skip
    return True


def number_is_taken(connection: sqlite3.Connection, link: str, incarnation: str, number: int) -> bool:
    """A batch of that number was landed before in that incarnation, under whatever name."""
    row = connection.execute(
        "SELECT 1 FROM batch_in WHERE link = ? AND incarnation = ? AND number = ?",
        (link, incarnation, number),
    ).fetchone()
    return row is not None


def land(
    transaction: Transaction,
    link: str,
    incarnation: str,
    number: int,
    name: str,
    *,
    exception: str = "",
    detail: str = "",
    waybill: str = "",
) -> int:
    """One batch is durable here (or disposed of as bad or held). Returns its row number.

    ``waybill`` is the digest of its waybill, empty where none could be read.
    """
    cursor = transaction.execute(
        "INSERT INTO batch_in (link, incarnation, number, name, landed_at, exception, detail, waybill)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        link, incarnation, number, name, transaction.stamp, exception, detail, waybill,
    )  # fmt: skip
    batch = cursor.lastrowid
    assert batch is not None  # noqa: S101 - an INSERT always sets it
    dispose_through(transaction, link, incarnation, 0)
    return batch


def dispose_through(transaction: Transaction, link: str, incarnation: str, number: int) -> None:
    """All up to ``number``, and what landed right behind it, counts as disposed of; never fewer than before.

    Those numbers have no rows of their own.
    """
    row = transaction.execute(
        "SELECT through FROM stream_in WHERE link = ? AND incarnation = ?", link, incarnation
    ).fetchone()
    through = max(int(row["through"]), number)
    while number_is_taken(transaction.connection, link, incarnation, through + 1):
        through += 1
    transaction.execute(
        "UPDATE stream_in SET through = ? WHERE link = ? AND incarnation = ?", through, link, incarnation
    )


def mark_needing(transaction: Transaction, batch: int) -> None:
    """A landed batch has items that lack a blob: named in acknowledgements until they do not (C6)."""
    transaction.execute("UPDATE batch_in SET exception = 'need' WHERE id = ?", batch)


_NEEDS_NOTHING: Final = (
    "link = ? AND exception <> '' AND exception = 'need' AND NOT EXISTS (SELECT 1 FROM arrival"
    " INDEXED BY arrival_needing WHERE arrival.batch = batch_in.id AND arrival.state = 'needing')"
)


def needs_are_met(connection: sqlite3.Connection, link: str) -> bool:
    """A batch that is named for its needs has none any more."""
    statement = f"SELECT 1 FROM batch_in WHERE {_NEEDS_NOTHING} LIMIT 1"  # noqa: S608 - our own text
    return connection.execute(statement, (link,)).fetchone() is not None


def clear_exceptions(transaction: Transaction, link: str) -> None:
    """Batches none of whose items still needs a blob are no longer an exception (C6)."""
    transaction.execute(f"UPDATE batch_in SET exception = '' WHERE {_NEEDS_NOTHING}", link)  # noqa: S608


def acknowledgement(connection: sqlite3.Connection, link: str, from_node: str) -> Acknowledgement | None:
    """What this node has disposed of on ``link``, with counter 0 (the caller sets it)."""
    row = connection.execute(
        "SELECT incarnation, through FROM stream_in WHERE link = ? ORDER BY current DESC LIMIT 1", (link,)
    ).fetchone()
    if row is None:
        return None
    exceptions: list[BatchException] = []
    through, room = int(row["through"]), _EXCEPTION_BYTES
    for found in connection.execute(
        "SELECT id, number, exception, detail FROM batch_in"
        # An earlier program disposed of a file that bore the number 0, which no waybill can say.
        " WHERE link = ? AND incarnation = ? AND exception <> '' AND number >= 1 ORDER BY number",
        (link, row["incarnation"]),
    ):
        kind = ExceptionKind(found["exception"])
        blobs: tuple[str, ...] = ()
        if kind is ExceptionKind.NEED:
            blobs = needed_by(connection, found["id"])
        exception = BatchException(found["number"], kind, found["detail"], blobs)
        room -= exception_bytes(exception)
        if room < 0:
            # Not told now, so not disposed of either: custody passes only with the whole truth.
            through = min(through, exception.number - 1)
            break
        exceptions.append(exception)
    return Acknowledgement(from_node, row["incarnation"], through, 0, tuple(exceptions))


def exception_bytes(exception: BatchException) -> int:
    """At most how many bytes an exception takes in a waybill."""
    return 128 + 6 * len(exception.detail) + _NEEDED_BLOB_BYTES * len(exception.blobs)


def needed_by(connection: sqlite3.Connection, batch: int) -> tuple[str, ...]:
    """Digests that the needing arrivals of a landed batch still lack, as told to the neighbour."""
    rows = connection.execute(
        "SELECT DISTINCT arrival_blob.digest FROM arrival INDEXED BY arrival_needing"
        " JOIN arrival_blob ON arrival_blob.arrival = arrival.id AND arrival_blob.missing = 1"
        " WHERE arrival.batch = ? AND arrival.state = 'needing' ORDER BY arrival_blob.digest",
        (batch,),
    )
    return tuple(row["digest"] for row in rows)


def recall(connection: sqlite3.Connection, link: str, name: str) -> str | None:
    """A value remembered about the link (counters, the peer's directory version)."""
    row = connection.execute(
        "SELECT value FROM link_memory WHERE link = ? AND name = ?", (link, name)
    ).fetchone()
    return None if row is None else str(row["value"])


def neighbour_directory(connection: sqlite3.Connection, link: str) -> Edition:
    """The edition of the directory that the neighbour's last waybill named; none before the first."""
    said = recall(connection, link, DIRECTORY_VERSION) or str(NO_EDITION)
    epoch, _dash, version = said.rpartition("-")
    return Edition(int(epoch or "1"), int(version))


def remember(transaction: Transaction, link: str, name: str, value: str) -> None:
    """Remember a value about the link."""
    transaction.execute(
        "INSERT INTO link_memory VALUES (?, ?, ?)"
        " ON CONFLICT (link, name) DO UPDATE SET value = excluded.value",
        link, name, value,
    )  # fmt: skip


def remember_head(transaction: Transaction, node: str, waybill: Waybill) -> None:
    """The neighbour's ledger head, so that a rewritten ledger over there can be shown (I8)."""
    transaction.execute(
        "INSERT OR IGNORE INTO head VALUES (?, ?, ?)", node, waybill.ledger_head, transaction.stamp
    )
    transaction.execute(
        "DELETE FROM head WHERE node = ? AND at < (SELECT at FROM head WHERE node = ? ORDER BY at DESC"
        " LIMIT 1 OFFSET 999)",
        node, node,
    )  # fmt: skip
