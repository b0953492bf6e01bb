"""How a drop may end for one recipient, given what the people of the world really did to it.

A good drop ends delivered. It may end refused only where a reader of that recipient refused it, and cancelled
only where an operator cancelled it: nothing else in a simulated world is a reason. A faulty drop is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from certainty.simulation.drops import End

DELIVERED: Final = frozenset({"delivered", "collected", "signed"})


@dataclass(frozen=True, slots=True)
class Ending:
    """One drop for one recipient. ``state`` is the sender's ledger's, empty without a packet.

    ``told`` is what the status file says, empty where it tells of another drop of the same name; ``shown`` is
    how often it appeared in the recipient's inbox.
    """

    name: str
    sender: str
    recipient: str
    end: End
    state: str
    told: str
    shown: int
    reader_refused: bool = False
    operator_cancelled: bool = False


def wrong_end(each: Ending) -> tuple[str, str] | None:
    """The invariant that does not hold, and what is wrong; None for a right end."""
    if each.end is not End.DELIVERED:
        return _wrong_refusal(each)
    name, recipient, state = each.name, each.recipient, each.state
    wrong = None
    if state in DELIVERED:
        if not each.shown:
            wrong = "I7", f"{name} is {state} at {each.sender}, and {recipient} never saw it"
    elif state == "cancelled" and not each.operator_cancelled:
        wrong = "I1", f"{name} for {recipient} is cancelled at {each.sender}, and no operator cancelled it"
    elif state == "cancelled" and each.shown and not each.reader_refused:
        wrong = "I1", f"{name} was cancelled, and {recipient} saw it"
    elif state == "refused" and not each.reader_refused:
        wrong = "I1", f"{name} for {recipient} is good and ended refused: no reader refused it"
    elif state not in ("cancelled", "refused"):
        wrong = "I1", f"{name} for {recipient} ended as {state or each.told or 'nothing'}"
    return wrong


def _wrong_refusal(each: Ending) -> tuple[str, str] | None:
    if each.shown or each.state in DELIVERED:
        return "I13", f"{each.name}, which must be refused, was shown to {each.recipient}"
    if each.end is End.REFUSED_AT_HOME:
        if each.state:
            return "I13", f"{each.name}, which must be refused at home, was sealed and is {each.state}"
        if each.told not in ("", "refused"):
            return "I13", f"{each.name}, which must be refused at home, is told as {each.told}"
        return None
    if each.state == "refused" or (each.state == "cancelled" and each.operator_cancelled):
        return None
    return "I13", f"{each.name}, which must be refused, ended as {each.state or each.told or 'nothing'}"
