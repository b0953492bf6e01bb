"""Numbers of a neighbour under which no good batch lies here: found bad, or held for its format (C4, C5).

Guarantees: once an acknowledgement may have covered such a number, its exception stands in every later one
until the number is landed after all, or, for a bad one, until the writer certainly heard of it. Without the
exception an acknowledgement would say that the batch is here, and its writer would let go of it.

Left to others: what is bad and what is held (``exchanged.landing``), how far is told (``batches``).
"""

from __future__ import annotations

from exchanged.ledger.transaction import Transaction
from packet_spec.limits import OPEN_BATCHES
from packet_spec.waybill_model import ExceptionKind


def answer_bad(transaction: Transaction, link: str, incarnation: str, number: int, detail: str) -> None:
    """What came under that number does not lie here: its items must come again under a new one (C5)."""
    transaction.execute(
        "UPDATE batch_in SET exception = ?, detail = ? WHERE link = ? AND incarnation = ? AND number = ?",
        ExceptionKind.BAD.value, detail, link, incarnation, number,
    )  # fmt: skip


def forget_bad(transaction: Transaction, link: str) -> None:
    """A bad batch need not be named any longer once the writer certainly heard of it.

    That its file is gone proves nothing: a mailbox can lose files. But a writer that has not heard may
    have only so many batches open, this one among them. Only what was verified shows how far the writer is:
    anybody who carries the mailbox can write a high number into a file's name. One that is held is named for
    as long as it is: who wrote it keeps it open, however many follow.
    """
    transaction.execute(
        "UPDATE batch_in SET exception = '', detail = 'bad' WHERE link = ? AND exception <> ''"
        " AND exception = 'bad' AND number <= (SELECT max(newer.number) FROM batch_in AS newer"
        " WHERE newer.link = batch_in.link AND newer.incarnation = batch_in.incarnation"
        " AND newer.exception NOT IN ('bad', 'held') AND newer.detail <> 'bad') - ?",
        link, OPEN_BATCHES,
    )  # fmt: skip


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
