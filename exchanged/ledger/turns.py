"""Turns: who comes next where many wait, so that one agency's burst is not everybody's wait.

Weighted fair queueing with a clock of its own (Golestani, self-clocked fair queueing, INFOCOM 1994): a row's
*turn* is the larger of the last turn that waits in its own flow and the least turn of all that wait, and a
share more. So a flow that was silent comes next, whatever others have piled up; within a flow the order of
coming is kept; and since turns never change, nobody is overtaken for ever: what is urgent counts an eighth,
and after eight of them an ordinary one has its turn.

A flow is an agency where its packets go out, and where they come in whatever stands behind a link that is one
agency's own. What is urgent is a flow of its own at the way out.

On the way out no packet, urgent or not, has an earlier turn than what waits there of the same sender,
receiver and case (its *stream*, C15); rows of one turn go in the order of coming. While an ordinary packet of
its stream waits, an urgent one therefore takes its turn among the ordinary ones.
"""

from __future__ import annotations

from typing import Final

from exchanged.ledger.transaction import Transaction

FULL_SHARE: Final = 1.0
SMALL_SHARE: Final = 0.125
"""Of what is urgent, and of statements, which are small."""

# The turn of a row that comes now. Parameters: link, flow, link, share, and the last turn of its stream; and
# flow, share. The index is named because SQLite would take one of the state, and read all that waits for each
# that comes.
OUTGOING_TURN: Final = (
    "max(max(coalesce((SELECT max(turn) FROM outgoing WHERE link = ? AND flow = ? AND batch IS NULL"
    " AND held = 0), 0), coalesce((SELECT min(turn) FROM outgoing WHERE link = ? AND batch IS NULL"
    " AND held = 0), 0)) + ?, ?)"
)
ARRIVAL_TURN: Final = (
    "max(coalesce((SELECT max(turn) FROM arrival WHERE flow = ? AND state = 'landed'), 0),"
    " coalesce((SELECT min(turn) FROM arrival INDEXED BY arrival_turn WHERE state = 'landed'), 0)) + ?"
)


def stream_of(transaction: Transaction, packet: int) -> str:
    """Sender, receiver and case of a packet; empty without a case, of which no order is promised."""
    row = transaction.execute(
        "SELECT sender || ' ' || receiver || ' ' || case_key AS stream FROM packet"
        " WHERE id = ? AND case_key <> ''",
        packet,
    ).fetchone()
    return "" if row is None else str(row["stream"])


def last_of(transaction: Transaction, link: str, stream: str) -> tuple[str | None, float]:
    """Flow and turn of the last packet of ``stream`` that waits on ``link``, also on hold. None: no flow."""
    row = transaction.execute(
        # Word for word as the index wants it.
        "SELECT flow, turn FROM outgoing INDEXED BY outgoing_stream WHERE link = ? AND stream = ?"
        " AND batch IS NULL AND stream <> '' ORDER BY turn DESC LIMIT 1",
        link,
        stream,
    ).fetchone()
    return (None, 0.0) if row is None else (str(row["flow"]), float(row["turn"]))
