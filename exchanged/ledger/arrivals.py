"""Arrivals: what links brought and was acknowledged, waiting to be judged.

A judged arrival leaves the table (its events remain); what is held, needing or quarantined stays.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from typing import Final

from exchanged.errors import StaleStateError, StoredPartRottenError
from exchanged.ledger import spool, turns
from exchanged.ledger.rows import ArrivalRow, arrival_row
from exchanged.ledger.times import stamp
from exchanged.ledger.transaction import Detail, Transaction
from exchanged.ranges import SpoolRange
from exchanged.states import ArrivalState, Event, advance
from packet_spec.errors import IssuerDisabledError, RevokedSinceError
from packet_spec.identity import PacketKey
from packet_spec.model import ItemKind

HELD_BY_OPERATOR: Final = "held-by-operator"
"""The reason of what an operator said should wait: only an operator releases it."""

RELEASED_BY_OPERATOR: Final = "released-by-operator"
"""What stands at a receipt of ``DOUBTED`` that an operator released: a person vouched for it."""

DOUBTED: Final = frozenset({IssuerDisabledError.reference, RevokedSinceError.reference})
"""Reasons for which a receipt waits for a person: a thief may have signed it."""

SEQUENCE_FORK: Final = "sequence-fork"
"""The reason of a packet whose seal bears a number under which its sender sealed another one (C15)."""

GIVEN_UP_WHEN_HELD: Final = frozenset(
    {RevokedSinceError.reference, SEQUENCE_FORK, StoredPartRottenError.reference}
)
"""Reasons to hold a packet that may never end: an operator may give it up, so that it can be sent anew."""

WAITING_FOR_ACCEPTED: Final = "waiting-for-accepted"
"""The reason of a packet that lies at its receiver before the receipt that it was accepted."""

PASSES_ALREADY: Final = "passes-already"
"""The reason of a packet that waits until its other passage through this node has ended (C14)."""

_SELECT = "SELECT arrival.*, spool.name AS spool_name FROM arrival JOIN spool ON spool.id = arrival.spool"
# Of itself SQLite would take an index of the state, and sort all that waits for a few of it.
_IN_TURN = _SELECT.replace("FROM arrival", "FROM arrival INDEXED BY arrival_turn")
_HELD_OF_PACKET = (
    _SELECT.replace("FROM arrival", "FROM arrival INDEXED BY arrival_held_packet")
    + " WHERE state = 'held' AND packet_id = ? AND sender = ? AND reason = ?"
)


def insert(
    transaction: Transaction,
    link: str,
    batch: int,
    kind: ItemKind,
    key: PacketKey,
    digest: str,
    bytes_at: SpoolRange,
    state: ArrivalState,
    *,
    flow: str = "",
) -> int:
    """One landed item, in the transaction that lands its batch (C5). ``flow``: among whose it counts."""
    share = turns.FULL_SHARE if kind is ItemKind.PACKET else turns.SMALL_SHARE
    cursor = transaction.execute(
        "INSERT INTO arrival (link, batch, kind, sender, packet_id, digest, spool, start, length, state,"  # noqa: S608
        " since, landed_at, flow, turn)"
        f" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, {turns.ARRIVAL_TURN})",
        link, batch, kind.value, key.sender, key.packet_id, digest, bytes_at.spool, bytes_at.start,
        bytes_at.length, state.value, transaction.stamp, transaction.stamp, flow, flow, share,
    )  # fmt: skip
    number = cursor.lastrowid
    assert number is not None  # noqa: S101 - an INSERT always sets it
    if kind is ItemKind.PACKET:
        transaction.event("landed", key, detail={"link": link, "state": state.value})
    return number


def due(
    connection: sqlite3.Connection, limit: int, *, is_restoring: bool = False
) -> tuple[ArrivalRow, ...]:
    """Landed arrivals in turn (``turns``), each link's in the order of landing; at most ``limit``.

    ``is_restoring``: of packets only those that this restored node asked for; the others wait (C23).
    """
    only = (
        " AND (arrival.kind <> 'packet' OR EXISTS (SELECT 1 FROM restore_wanted"
        " WHERE restore_wanted.sender = arrival.sender AND restore_wanted.packet_id = arrival.packet_id))"
        if is_restoring
        else ""
    )
    rows = connection.execute(
        f"{_IN_TURN} WHERE state = 'landed'{only} ORDER BY arrival.turn, arrival.id LIMIT ?", (limit,)
    )
    return tuple(arrival_row(row) for row in rows)


def find(connection: sqlite3.Connection, number: int) -> ArrivalRow | None:
    """The arrival of that row number; None once it was judged or given up."""
    row = connection.execute(f"{_SELECT} WHERE arrival.id = ?", (number,)).fetchone()
    return None if row is None else arrival_row(row)


def is_due(connection: sqlite3.Connection, number: int) -> bool:
    """The arrival is still landed: nobody held it or gave it up in the meantime."""
    row = connection.execute("SELECT 1 FROM arrival WHERE id = ? AND state = 'landed'", (number,)).fetchone()
    return row is not None


def came_past_another(connection: sqlite3.Connection, number: int) -> bool:
    """An earlier batch of the same neighbour is not here yet, and may hold what comes before this arrival."""
    row = connection.execute(
        "SELECT 1 FROM arrival JOIN batch_in ON batch_in.id = arrival.batch JOIN stream_in"
        " ON stream_in.link = batch_in.link AND stream_in.incarnation = batch_in.incarnation"
        " WHERE arrival.id = ? AND batch_in.number > stream_in.through",
        (number,),
    ).fetchone()
    return row is not None


def of_packet(connection: sqlite3.Connection, key: PacketKey) -> tuple[ArrivalRow, ...]:
    """Whatever lies here about a packet and is not judged, oldest first."""
    rows = connection.execute(
        f"{_SELECT} WHERE packet_id = ? AND sender = ? ORDER BY arrival.id", (key.packet_id, key.sender)
    )
    return tuple(arrival_row(row) for row in rows)


def in_state(connection: sqlite3.Connection, state: ArrivalState, link: str = "") -> tuple[ArrivalRow, ...]:
    """Arrivals in ``state``, of one link or of all."""
    rows = connection.execute(
        f"{_SELECT} WHERE state = ? AND (? = '' OR link = ?) ORDER BY arrival.id", (state.value, link, link)
    )
    return tuple(arrival_row(row) for row in rows)


def begin_work(transaction: Transaction, numbers: tuple[int, ...], *, alone: bool = False) -> None:
    """Count the attempt before the work: a crash must find it counted (1: with others, 2: alone)."""
    for number in numbers:
        transaction.execute(
            "UPDATE arrival SET tries = tries + 1, in_work = ? WHERE id = ?", 2 if alone else 1, number
        )


def after_unclean_stop(transaction: Transaction) -> tuple[tuple[ArrivalRow, bool], ...]:
    """What was in work when the process died, and whether it was alone. Called once at start."""
    rows = transaction.execute(f"{_SELECT} WHERE in_work > 0 AND state = 'landed' ORDER BY arrival.id")
    return tuple((arrival_row(row), row["in_work"] > 1) for row in rows.fetchall())


def count_crash(transaction: Transaction, row: ArrivalRow) -> int:
    """The work on this arrival, alone, ended its worker or the process. Returns the count so far."""
    transaction.execute(
        "UPDATE arrival SET crashes = crashes + 1, in_work = min(in_work, 1) WHERE id = ?", row.id
    )
    transaction.event("crashed-while-judging", row.key, detail={"count": row.crashes + 1})
    return row.crashes + 1


def keep(
    transaction: Transaction,
    row: ArrivalRow,
    event: Event,
    reason: str,
    *,
    retry_at: datetime | None = None,
    note: str = "",
) -> bool:
    """Move an arrival that stays: held, released, needing, complete, quarantined. ``note`` is for people.

    What came back by itself (``releasing``) and is held for the same reason once more was held all the time:
    its time stays, and no event tells of it. True when one does.
    """
    target = ArrivalState(advance(row.state, event))
    is_news = not (row.is_quiet and event is Event.HOLD and reason == row.reason)
    cursor = transaction.execute(
        "UPDATE arrival SET state = ?, since = ?, reason = ?, retry_at = ?, in_work = 0, quiet = 0"
        " WHERE id = ? AND state = ?",
        target.value, transaction.stamp if is_news else stamp(row.since), reason,
        stamp(retry_at) if retry_at else None, row.id, row.state.value,
    )  # fmt: skip
    if cursor.rowcount != 1:
        raise StaleStateError(f"arrival of {row.key} is no longer {row.state.value}")
    if is_news:
        _tell_release(transaction, row)
        detail = _moved(row, row.state, target, reason)
        transaction.event(event.value, row.key, detail=detail | ({"note": note} if note else {}))
    if target is ArrivalState.LANDED:
        transaction.wake("judge")
    return is_news


def _tell_release(transaction: Transaction, row: ArrivalRow) -> None:
    """It came back by itself, and now it moves on: its history has no gap."""
    if row.is_quiet:
        detail = _moved(row, ArrivalState.HELD, ArrivalState.LANDED, row.reason)
        transaction.event(Event.RELEASE.value, row.key, detail=detail)


def _moved(row: ArrivalRow, source: ArrivalState, target: ArrivalState, reason: str) -> dict[str, str]:
    return {"item": row.kind.value, "from": source.value, "to": target.value, "reason": reason}


def release_by_operator(transaction: Transaction, row: ArrivalRow) -> None:
    """Judge again what is held. A receipt that was doubted counts now, if nothing else speaks against it."""
    keep(transaction, row, Event.RELEASE, RELEASED_BY_OPERATOR if is_doubted(row) else "")


def is_doubted(row: ArrivalRow) -> bool:
    """A receipt held for one of ``DOUBTED``."""
    return row.kind is ItemKind.RECEIPT and row.reason in DOUBTED


def requeue(transaction: Transaction, row: ArrivalRow) -> None:
    """Leave quarantine: judged once more from the start, with nothing counted against it."""
    keep(transaction, row, Event.REQUEUE, "")
    transaction.execute("UPDATE arrival SET tries = 0, crashes = 0 WHERE id = ?", row.id)


def finish(
    transaction: Transaction,
    row: ArrivalRow,
    event: Event,
    *,
    keeps_bytes: bool = False,
    detail: Detail | None = None,
) -> None:
    """Judged: the row goes. ``keeps_bytes``: the packet row takes over the hold on the spool file."""
    target = advance(row.state, event)
    cursor = transaction.execute("DELETE FROM arrival WHERE id = ? AND state = ?", row.id, row.state.value)
    if cursor.rowcount != 1:
        raise StaleStateError(f"arrival of {row.key} is no longer {row.state.value}")
    _tell_release(transaction, row)
    if row.kind is ItemKind.PACKET:
        transaction.event(event.value, row.key, detail={"to": target.value, **(detail or {})})
    if not keeps_bytes:
        spool.release(transaction, row.bytes_at.spool)


def release_held_of(transaction: Transaction, key: PacketKey, reason: str) -> int:
    """Judge again what is held of one packet for this reason. What else lies here about it is not read."""
    rows = transaction.execute(f"{_HELD_OF_PACKET} ORDER BY arrival.id", key.packet_id, key.sender, reason)
    held = [arrival_row(row) for row in rows.fetchall()]
    for row in held:
        keep(transaction, row, Event.RELEASE, row.reason)
    return len(held)


def has_many_held(connection: sqlite3.Connection, link: str, reason: str, many: int) -> bool:
    """At least ``many`` arrivals of ``link`` are held for ``reason``."""
    row = connection.execute(
        "SELECT 1 FROM arrival INDEXED BY arrival_held WHERE state = 'held' AND link = ? AND reason = ?"
        " LIMIT 1 OFFSET ?",
        (link, reason, many - 1),
    ).fetchone()
    return row is not None


def held_long_enough(row: ArrivalRow, now: datetime, wait_seconds: float) -> bool:
    """The arrival has waited since landing for at least ``wait_seconds``."""
    return now - row.landed_at >= timedelta(seconds=wait_seconds)
