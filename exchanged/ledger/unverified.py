"""Numbers of a neighbour under which no good batch lies here: found bad, or held for its format (C4, C5).

Guarantees: once an acknowledgement may have covered such a number, its exception stands in every later one
until the number is landed after all, or, for a bad one, until the writer certainly heard of it. Without the
exception an acknowledgement would say that the batch is here, and its writer would let go of it.

Left to others: what is bad and what is held (``exchanged.landing``), how far is told (``batches``).
"""

from __future__ import annotations

import sqlite3
from typing import Final

from exchanged.ledger.transaction import Transaction
from packet_spec.limits import OPEN_BATCHES
from packet_spec.waybill_model import ExceptionKind

AHEAD: Final = 4 * OPEN_BATCHES
"""How many batches a neighbour has open at most: four times its window, where one of them finds no room and
others go past it. So far above what was verified a number is answered."""

_VERIFIED: Final = "link = ? AND incarnation = ? AND exception NOT IN ('bad', 'held') AND detail <> 'bad'"


def answer_bad(transaction: Transaction, link: str, incarnation: str, number: int, detail: str) -> None:
    """What came under that number does not lie here: its items must come again under a new one (C5)."""
    transaction.execute(
        "UPDATE batch_in SET exception = ?, detail = ? WHERE link = ? AND incarnation = ? AND number = ?",
        ExceptionKind.BAD.value, detail, link, incarnation, number,
    )  # fmt: skip


def forget_bad(transaction: Transaction, link: str) -> None:
    """A bad batch need not be named any longer once the writer certainly heard of it.

    That its file is gone proves nothing: a mailbox can lose files. But a writer that has not heard may
    have only so many batches open, this one among them: it heard when so many landed since it was answered.
    Only what was verified shows how far the writer is: anybody who carries the mailbox can write a high
    number into a file's name. One that is held is named for as long as it is: who wrote it keeps it open,
    however many follow.

    What an earlier program answered above ``reach`` goes, unless an acknowledgement covers it.
    """
    answered = transaction.execute(
        "SELECT DISTINCT incarnation FROM batch_in WHERE link = ? AND exception <> ''"
        " AND exception IN ('bad', 'held')",
        link,
    ).fetchall()
    for incarnation in (row["incarnation"] for row in answered):
        # Constants for the statements below: asked once, and not for each row that is bad.
        since = transaction.execute(
            "SELECT count(*) AS count, min(number) AS number, min(id) AS id FROM"  # noqa: S608 - our own text
            f" (SELECT id, number FROM batch_in WHERE {_VERIFIED} ORDER BY number DESC LIMIT ?)",
            link, incarnation, AHEAD,
        ).fetchone()  # fmt: skip
        if since["count"] == AHEAD:
            transaction.execute(
                "UPDATE batch_in SET exception = '', detail = 'bad' WHERE link = ? AND incarnation = ?"
                " AND number < ? AND exception <> '' AND exception = 'bad' AND id < ?",
                link, incarnation, since["number"], since["id"],
            )  # fmt: skip
        covered = transaction.execute(
            "SELECT through FROM stream_in WHERE link = ? AND incarnation = ?", link, incarnation
        ).fetchone()
        transaction.execute(
            "DELETE FROM batch_in WHERE link = ? AND incarnation = ? AND number > ? AND exception <> ''"
            " AND exception IN ('bad', 'held') AND waybill = ''",
            link, incarnation, max(covered["through"], reach(transaction.connection, link, incarnation)),
        )  # fmt: skip


def reach(connection: sqlite3.Connection, link: str, incarnation: str) -> int:
    """Up to which number something is answered that was not verified.

    It counts from the highest number that was verified in that incarnation. An honest writer has only so many
    batches open behind that, and what is bad comes again under the next number; so only a line that damages
    thousands in a row, or a ledger that was set back, sees honest numbers above. Those wait until one of
    them is verified. An empty file under a number is no word of anybody: without a limit whoever carries the
    mailbox could write rows here without end.
    """
    row = connection.execute(
        f"SELECT number FROM batch_in WHERE {_VERIFIED} ORDER BY number DESC LIMIT 1",  # noqa: S608
        (link, incarnation),
    ).fetchone()
    return (0 if row is None else int(row["number"])) + AHEAD


def are_many(connection: sqlite3.Connection, link: str, incarnation: str) -> bool:
    """As many numbers as any honest neighbour may have open are answered, and wait to be heard of.

    Each good batch moves ``reach``: without this limit one would make room for thousands of empty files.
    """
    row = connection.execute(
        "SELECT 1 FROM batch_in WHERE link = ? AND incarnation = ? AND exception <> ''"
        " AND exception IN ('bad', 'held') LIMIT 1 OFFSET ?",
        (link, incarnation, AHEAD - 1),
    ).fetchone()
    return row is not None


def read_held_again(transaction: Transaction) -> None:
    """At start: files of a format unknown to the previous program are looked at once more (C4).

    Only their names are forgotten. Number and exception stay: acknowledgements have covered them, and the
    file may be gone, or not be read before the next one is written.
    """
    transaction.execute("UPDATE batch_in SET name = '' WHERE exception <> '' AND exception = 'held'")


def give_up_held(transaction: Transaction, link: str, incarnation: str, number: int) -> None:
    """A batch that is held under that number, if any, makes room for what is known now.

    The caller lands that in the same transaction: nothing else may say that the number is disposed of.
    """
    transaction.execute(
        "DELETE FROM batch_in WHERE link = ? AND incarnation = ? AND number = ? AND exception = 'held'",
        link, incarnation, number,
    )  # fmt: skip
