"""Batches that a neighbour calls bad, and when it is offered more after many of them (C6, I10).

What it calls bad goes out again at once, under other numbers: a batch that was damaged on its way must not
wait. A neighbour that calls everything bad, by malice or because it reads another form, would have it
written, hashed and recorded anew for ever.

Guarantees: after eight more bad ones than good ones no batch is composed before a pause is over, which
doubles from a second up to an hour; each good one makes up for one. What lies there already, and
acknowledgements, are not touched. A pause outlives a restart.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from exchanged.ledger import Connection, Transaction, batches
from exchanged.ledger.times import moment

FREE: Final = 8
FIRST_SECONDS: Final = 1.0
LAST_SECONDS: Final = 3600.0
# 2**12 seconds are more than the last step.
_STEPS: Final = 12
# "<count> <time of the last one>", empty where there are none.
_GIVEN_BACK: Final = "given-back"


def note_bad(transaction: Transaction, link: str) -> None:
    """The neighbour calls a batch bad."""
    count = _read(transaction.connection, link)[0] + 1
    batches.remember(transaction, link, _GIVEN_BACK, f"{count} {transaction.stamp}")


def note_good(transaction: Transaction, link: str) -> None:
    """It took one."""
    count, at = _read(transaction.connection, link)
    if count:
        batches.remember(transaction, link, _GIVEN_BACK, f"{count - 1} {at}" if count > 1 else "")


def rests(connection: Connection, link: str, now: datetime) -> bool:
    """No further batch is composed for that neighbour now."""
    count, at = _read(connection, link)
    if count <= FREE:
        return False
    seconds = min(FIRST_SECONDS * 2 ** min(count - FREE - 1, _STEPS), LAST_SECONDS)
    # A clock that was set back meanwhile makes nobody wait.
    return timedelta(0) <= now - moment(at) < timedelta(seconds=seconds)


def _read(connection: Connection, link: str) -> tuple[int, str]:
    count, _space, at = (batches.recall(connection, link, _GIVEN_BACK) or "").partition(" ")
    return int(count or "0"), at
