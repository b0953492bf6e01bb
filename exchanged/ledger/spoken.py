"""What a neighbour said of its own ledger, by waybills: two ledgers under one name show (C15).

Within one incarnation a ledger only grows, and each acknowledgement bears a counter of its own: so a counter,
and a number of events, belong to one head. Only the newest waybills of a link are kept.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

from exchanged.ledger import batches
from exchanged.ledger.transaction import Transaction

_KEPT: Final = 1_000


@dataclass(frozen=True, slots=True)
class Spoken:
    """One waybill.

    The counter of its acknowledgement, the ledger's head, and its number of events if known.
    """

    counter: int
    chain: str
    events: int | None


def remember(transaction: Transaction, link: str, incarnation: str, spoken: Spoken) -> None:
    """Keep it, and forget what is older than the newest thousand."""
    transaction.execute(
        "INSERT OR IGNORE INTO spoken (link, incarnation, counter, events, chain) VALUES (?, ?, ?, ?, ?)",
        link, incarnation, spoken.counter, spoken.events, spoken.chain,
    )  # fmt: skip
    transaction.execute(
        "DELETE FROM spoken WHERE link = ? AND incarnation = ? AND counter <= ?",
        link, incarnation, spoken.counter - _KEPT,
    )  # fmt: skip


def last_counter(connection: sqlite3.Connection, link: str, incarnation: str) -> int:
    """The highest counter that was heard in that incarnation, 0 before any."""
    row = connection.execute(
        "SELECT max(counter) FROM spoken WHERE link = ? AND incarnation = ?", (link, incarnation)
    ).fetchone()
    return int(row[0] or 0)


def contradicts(connection: sqlite3.Connection, link: str, incarnation: str, spoken: Spoken) -> bool:
    """The same counter, or the same number of events, belonged to another head before."""
    row = connection.execute(
        "SELECT 1 FROM spoken WHERE link = ? AND incarnation = ? AND chain <> ?"
        " AND (counter = ? OR events = ?) LIMIT 1",
        (link, incarnation, spoken.chain, spoken.counter, spoken.events),
    ).fetchone()
    return row is not None


def goes_back(connection: sqlite3.Connection, link: str, incarnation: str, spoken: Spoken) -> bool:
    """A later waybill with fewer events, or an earlier one with more: this ledger was set back."""
    if spoken.events is None:
        return False
    row = connection.execute(
        "SELECT 1 FROM spoken WHERE link = ? AND incarnation = ? AND ((counter < ? AND events > ?)"
        " OR (counter > ? AND events < ?)) LIMIT 1",
        (link, incarnation, spoken.counter, spoken.events, spoken.counter, spoken.events),
    ).fetchone()
    return row is not None


def waybill_of(connection: sqlite3.Connection, link: str, incarnation: str, number: int) -> tuple[str, bool]:
    """The digest of the waybill that came under that number, empty where none was read, and a truth.

    True: an operator said that batches up to there may contradict each other.
    """
    row = connection.execute(
        "SELECT batch_in.waybill, stream_in.excused >= batch_in.number AS excused FROM batch_in"
        " JOIN stream_in ON stream_in.link = batch_in.link AND stream_in.incarnation = batch_in.incarnation"
        " WHERE batch_in.link = ? AND batch_in.incarnation = ? AND batch_in.number = ?",
        (link, incarnation, number),
    ).fetchone()
    return ("", False) if row is None else (str(row["waybill"]), bool(row["excused"]))


def is_closed(connection: sqlite3.Connection, link: str, incarnation: str) -> bool:
    """An operator decided that what speaks in this incarnation is not the node."""
    row = connection.execute(
        "SELECT closed FROM stream_in WHERE link = ? AND incarnation = ?", (link, incarnation)
    ).fetchone()
    return row is not None and bool(row["closed"])


def is_decided(connection: sqlite3.Connection, arrival: int, incarnation: str) -> bool:
    """An operator decided about its neighbour since that arrival landed.

    Or decided that what spoke in this incarnation is not the node: what was sealed in it may still come.
    """
    row = connection.execute(
        "SELECT 1 FROM arrival JOIN batch_in ON batch_in.id = arrival.batch"
        " JOIN stream_in ON stream_in.link = batch_in.link WHERE arrival.id = ?"
        " AND (stream_in.incarnation = batch_in.incarnation AND stream_in.excused >= batch_in.number"
        " OR stream_in.incarnation = ? AND stream_in.closed) LIMIT 1",
        (arrival, incarnation),
    ).fetchone()
    return row is not None


def began_at(connection: sqlite3.Connection, link: str, incarnation: str) -> str:
    """When that incarnation first spoke, by its own clock; empty where nobody noted it."""
    row = connection.execute(
        "SELECT since FROM stream_in WHERE link = ? AND incarnation = ?", (link, incarnation)
    ).fetchone()
    return "" if row is None else str(row["since"])


def is_met(connection: sqlite3.Connection, link: str, incarnation: str) -> bool:
    """Something in that incarnation came over the link before."""
    row = connection.execute(
        "SELECT 1 FROM stream_in WHERE link = ? AND incarnation = ?", (link, incarnation)
    ).fetchone()
    return row is not None


def accept(transaction: Transaction, link: str, incarnation: str) -> None:
    """An operator decided: this incarnation is the node, every other one met so far is not.

    What it said until now is forgotten, and its batches may contradict each other up to here: they are
    answered ``bad``, so that what the deciding copy holds comes again under new numbers.
    """
    newest = transaction.execute("SELECT coalesce(max(current), 0) AS c FROM stream_in WHERE link = ?", link)
    current = int(newest.fetchone()["c"]) + 1
    transaction.execute(
        "UPDATE stream_in SET closed = (incarnation <> ?),"
        " current = CASE WHEN incarnation = ? THEN ? ELSE current END,"
        " excused = (SELECT coalesce(max(number), 0) FROM batch_in WHERE batch_in.link = stream_in.link"
        " AND batch_in.incarnation = stream_in.incarnation) WHERE link = ?",
        incarnation, incarnation, current, link,
    )  # fmt: skip
    transaction.execute("DELETE FROM spoken WHERE link = ?", link)
    batches.remember(transaction, link, f"ack-counter:{incarnation}", "0")
