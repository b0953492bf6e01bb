"""Packets that go out once more because a restored neighbour lacks them, and how often they do (C23).

Guarantees: who was restored has each packet again, also when he is restored anew, or his wish comes twice
after a restore here: answers are begun more rarely than packets are given (``answering``). Who only says
so has none as often as he likes.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from exchanged.ledger.times import moment, stamp
from exchanged.ledger.transaction import Transaction

_AT_ONCE: Final = 8
_EVERY: Final = timedelta(minutes=30)


def give_again(transaction: Transaction, node: str, link: str, packet: int, priority: int) -> bool:
    """Offer ``packet`` on ``link`` once more because ``node`` wants it, in whatever state it is here.

    False: it has had it that often of late.
    """
    row = transaction.execute(
        "SELECT spent FROM restore_given WHERE packet = ? AND node = ?", packet, node
    ).fetchone()
    ahead = timedelta() if row is None else max(moment(row["spent"]) - transaction.now, timedelta())
    if ahead > _AT_ONCE * _EVERY:
        # More than it can ever be: the clock was set back since.
        ahead = timedelta()
    if ahead > (_AT_ONCE - 1) * _EVERY:
        return False
    transaction.execute(
        "INSERT INTO restore_given VALUES (?, ?, ?)"
        " ON CONFLICT (packet, node) DO UPDATE SET spent = excluded.spent",
        packet, node, stamp(transaction.now + ahead + _EVERY),
    )  # fmt: skip
    transaction.execute(
        "INSERT INTO outgoing (link, kind, reference, priority, queued_at, again)"
        " VALUES (?, 'packet', ?, ?, ?, 1) ON CONFLICT (link, kind, reference) DO UPDATE SET again = 1",
        link, packet, priority, transaction.stamp,
    )  # fmt: skip
    transaction.wake(f"link:{link}")
    return True
