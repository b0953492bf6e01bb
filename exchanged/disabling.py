"""What the directory's disabling of a neighbour means on its link (C1, C24).

Guarantees: the ledger says since when. Within one round nothing of ours lies in the mailbox that a disabled
neighbour could fetch (``offering`` removes it). What it has not disposed of stays in our custody and waits
with everything that is addressed to it; the same bytes are put again when a directory enables it. Leaves to
others: refusing what it puts (``landing``), and its login (``doors``).
"""

from __future__ import annotations

import logging
from functools import partial

from exchanged.ledger import Transaction, batches
from exchanged.link_context import LinkContext
from exchanged.link_health import DISABLED_SINCE
from exchanged.log import event_line


def is_disabled_now(link: LinkContext) -> bool:
    """Whether the directory disables the neighbour; a change goes into the ledger."""
    is_disabled = link.peer_is_disabled
    if bool(batches.recall(link.ledger.read(), link.name, DISABLED_SINCE)) is not is_disabled:
        link.ledger.write(partial(_write_standing, link=link, is_disabled=is_disabled))
    return is_disabled


def _write_standing(transaction: Transaction, *, link: LinkContext, is_disabled: bool) -> None:
    batches.remember(transaction, link.name, DISABLED_SINCE, transaction.stamp if is_disabled else "")
    event = "neighbour-disabled" if is_disabled else "neighbour-enabled"
    transaction.event(event, detail={"link": link.name, "node": link.peer})
    event_line(event, level=logging.WARNING, link=link.name, peer=link.peer)
