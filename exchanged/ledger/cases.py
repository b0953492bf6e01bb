"""The case index of an admitting node: numbers, parties and what was seen (C17).

No number is common to all organs: a case has an identifier of its own here, and the numbers of each
organ are aliases that arrive with packets. A number is looked up in its one form, so that other brackets,
full-width digits or blanks find the same case; the form in which it first came is kept beside it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from exchanged.ledger import awaited
from exchanged.ledger.transaction import Transaction
from packet_spec.identifiers import canonical_case_number
from packet_spec.identity import PacketKey
from packet_spec.model import CaseNumber


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


def history(connection: sqlite3.Connection, case_id: str) -> tuple[str, ...]:
    """Business types seen in the case, in the order in which their packets were accepted."""
    rows = connection.execute(
        "SELECT business_type FROM case_history WHERE case_id = ? ORDER BY at, id", (case_id,)
    )
    return tuple(row["business_type"] for row in rows)


def case_of_packet(connection: sqlite3.Connection, key: PacketKey) -> str:
    """The case that an admitted packet belongs to, or empty."""
    row = connection.execute(
        "SELECT case_id FROM case_history WHERE packet_id = ? AND sender = ?", (key.packet_id, key.sender)
    ).fetchone()
    return "" if row is None else str(row["case_id"])


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
    """An admitted packet changes its case: numbers, parties, history; ``joined`` cases become this one.

    What waited in the case for one of its packets is judged again (``awaited``). ``at`` is when it was
    accepted: its place in the case, also when it comes again after a restore (C23).
    """
    joined, numbers = tuple(joined), tuple(numbers)
    for other in joined:
        transaction.execute("UPDATE OR IGNORE case_number SET case_id = ? WHERE case_id = ?", case_id, other)
        transaction.execute("DELETE FROM case_number WHERE case_id = ?", other)
        transaction.execute("UPDATE OR IGNORE case_party SET case_id = ? WHERE case_id = ?", case_id, other)
        transaction.execute("DELETE FROM case_party WHERE case_id = ?", other)
        transaction.execute("UPDATE case_history SET case_id = ? WHERE case_id = ?", case_id, other)
        transaction.event("case-joined", key, detail={"case": case_id, "joined": other})
    for number in numbers:
        transaction.execute(
            "INSERT OR IGNORE INTO case_number (kind, number, case_id, value) VALUES (?, ?, ?, ?)",
            number.kind, canonical_case_number(number.value), case_id, number.value,
        )  # fmt: skip
    for agency in parties:
        transaction.execute("INSERT OR IGNORE INTO case_party VALUES (?, ?)", case_id, agency)
    if case_of_packet(transaction.connection, key) != case_id:
        transaction.execute(
            "INSERT INTO case_history (case_id, business_type, sender, packet_id, at) VALUES (?, ?, ?, ?, ?)",
            case_id, business_type, key.sender, key.packet_id, at or transaction.stamp,
        )  # fmt: skip
    awaited.release(transaction, case_id, awaited.about_case((case_id, *joined), numbers))
