"""Turns: who comes next where many wait, so that one agency's burst is not everybody's wait.

Weighted fair queueing with a clock of its own (Golestani, self-clocked fair queueing, INFOCOM 1994): a row's
*turn* is the larger of the last turn that waits in its own flow and the least turn of all that wait, and a
share more. So a flow that was silent comes next, whatever others have piled up; within a flow the order of
coming is kept; and since turns never change, nobody is overtaken for ever: what is urgent counts an eighth,
and after eight of them an ordinary one has its turn.

A flow is an agency where its packets go out, and where they come in whatever stands behind a link that is one
agency's own. What is urgent is a flow of its own at the way out, but never overtakes its own case (C15).
"""

from __future__ import annotations

from typing import Final

from exchanged.ledger.transaction import Transaction

FULL_SHARE: Final = 1.0
SMALL_SHARE: Final = 0.125
"""Of what is urgent, and of statements, which are small."""

# The turn of a row that comes now. Parameters: link, flow, link, share; and flow, share. The index is named
# because SQLite would take one of the state, and read all that waits for each that comes.
OUTGOING_TURN: Final = (
    "max(coalesce((SELECT max(turn) FROM outgoing WHERE link = ? AND flow = ? AND batch IS NULL"
    " AND held = 0), 0), coalesce((SELECT min(turn) FROM outgoing WHERE link = ? AND batch IS NULL"
    " AND held = 0), 0)) + ?"
)
ARRIVAL_TURN: Final = (
    "max(coalesce((SELECT max(turn) FROM arrival WHERE flow = ? AND state = 'landed'), 0),"
    " coalesce((SELECT min(turn) FROM arrival INDEXED BY arrival_turn WHERE state = 'landed'), 0)) + ?"
)


def has_earlier_of_case(transaction: Transaction, link: str, packet: int) -> bool:
    """An earlier packet of the same sender, case and receiver waits on ``link``, in no batch yet."""
    row = transaction.execute(
        "SELECT 1 FROM packet AS this JOIN packet AS earlier ON earlier.sender = this.sender"
        " AND earlier.state = 'active' AND earlier.id < this.id AND earlier.case_key = this.case_key"
        " AND earlier.receiver = this.receiver JOIN outgoing ON outgoing.link = ?"
        " AND outgoing.kind = 'packet' AND outgoing.reference = earlier.id AND outgoing.batch IS NULL"
        " WHERE this.id = ? AND this.case_key <> '' LIMIT 1",
        link,
        packet,
    ).fetchone()
    return row is not None
