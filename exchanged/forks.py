"""Clones, forks and nodes that were set back: what shows them, and what a link remembers of it (C15, C23).

Guarantees: at the first contradiction the link is marked, in the transaction that finds it, and nothing of
the waybill that showed it counts; a marked link takes and offers nothing until an operator says which
incarnation is the node (``link accept``); both copies are told in the acknowledgement. Custody stays where it
is. What an honest node does after a crash never contradicts: numbers, counters and heads are committed before
they are spoken, and the same batch is the same bytes.

Two marks: ``FORKED``, the neighbour contradicts itself; ``SET_BACK``, the neighbour knows more of us than we
do, so this ledger is an older copy. Known limits: a clone that never speaks is not seen; two on a quiet link
are seen once the neighbour has read a word of both, which each says twice for that (``ack_again``); what is
behind a bridge shows by its seal numbers alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final

from exchanged.ledger import Connection, Transaction, batches, spoken
from exchanged.ledger.spoken import Spoken
from exchanged.ledger.times import moment, stamp
from exchanged.log import event_line
from packet_spec.identity import sha256_hex
from packet_spec.waybill import encode_waybill
from packet_spec.waybill_model import Acknowledgement, ExceptionKind, Waybill

FORKED: Final = "forked"
"""Name of the mark: the neighbour contradicts itself.

Its value is a ``Conflict``, empty while there is none.
"""
FORKED_SINCE: Final = "forked-since"
FORKED_IN: Final = "forked-incarnation"
SET_BACK: Final = "set-back"
"""Name of the mark: this node was set back, as the neighbour's acknowledgement shows."""
CLOSED: Final = "incarnation-closed"
"""Why a link is held whose neighbour speaks in an incarnation that an operator here has closed."""
CLOSED_SINCE: Final = "closed-speaks-since"
"""Since when its acknowledgement, which says who speaks now, is of a closed incarnation; else empty."""
ACCUSED: Final = "accused"
"""Name of the mark: the neighbour says that it saw two nodes under our name.

Its value is its ``Conflict``.
"""
_SAID: Final = "forked "
INCARNATIONS_A_DAY: Final = 8
"""More new names of one node in a day are no restores: each is kept for ever."""
_MET: Final = "incarnations-met"
# A file that was written before a restore may still lie there; a clock that was wrong may have dated it
# ahead.
_LEFT_OVER: Final = timedelta(minutes=15)


class Conflict(StrEnum):
    """How one node contradicts itself."""

    NUMBER = "batch-number-used-twice"
    HEADS = "ledger-heads-differ"
    BACK = "ledger-went-back"
    EARLIER = "earlier-incarnation-speaks"
    SEAL = "seal-number-used-twice"
    SAYS_SO = "neighbour-was-set-back"
    MANY = "too-many-incarnations"


@dataclass(frozen=True, slots=True)
class Marks:
    """What is marked on one link; empty texts where nothing is."""

    forked: str
    set_back: str

    def __bool__(self) -> bool:
        return bool(self.forked or self.set_back)


def marks(connection: Connection, link: str) -> Marks:
    """The marks of a link: any of them stops it."""
    return Marks(
        batches.recall(connection, link, FORKED) or "", batches.recall(connection, link, SET_BACK) or ""
    )


def mark(transaction: Transaction, link: str, conflict: Conflict, incarnation: str) -> None:
    """The neighbour contradicts itself: nothing more of it counts. The first contradiction is kept."""
    if batches.recall(transaction.connection, link, FORKED):
        return
    batches.remember(transaction, link, FORKED, conflict.value)
    batches.remember(transaction, link, FORKED_SINCE, transaction.stamp)
    batches.remember(transaction, link, FORKED_IN, incarnation)
    transaction.event(
        "neighbour-forked", detail={"link": link, "conflict": conflict.value, "incarnation": incarnation}
    )
    transaction.wake(f"link:{link}")
    transaction.wake("notices")
    event_line("neighbour-forked", level=40, link=link, conflict=conflict.value, incarnation=incarnation)


def conflict_of(transaction: Transaction, link: str, waybill: Waybill, *, is_bare: bool) -> Conflict | None:
    """How ``waybill`` contradicts what the neighbour said before; None where it does not."""
    connection = transaction.connection
    acknowledgement, incarnation = waybill.acknowledgement, waybill.incarnation
    current = batches.current_incarnation(connection, link)
    if incarnation != current and spoken.is_met(connection, link, incarnation):
        began = spoken.began_at(connection, link, current)
        if is_bare or (began and waybill.sent_at - _LEFT_OVER > moment(began)):
            return Conflict.EARLIER
    elif incarnation != current and _met_today(transaction, link) >= INCARNATIONS_A_DAY:
        return Conflict.MANY
    if acknowledgement is None:
        return None
    if _says_set_back(acknowledgement):
        return Conflict.SAYS_SO
    said = _spoken(waybill, acknowledgement)
    if said is not None and spoken.contradicts(connection, link, incarnation, said):
        return Conflict.HEADS
    if said is not None and spoken.goes_back(connection, link, incarnation, said):
        return Conflict.BACK
    return None


def note_closed(transaction: Transaction, link: str) -> None:
    """What speaks now was closed by an operator: nothing of it is taken until it is told otherwise."""
    if not batches.recall(transaction.connection, link, CLOSED_SINCE):
        batches.remember(transaction, link, CLOSED_SINCE, transaction.stamp)


def note_open(transaction: Transaction, link: str) -> bool:
    """The neighbour is heard. True: until now what spoke was closed."""
    was_closed = bool(batches.recall(transaction.connection, link, CLOSED_SINCE))
    if was_closed:
        batches.remember(transaction, link, CLOSED_SINCE, "")
    return was_closed


def note_met(transaction: Transaction, link: str) -> None:
    """The neighbour speaks in an incarnation that is new here."""
    today = transaction.now.date().isoformat()
    batches.remember(transaction, link, _MET, f"{today} {_met_today(transaction, link) + 1}")


def _met_today(transaction: Transaction, link: str) -> int:
    day, _space, count = (batches.recall(transaction.connection, link, _MET) or "").partition(" ")
    return int(count) if day == transaction.now.date().isoformat() else 0


def note_spoken(transaction: Transaction, link: str, waybill: Waybill) -> None:
    """Remember what it says of its ledger, for the next one."""
    said = None if waybill.acknowledgement is None else _spoken(waybill, waybill.acknowledgement)
    if said is not None:
        spoken.remember(transaction, link, waybill.incarnation, said)


def is_left_over(connection: Connection, link: str, waybill: Waybill) -> bool:
    """A batch that was written before the neighbour's current incarnation began.

    It may be of one that never came here before: of a node that was restored twice while nobody looked.
    """
    began = spoken.began_at(connection, link, batches.current_incarnation(connection, link))
    return waybill.number is not None and bool(began) and waybill.sent_at < moment(began)


def is_same_batch(
    connection: Connection, link: str, waybill: Waybill, digest: str, key_ids: Iterable[str]
) -> bool | None:
    """Of a number that was used before: the same batch (True), another one (False), or nobody can tell.

    The same are these very bytes, and these bytes but for the key that they name: one of ``key_ids``, the
    neighbour's own, had ended, and the batch was signed anew (``resigning``). None also where an operator
    decided for this incarnation after that: then the batch is answered ``bad``.
    """
    assert waybill.number is not None  # noqa: S101 - only batches have numbers to use twice
    known, is_excused = spoken.waybill_of(connection, link, waybill.incarnation, waybill.number)
    if known == digest or any(
        known == sha256_hex(encode_waybill(replace(waybill, key_id=key_id))) for key_id in key_ids
    ):
        return True
    return None if not known or is_excused else False


def note_answer(transaction: Transaction, link: str, acknowledgement: Acknowledgement) -> bool:
    """What the neighbour's acknowledgement of our own stream says of us. True: we were set back.

    A number that we have not used yet, and whose batch was found good there, can only come from a ledger that
    knew more than this one. What was found bad or of another format there bore our signature on nothing but a
    file name, which whoever carries the mailbox can write.
    """
    connection = transaction.connection
    through = _proved(acknowledgement)
    if through >= batches.next_number(connection, link):
        if not batches.recall(connection, link, SET_BACK):
            batches.remember(transaction, link, SET_BACK, transaction.stamp)
            transaction.event("node-set-back", detail={"link": link, "acknowledged": through})
            transaction.wake(f"link:{link}")
            transaction.wake("notices")
            event_line("node-set-back", level=40, link=link, acknowledged=through)
        return True
    said = next(
        (
            each.detail.removeprefix(_SAID)
            for each in acknowledgement.exceptions
            if each.kind is ExceptionKind.HELD and each.detail.startswith(_SAID)
        ),
        "",
    )
    if said != (batches.recall(connection, link, ACCUSED) or ""):
        batches.remember(transaction, link, ACCUSED, said)
        transaction.event("neighbour-holds-us" if said else "neighbour-takes-us", detail={"link": link})
        transaction.wake("notices")
    return False


def what_to_say(connection: Connection, link: str) -> str:
    """The detail of the exception ``held`` that tells the neighbour of a mark; empty without one."""
    found = marks(connection, link)
    if found.set_back:
        return f"{_SAID}{SET_BACK}"
    return f"{_SAID}{found.forked}" if found.forked else ""


def clear(transaction: Transaction, link: str) -> None:
    """An operator decided."""
    for name in (FORKED, FORKED_SINCE, FORKED_IN, _MET):
        batches.remember(transaction, link, name, "")
    transaction.wake(f"link:{link}")


def began(waybill: Waybill) -> str:
    """When this incarnation began to speak, if this is its first waybill."""
    return stamp(waybill.sent_at)


def _proved(acknowledgement: Acknowledgement) -> int:
    """The highest number up to ``through`` whose batch the neighbour verified."""
    unproved = {each.number for each in acknowledgement.exceptions if each.kind is not ExceptionKind.NEED}
    through = acknowledgement.through
    while through in unproved:
        through -= 1
    return through


def _says_set_back(acknowledgement: Acknowledgement) -> bool:
    return any(
        each.kind is ExceptionKind.HELD and each.detail == f"{_SAID}{SET_BACK}"
        for each in acknowledgement.exceptions
    )


def _spoken(waybill: Waybill, acknowledgement: Acknowledgement) -> Spoken | None:
    if not waybill.ledger_head:
        return None
    return Spoken(acknowledgement.counter, waybill.ledger_head, waybill.events)
