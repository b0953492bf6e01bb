"""The case index of an admitting node: numbers, parties and what was seen (C17).

No number is common to all organs: a case has an identifier of its own here, and the numbers of each
organ are aliases that arrive with packets. A number is looked up in its one form, so that other brackets,
full-width digits or blanks find the same case; the form in which it first came is kept beside it. A packet
has one place in one case: that of the attempt which was admitted last (C12).

Known limit: numbers and parties that a replaced attempt gave to a case stay with that case.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

from exchanged.ledger import awaited
from exchanged.ledger.transaction import Transaction
from packet_spec.identifiers import canonical_case_number
from packet_spec.identity import PacketKey
from packet_spec.model import CaseNumber

# From type to type: each is the next one after the last that was found. One packet may be left out.
_HISTORY: Final = (
    "WITH RECURSIVE seen(type) AS ("
    " SELECT (SELECT business_type FROM case_history WHERE case_id = :case ORDER BY business_type LIMIT 1)"
    " UNION ALL SELECT (SELECT business_type FROM case_history WHERE case_id = :case"
    " AND business_type > seen.type ORDER BY business_type LIMIT 1) FROM seen WHERE seen.type IS NOT NULL)"
    " SELECT business_type FROM case_history WHERE id IN (SELECT (SELECT id FROM case_history"
    " WHERE case_id = :case AND business_type = seen.type AND NOT (packet_id = :packet AND sender = :sender)"
    " ORDER BY at DESC, id DESC LIMIT 1) FROM seen)"
    " ORDER BY at, id"
)
_FIRST_COUNT: Final = 16


def cases_of(connection: sqlite3.Connection, numbers: Iterable[CaseNumber]) -> tuple[str, ...]:
    """The known cases that any of ``numbers`` belongs to, each once.

    One number may be of several: an earlier version took two ways to write it for two cases, and only a
    party to both may join them (C17).
    """
    found: list[str] = []
    for number in numbers:
        rows = connection.execute(
            "SELECT case_id FROM case_number WHERE kind = ? AND number = ? ORDER BY case_id",
            (number.kind, canonical_case_number(number.value)),
        )
        found += [row["case_id"] for row in rows if row["case_id"] not in found]
    return tuple(found)


def is_party(connection: sqlite3.Connection, case_id: str, agency: str) -> bool:
    """``agency`` has sent or received a packet of the case."""
    row = connection.execute(
        "SELECT 1 FROM case_party WHERE case_id = ? AND agency = ?", (case_id, agency)
    ).fetchone()
    return row is not None


def history(
    connection: sqlite3.Connection, case_id: str, *, but: PacketKey | None = None
) -> tuple[str, ...]:
    """Business types seen in the case, each once, in the order in which their last packets were accepted.

    The order rules ask for no more (``packet_spec.sequence``). As many rows are read as the case has types,
    however many packets it has. ``but`` is a packet whose earlier attempt does not count: it is judged anew.
    """
    sender, packet_id = ("", "") if but is None else (but.sender, but.packet_id)
    rows = connection.execute(_HISTORY, {"case": case_id, "packet": packet_id, "sender": sender})
    return tuple(row["business_type"] for row in rows)


def case_of_packet(connection: sqlite3.Connection, key: PacketKey) -> str:
    """The case that an admitted packet belongs to, or empty."""
    row = connection.execute(
        "SELECT case_id FROM case_history WHERE packet_id = ? AND sender = ? ORDER BY id DESC LIMIT 1",
        (key.packet_id, key.sender),
    ).fetchone()
    return "" if row is None else str(row["case_id"])


def new_name(key: PacketKey, attempt: int) -> str:
    """The name of a case that begins with that packet: of an earlier attempt it may be another case."""
    return f"{key.sender}/{key.packet_id}" + (f"/{attempt}" if attempt > 1 else "")


def name_for(
    connection: sqlite3.Connection,
    key: PacketKey,
    attempt: int,
    numbers: Sequence[CaseNumber],
    answered: PacketKey | None = None,
) -> str:
    """The case of an accepted packet, by its ``numbers`` and the packet that it answers.

    The one where it is already, unless that was an earlier attempt with other numbers (C12).
    """
    found, before = list(cases_of(connection, numbers)), case_of_packet(connection, key)
    if answered is not None:
        found.append(case_of_packet(connection, answered))
    if before and (before in found or not numbers):
        return before
    return next(filter(None, found), new_name(key, attempt))


def record(
    transaction: Transaction,
    case_id: str,
    joined: Iterable[str],
    numbers: Iterable[CaseNumber],
    parties: Iterable[str],
    business_type: str,
    key: PacketKey,
    *,
    at: str = "",
) -> None:
    """An admitted packet changes its case: numbers, parties, history; ``joined`` cases and this become one.

    That bears the name of the one with the most packets: the others' rows move. What waited in the case for
    one of its packets is judged again (``awaited``), most of it later (``wake``). ``at`` is when it was
    accepted: its place in the case, also when it comes again after a restore (C23). The place that an earlier
    attempt had in another case, or by another type, is gone.
    """
    every, numbers = tuple(dict.fromkeys((case_id, *joined))), tuple(numbers)
    case_id = _longest(transaction.connection, every)
    for other in every:
        if other == case_id:
            continue
        transaction.execute("UPDATE OR IGNORE case_number SET case_id = ? WHERE case_id = ?", case_id, other)
        transaction.execute("DELETE FROM case_number WHERE case_id = ?", other)
        transaction.execute("UPDATE OR IGNORE case_party SET case_id = ? WHERE case_id = ?", case_id, other)
        transaction.execute("DELETE FROM case_party WHERE case_id = ?", other)
        transaction.execute("UPDATE case_history SET case_id = ? WHERE case_id = ?", case_id, other)
        awaited.join(transaction, case_id, other)
        transaction.event("case-joined", key, detail={"case": case_id, "joined": other})
    new = [number for number in numbers if _name(transaction, case_id, number)]
    for agency in parties:
        transaction.execute("INSERT OR IGNORE INTO case_party VALUES (?, ?)", case_id, agency)
    transaction.execute(
        "DELETE FROM case_history WHERE packet_id = ? AND sender = ?"
        " AND (case_id <> ? OR business_type <> ?)",
        key.packet_id, key.sender, case_id, business_type,
    )  # fmt: skip
    if not case_of_packet(transaction.connection, key):
        transaction.execute(
            "INSERT INTO case_history (case_id, business_type, sender, packet_id, at) VALUES (?, ?, ?, ?, ?)",
            case_id, business_type, key.sender, key.packet_id, at or transaction.stamp,
        )  # fmt: skip
    # After a restore a number may come to name one case more: there it is waited for as well.
    others = [other for other in cases_of(transaction.connection, new) if other != case_id]
    awaited.release(
        transaction,
        case_id,
        partial(history, transaction.connection),
        awaited.about_case(every, numbers),
        awaited.about_case(others, ()),
    )


def wake(transaction: Transaction, limit: int) -> int:
    """Judge again at most ``limit`` of what waits in cases that have changed. How many were gone through."""
    return awaited.wake(transaction, partial(history, transaction.connection), limit)


def unknown_of(connection: sqlite3.Connection, numbers: Iterable[CaseNumber]) -> tuple[CaseNumber, ...]:
    """Those of ``numbers`` that belong to no known case."""
    return tuple(number for number in numbers if not cases_of(connection, (number,)))


def _name(transaction: Transaction, case_id: str, number: CaseNumber) -> bool:
    """The number names the case from now on. False when it did already."""
    cursor = transaction.execute(
        "INSERT OR IGNORE INTO case_number (kind, number, case_id, value) VALUES (?, ?, ?, ?)",
        number.kind, canonical_case_number(number.value), case_id, number.value,
    )  # fmt: skip
    return cursor.rowcount == 1


def _longest(connection: sqlite3.Connection, case_ids: Sequence[str]) -> str:
    """The case with the most packets, or the first of those. Of it no more is read than of the others."""
    limit = _FIRST_COUNT
    counts = dict.fromkeys(case_ids, limit)
    while list(counts.values()).count(limit) > 1:
        limit *= 2
        counts = {case_id: _count(connection, case_id, limit) for case_id in case_ids}
    return max(case_ids, key=lambda case_id: counts[case_id])


def _count(connection: sqlite3.Connection, case_id: str, at_most: int) -> int:
    row = connection.execute(
        "SELECT count(*) AS packets FROM (SELECT 1 FROM case_history WHERE case_id = ? LIMIT ?)",
        (case_id, at_most),
    ).fetchone()
    return int(row["packets"])
