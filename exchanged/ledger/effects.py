"""Intended effects: written with the transition, carried out after the commit, repeatable.

At most one effect per (kind, subject) waits; asking again refreshes its detail. An effect leaves the
table only when it was carried out, so a crash in between repeats it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from exchanged.ledger.transaction import Transaction, encode_detail


@dataclass(frozen=True, slots=True)
class Effect:
    """Something to do outside the ledger: what kind, about what, and the particulars."""

    id: int
    kind: str
    subject: str
    detail: Mapping[str, str]


def intend(
    transaction: Transaction, kind: str, subject: str, detail: Mapping[str, str] | None = None
) -> None:
    """Do ``kind`` about ``subject`` after the commit. A waiting one is replaced by this newer one."""
    intend_by_the_way(transaction, kind, subject, detail)
    transaction.wake("effects")


def intend_by_the_way(
    transaction: Transaction, kind: str, subject: str, detail: Mapping[str, str] | None = None
) -> None:
    """As ``intend``, but nobody is woken: done with what comes next, at the latest by the slow alarm."""
    transaction.execute("DELETE FROM effect WHERE kind = ? AND subject = ?", kind, subject)
    transaction.execute(
        "INSERT INTO effect (kind, subject, detail, created_at) VALUES (?, ?, ?, ?)",
        kind, subject, encode_detail(detail), transaction.stamp,
    )  # fmt: skip


def waiting(
    connection: sqlite3.Connection, limit: int = 256, kinds: Sequence[str] | None = None
) -> tuple[Effect, ...]:
    """Effects not carried out yet, oldest first: of these ``kinds``, or of all."""
    only = "" if kinds is None else f"WHERE +kind IN ({', '.join('?' * len(kinds))}) "
    rows = connection.execute(
        f"SELECT id, kind, subject, detail FROM effect {only}ORDER BY id LIMIT ?",  # noqa: S608 - our own words
        (*(kinds or ()), limit),
    )
    return tuple(Effect(row["id"], row["kind"], row["subject"], json.loads(row["detail"])) for row in rows)


def particulars(connection: sqlite3.Connection, kind: str) -> tuple[Mapping[str, str], ...]:
    """Those of every effect of that kind that waits."""
    rows = connection.execute("SELECT detail FROM effect WHERE kind = ?", (kind,))
    return tuple(json.loads(row["detail"]) for row in rows)


def done(transaction: Transaction, effects: Iterable[int]) -> None:
    """These were carried out. One that was replaced meanwhile has another number and stays."""
    transaction.connection.executemany("DELETE FROM effect WHERE id = ?", ((number,) for number in effects))
