"""Who asks this node what a restored one forgot, and how far its answer is (C23).

Guarantees: a question is answered once, and the answer goes on at the place that its last page reached, also
after a crash. Every list here is read on from such a place in the order of an index, so that no page costs
more than its own part of the history; what a page has told is not moved before the place afterwards.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from exchanged.ledger import batches
from exchanged.ledger.rows import OutgoingRow
from exchanged.ledger.times import moment, stamp
from exchanged.ledger.transaction import Transaction
from packet_spec.identity import PacketKey
from packet_spec.model import ItemKind
from packet_spec.restoring import Numbers, Stream

_EVERY: Final = timedelta(hours=1)
_AT_ONCE: Final = 3
_DUE, _PARTLY, _DONE = "due", "partly", "answered"
# Word for word as in the partial index.
_UNDER_WAY: Final = "state IN ('queued', 'on-hold', 'offered', 'handed-over', 'accepted')"


class Stage(StrEnum):
    """What an answer is at, in this order."""

    UNDER_WAY = "under-way"
    GIVEN = "given"
    TAKEN = "taken"
    RECEIPTS = "receipts"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Place:
    """Everything up to here was told; what the numbers are is the business of the stage."""

    stage: Stage
    at: str = ""
    number: int = 0
    position: int = -1


@dataclass(frozen=True, slots=True)
class Asked:
    """A restored node that asked this one over ``link``.

    ``place`` is None before its answer began; ``newest`` was the newest batch then, of all links; ``packets``
    and ``receipts`` were told since. ``spent``: until when answers that were begun count against it.
    """

    node: str
    link: str
    incarnation: str
    since: datetime
    place: Place | None = None
    newest: int = 0
    packets: int = 0
    receipts: int = 0
    spent: datetime | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a list: what it is, and the place behind it. ``key`` and ``issuer`` of recent receipts."""

    place: Place
    kind: ItemKind
    number: int
    key: PacketKey = field(default_factory=lambda: PacketKey("", ""))
    issuer: str = ""


# --- questions, and how far their answers are -----------------------------------------------------------


def note_ask(transaction: Transaction, asked: Asked) -> bool:
    """A restored node asks. False: it asked this in that incarnation before, and is or was answered."""
    before = find(transaction.connection, asked.node)
    if before is not None and before.incarnation == asked.incarnation:
        return False
    transaction.execute(
        "INSERT INTO restore_asked (node, link, incarnation, since, state) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (node) DO UPDATE SET link = excluded.link, incarnation = excluded.incarnation,"
        " since = excluded.since, state = excluded.state, stage = ''",
        asked.node, asked.link, asked.incarnation, stamp(asked.since), _DUE,
    )  # fmt: skip
    transaction.wake(f"link:{asked.link}")
    return True


def find(connection: sqlite3.Connection, node: str) -> Asked | None:
    """The last question of that node."""
    row = connection.execute("SELECT * FROM restore_asked WHERE node = ?", (node,)).fetchone()
    return None if row is None else _asked(row)


def due(connection: sqlite3.Connection, link: str) -> tuple[Asked, ...]:
    """Questions that came over ``link`` and that are not answered yet."""
    rows = connection.execute("SELECT * FROM restore_asked WHERE link = ? AND state = ?", (link, _DUE))
    return tuple(_asked(row) for row in rows)


def _asked(row: sqlite3.Row) -> Asked:
    place = Place(Stage(row["stage"]), row["at"], row["number"], row["position"]) if row["stage"] else None
    return Asked(
        row["node"], row["link"], row["incarnation"], moment(row["since"]), place, row["newest"],
        row["packets"], row["receipts"], moment(row["spent"]) if row["spent"] else None,
    )  # fmt: skip


def may_begin(asked: Asked, now: datetime) -> bool:
    """Whoever asks in ever new incarnations has three answers at once, and then one an hour."""
    return _ahead(asked, now) <= (_AT_ONCE - 1) * _EVERY


def _ahead(asked: Asked, now: datetime) -> timedelta:
    ahead = timedelta() if asked.spent is None else max(asked.spent - now, timedelta())
    # More than it can ever be: the clock was set back since.
    return ahead if ahead <= _AT_ONCE * _EVERY else timedelta()


def begin(transaction: Transaction, asked: Asked) -> None:
    """Its answer begins now, and tells nothing of batches that are still to come."""
    spent = transaction.now + _ahead(asked, transaction.now) + _EVERY
    transaction.execute(
        "UPDATE restore_asked SET newest = (SELECT coalesce(max(id), 0) FROM batch_out), packets = 0,"
        " receipts = 0, spent = ? WHERE node = ?",
        stamp(spent), asked.node,
    )  # fmt: skip
    _set_place(transaction, asked.node, Place(Stage.UNDER_WAY))


def go_on(transaction: Transaction, asked: Asked, place: Place, packets: int, receipts: int) -> None:
    """So much more was told, up to ``place``."""
    transaction.execute(
        "UPDATE restore_asked SET packets = packets + ?, receipts = receipts + ? WHERE node = ?",
        packets, receipts, asked.node,
    )  # fmt: skip
    _set_place(transaction, asked.node, place)


def _set_place(transaction: Transaction, node: str, place: Place) -> None:
    transaction.execute(
        "UPDATE restore_asked SET stage = ?, at = ?, number = ?, position = ? WHERE node = ?",
        place.stage.value, place.at, place.number, place.position, node,
    )  # fmt: skip


def note_answered(transaction: Transaction, asked: Asked, *, is_final: bool) -> None:
    """It was answered, for good or as far as this node itself knows yet."""
    transaction.execute(
        "UPDATE restore_asked SET state = ?, stage = '' WHERE node = ?",
        _DONE if is_final else _PARTLY, asked.node,
    )  # fmt: skip


def start_over(transaction: Transaction) -> None:
    """This node knows more now, or less: what it did not answer for good is answered from the start."""
    transaction.execute(
        "UPDATE restore_asked SET state = ?, stage = '', spent = '' WHERE state IN (?, ?)",
        _DUE, _DUE, _PARTLY,
    )  # fmt: skip


# --- pages ----------------------------------------------------------------------------------------------


def note_page(transaction: Transaction, node: str) -> None:
    """The note that was recorded last is a page for ``node``."""
    transaction.execute("INSERT INTO restore_page SELECT ?, max(id) FROM note", node)


def note_opening(transaction: Transaction, node: str) -> None:
    """The note that was recorded last is the page with which the answer to ``node`` begins."""
    note_page(transaction, node)
    transaction.execute("UPDATE restore_asked SET opening = (SELECT max(id) FROM note) WHERE node = ?", node)


def opening_due(connection: sqlite3.Connection, link: str, peer: str) -> OutgoingRow | None:
    """The first page for the neighbour, while it waits on ``link`` in no batch."""
    row = connection.execute(
        "SELECT outgoing.id, outgoing.reference FROM restore_asked JOIN outgoing"
        " ON outgoing.link = ? AND outgoing.kind = 'note' AND outgoing.reference = restore_asked.opening"
        " WHERE restore_asked.node = ? AND outgoing.batch IS NULL AND outgoing.held = 0",
        (link, peer),
    ).fetchone()
    return None if row is None else OutgoingRow(row["id"], ItemKind.NOTE, row["reference"])


def pages_under_way(connection: sqlite3.Connection, node: str) -> int:
    """How many pages for ``node`` were not handed over yet."""
    row = connection.execute(
        "SELECT count(*) AS n FROM restore_page JOIN outgoing ON outgoing.reference = restore_page.note"
        " AND outgoing.kind = 'note' WHERE restore_page.node = ?",
        (node,),
    ).fetchone()
    return int(row["n"])


def forget_pages(transaction: Transaction, node: str) -> None:
    """Pages that were handed over to ``node``, or on the way there, are never asked for again."""
    rows = transaction.execute(
        "SELECT note FROM restore_page WHERE node = ? AND NOT EXISTS (SELECT 1 FROM outgoing"
        " WHERE outgoing.reference = restore_page.note AND outgoing.kind = 'note')",
        node,
    ).fetchall()
    for row in rows:
        transaction.execute("DELETE FROM note WHERE id = ?", row["note"])
        transaction.execute("DELETE FROM restore_page WHERE node = ? AND note = ?", node, row["note"])


# --- what is told, list by list -------------------------------------------------------------------------


def first_place(stage: Stage, since: datetime) -> Place:
    """Where the list of a stage begins, read since then."""
    return Place(stage, stamp(since) if stage in (Stage.TAKEN, Stage.RECEIPTS) else "")


def under_way(connection: sqlite3.Connection, link: str, place: Place, limit: int) -> tuple[Entry, ...]:
    """Packets that have to be handed over on ``link``, or were and are not at their end."""
    rows = connection.execute(
        "SELECT DISTINCT packet FROM destination INDEXED BY destination_under_way"  # noqa: S608 - our own words
        f" WHERE link = ? AND {_UNDER_WAY} AND packet > ? ORDER BY packet LIMIT ?",
        (link, place.number, limit),
    )
    return tuple(
        Entry(Place(Stage.UNDER_WAY, number=row["packet"]), ItemKind.PACKET, row["packet"]) for row in rows
    )


def given(connection: sqlite3.Connection, asked: Asked, place: Place, limit: int) -> tuple[Entry, ...]:
    """What was handed over on the link since then, in the order of batches; the same may stand in several."""
    rows = connection.execute(
        "SELECT batch_item.batch, batch_item.position, batch_item.kind, batch_item.reference"
        " FROM batch_out INDEXED BY batch_out_told CROSS JOIN batch_item ON batch_item.batch = batch_out.id"
        " WHERE batch_out.link = ? AND batch_out.id >= ? AND batch_out.id <= ?"
        " AND (batch_out.closed_at IS NULL OR batch_out.closed_at >= ?)"
        " AND (batch_out.id > ? OR batch_item.position > ?)"
        " ORDER BY batch_out.id, batch_item.position LIMIT ?",
        (
            asked.link, place.number, asked.newest, stamp(asked.since), place.number, place.position,
            limit,
        ),
    )  # fmt: skip
    return tuple(
        Entry(
            Place(Stage.GIVEN, number=row["batch"], position=row["position"]),
            ItemKind(row["kind"]),
            row["reference"],
        )
        for row in rows
    )


def taken(connection: sqlite3.Connection, asked: Asked, place: Place, limit: int) -> tuple[Entry, ...]:
    """Packets that came over the link since then."""
    rows = connection.execute(
        "SELECT id, landed_at FROM packet INDEXED BY packet_came WHERE came_by = ?"
        " AND (landed_at, id) > (?, ?) ORDER BY landed_at, id LIMIT ?",
        (asked.link, place.at, place.number, limit),
    )
    return tuple(
        Entry(Place(Stage.TAKEN, row["landed_at"], row["id"]), ItemKind.PACKET, row["id"]) for row in rows
    )


def recent(connection: sqlite3.Connection, place: Place, limit: int) -> tuple[Entry, ...]:
    """Receipts as they were recorded, whatever they are about."""
    rows = connection.execute(
        "SELECT id, sender, packet_id, issued_by, recorded_at FROM receipt INDEXED BY receipt_recorded"
        " WHERE (recorded_at, id) > (?, ?) ORDER BY recorded_at, id LIMIT ?",
        (place.at, place.number, limit),
    )
    return tuple(
        Entry(
            Place(Stage.RECEIPTS, row["recorded_at"], row["id"]),
            ItemKind.RECEIPT,
            row["id"],
            PacketKey(row["sender"], row["packet_id"]),
            row["issued_by"],
        )
        for row in rows
    )


# --- questions about one of them ------------------------------------------------------------------------


def was_given(
    connection: sqlite3.Connection, asked: Asked, kind: ItemKind, number: int, before: int | None = None
) -> bool:
    """It stands in the list of what was handed over, in a batch before that one if there is one."""
    row = connection.execute(
        "SELECT 1 FROM batch_item INDEXED BY batch_item_reference CROSS JOIN batch_out"
        " INDEXED BY batch_out_told ON batch_out.link = ? AND batch_out.id = batch_item.batch"
        " WHERE batch_item.kind = ? AND batch_item.reference = ? AND batch_item.batch < ?"
        " AND (batch_out.closed_at IS NULL OR batch_out.closed_at >= ?) LIMIT 1",
        (
            asked.link, kind.value, number, asked.newest + 1 if before is None else before,
            stamp(asked.since),
        ),
    ).fetchone()  # fmt: skip
    return row is not None


def was_offered(connection: sqlite3.Connection, asked: Asked, packet: int) -> bool:
    """It stood in a batch when the answer began: it may have been where it was forgotten since."""
    row = connection.execute(
        "SELECT 1 FROM batch_item WHERE kind = 'packet' AND reference = ? AND batch <= ? LIMIT 1",
        (packet, asked.newest),
    ).fetchone()
    return row is not None


def is_under_way(connection: sqlite3.Connection, link: str, packet: int) -> bool:
    """It has to be handed over on ``link``, or was and is not at its end."""
    row = connection.execute(
        f"SELECT 1 FROM destination WHERE packet = ? AND link = ? AND {_UNDER_WAY} LIMIT 1",  # noqa: S608
        (packet, link),
    ).fetchone()
    return row is not None


def has_landed(connection: sqlite3.Connection, link: str) -> bool:
    """Something that came over ``link`` is not judged yet."""
    row = connection.execute(
        "SELECT 1 FROM arrival WHERE link = ? AND state = 'landed' LIMIT 1", (link,)
    ).fetchone()
    return row is not None


def passed_by(connection: sqlite3.Connection, link: str, key: PacketKey) -> bool:
    """The packet came over ``link`` or leaves over it."""
    row = connection.execute(
        "SELECT 1 FROM packet WHERE sender = ? AND packet_id = ? AND (came_by = ? OR EXISTS"
        " (SELECT 1 FROM destination WHERE destination.packet = packet.id AND destination.link = ?))",
        (key.sender, key.packet_id, link, link),
    ).fetchone()
    return row is not None


def numbers_seen(
    connection: sqlite3.Connection, agencies: tuple[str, ...], issuers: tuple[str, ...], since: datetime
) -> Numbers:
    """The highest numbers since then: of seals by ``agencies`` and of receipts by ``issuers``."""
    seal = max(
        (
            int(row["n"] or 0)
            for agency in agencies
            for row in connection.execute(
                "SELECT max(sequence) AS n FROM packet WHERE sender = ? AND landed_at >= ?",
                (agency, stamp(since)),
            )
        ),
        default=0,
    )
    receipt, issued = 0, ""
    for issuer in issuers:
        row = connection.execute(
            "SELECT max(number) AS n, max(issued_at) AS at FROM receipt INDEXED BY receipt_issuer"
            " WHERE issued_by = ? AND recorded_at >= ?",
            (issuer, stamp(since)),
        ).fetchone()
        receipt, issued = max(receipt, int(row["n"] or 0)), max(issued, row["at"] or "")
    return Numbers(seal, receipt, moment(issued) if issued else None)


def own_stream(connection: sqlite3.Connection, link: str, incarnation: str) -> Stream:
    """This node's batches on ``link``: the highest number, and which are not disposed of."""
    still = [
        row.number
        for row in batches.open_batches(connection, link)
        if row.state in (batches.COMMITTED, batches.NEEDING)
    ]
    return Stream(incarnation, batches.next_number(connection, link) - 1, tuple(still))
