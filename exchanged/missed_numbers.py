"""Batches of a neighbour that bore numbers before this ledger began: none of them comes any more (C5, C23).

A node that begins anew under its name meets neighbours that go on behind their last number. What it does not
have without a gap it cannot acknowledge, and of what was never acknowledged there only so much lies open.

Guarantees: where a neighbour's stream does not begin with 1 it is asked once, with the question of a restored
node, and of the answer nothing is taken but which of its batches are disposed of. That is the writer's own
word about what it keeps, so it can harm nobody else. Nothing waits for it, and no packet comes by it.

Leaves to others: a node that was restored asks everybody, and for everything (``restoring``).
"""

from __future__ import annotations

from typing import Final

from exchanged.ledger import Transaction, batches, restoring, spoken
from exchanged.link_context import LinkContext
from packet_spec.note_rules import RESTORE
from packet_spec.restoring import Ask, Page, encode_restoring
from packet_spec.waybill_model import Waybill

_ASKED: Final = "asked-for-numbers"
"""Name of the link's memory: the incarnation in which this node asked."""


def ask_for(transaction: Transaction, link: LinkContext, waybill: Waybill) -> None:
    """Ask the neighbour if its stream began before this ledger, as what lies there of it shows."""
    connection = transaction.connection
    if not restoring.lacks_beginning(connection, link.name, waybill.incarnation, waybill.number):
        return
    if batches.recall(connection, link.name, _ASKED) == link.incarnation or _is_asked(transaction, link.peer):
        return
    if waybill.incarnation != batches.current_incarnation(connection, link.name):
        return
    # Since now: what is told beside the numbers is of no use here.
    said = encode_restoring(Ask(link.incarnation, transaction.now))
    if link.statements.send_note(transaction, RESTORE, link.peer, said):
        batches.remember(transaction, link.name, _ASKED, link.incarnation)
        transaction.event("numbers-asked", detail={"node": link.peer, "link": link.name})


def _is_asked(transaction: Transaction, node: str) -> bool:
    """A restored node asks for everything, or has."""
    connection = transaction.connection
    return restoring.is_going_on(connection) or any(
        peer.node == node for peer in restoring.peers(connection)
    )


def take(transaction: Transaction, link: str, incarnation: str, page: Page) -> bool:
    """Dispose of what the neighbour on ``link`` will not send again. False: nothing was asked, or told.

    Raises FormatError for more open numbers than there can be.
    """
    connection = transaction.connection
    if page.stream is None or page.incarnation != incarnation:
        return False
    if batches.recall(connection, link, _ASKED) != incarnation:
        return False
    if not spoken.is_met(connection, link, page.stream.incarnation):
        return False
    restoring.dispose_of_lost(transaction, link, page.stream)
    transaction.event("numbers-told", detail={"link": link, "top": page.stream.top})
    transaction.wake(f"link:{link}")
    return True
