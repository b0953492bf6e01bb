"""The deeds: each changes the ledger along the state table, inside the transaction that it is given.

``rules`` said yes in the same transaction. What a deed intends outside the ledger are effects and wakes,
as everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from exchanged import forks
from exchanged.acts.subjects import Leg, LinkName, MachineClock, Subject, Whole
from exchanged.acts.values import Act, Request
from exchanged.clock import Clock
from exchanged.errors import IllegalTransitionError
from exchanged.ledger import (
    Transaction,
    arrivals,
    batches,
    clock_memory,
    drops,
    effects,
    packets,
    restoring,
    rotten,
    spoken,
    statements,
)
from exchanged.ledger.arrivals import HELD_BY_OPERATOR
from exchanged.ledger.drops import DropRow
from exchanged.ledger.rows import ArrivalRow, PacketRow
from exchanged.receipts import URGENT, Statements
from exchanged.states import DestinationState, Event
from packet_spec.model import ItemKind, ReceiptKind

_D = DestinationState


@dataclass(frozen=True, slots=True)
class Deeds:
    """What deeds work with. ``machine`` is the clock of the machine, which the node may not go by."""

    statements: Statements
    machine: Clock

    def do(self, tx: Transaction, request: Request, subject: Subject) -> None:
        """Do what ``rules.consider`` allowed; signing and discarding are done elsewhere."""
        match request.act, subject.thing:
            case Act.CANCEL, Whole(packet=PacketRow() as packet):
                cancel(tx, packet)
            case Act.HOLD, Leg() as leg:
                hold(tx, leg)
            case Act.RELEASE, Leg() as leg:
                _release(tx, leg)
            case Act.HOLD, ArrivalRow() as row:
                arrivals.keep(tx, row, Event.HOLD, HELD_BY_OPERATOR)
            case Act.RELEASE, ArrivalRow() as row:
                arrivals.release_by_operator(tx, row)
            case Act.REQUEUE, ArrivalRow() as row:
                arrivals.requeue(tx, row)
            case Act.RELEASE, DropRow() as drop:
                drops.release(tx, drop.id)
                effects.intend(tx, "status", f"drop:{drop.id}")
            case (Act.PAUSE | Act.RESUME), LinkName() as link:
                _pause(tx, link.name, request.reason if request.act is Act.PAUSE else "")
            case Act.ACCEPT, LinkName() as link:
                _accept(tx, link.name, request.incarnation)
            case Act.SKIP, LinkName() as link:
                _skip(tx, link)
            case Act.CLOCK, MachineClock(links=links):
                _confirm_clock(tx, self.machine.now(), links)
            case Act.RESEND, Whole() as whole:
                self._resend(tx, whole)
            case _:
                raise IllegalTransitionError(f"{request.act} is not for {subject.kind}")

    def _resend(self, tx: Transaction, whole: Whole) -> None:
        """Own receipts to the sender again, and ``accepted`` to the recipients too, who wait for it."""
        links = dict.fromkeys(row.link for row in whole.destinations if row.link)
        for row in statements.summaries_of(tx.connection, whole.key):
            if not row.own:
                continue
            self.statements.send_to_agency(tx, ItemKind.RECEIPT, row.id, whole.key.sender, came_by="")
            if row.kind == ReceiptKind.ACCEPTED.value:
                for link in links:
                    batches.enqueue(tx, link, ItemKind.RECEIPT, row.id, URGENT, of=whole.key.sender)


def cancel(tx: Transaction, packet: PacketRow) -> None:
    """C18: off every queue, final everywhere; the bytes are let go as for any final packet."""
    for destination in packets.destinations(tx.connection, packet.id):
        batches.withdraw(tx, destination.link, ItemKind.PACKET, packet.id)
        if destination.state in (_D.QUEUED, _D.ON_HOLD):
            packets.move(tx, packet, destination, Event.CANCEL)
    _tell(tx, packet)


def hold(tx: Transaction, leg: Leg) -> None:
    """What waits there, or has arrived here, waits until somebody lets it go on."""
    if leg.link:
        batches.set_held(tx, leg.link, ItemKind.PACKET, leg.packet.id, held=True)
    for destination in leg.destinations:
        if destination.state in (_D.QUEUED, _D.ARRIVED):
            packets.move(tx, leg.packet, destination, Event.HOLD)
    _tell(tx, leg.packet)


def _release(tx: Transaction, leg: Leg) -> None:
    if leg.link:
        batches.set_held(tx, leg.link, ItemKind.PACKET, leg.packet.id, held=False)
        rotten.packet_is_looked_at_again(tx, leg.packet.id)
    event = Event.RELEASE if leg.link else Event.RELEASE_TO_INBOX
    for destination in leg.destinations:
        if destination.state is _D.ON_HOLD:
            packets.move(tx, leg.packet, destination, event)
    tx.wake(f"link:{leg.link}" if leg.link else "delivery")
    _tell(tx, leg.packet)


def _pause(tx: Transaction, link: str, reason: str) -> None:
    batches.remember(tx, link, batches.PAUSED, reason)
    tx.event("link-paused" if reason else "link-resumed", detail={"link": link})
    tx.wake(f"link:{link}")


def _accept(tx: Transaction, link: str, incarnation: str) -> None:
    """Whoever speaks in that incarnation is the neighbour; nobody else who spoke so far (C15)."""
    spoken.accept(tx, link, incarnation)
    forks.clear(tx, link)
    tx.event("neighbour-accepted", detail={"link": link, "incarnation": incarnation})


def _skip(tx: Transaction, link: LinkName) -> None:
    """A restored node does without what these know (C23): what they alone knew is lost to it."""
    for node in link.waits or ():
        restoring.set_peer(tx, node, link.name, restoring.PeerState.SKIPPED)
        for key, giver in restoring.wanted(tx.connection):
            if giver == node:
                restoring.no_longer_wanted(tx, key)
        tx.event("restore-goes-on", detail={"node": node, "link": link.name})


def _confirm_clock(tx: Transaction, shows: datetime, links: Iterable[str]) -> None:
    """The next look at a link hears it, and from then on what waited for the time is dated."""
    clock_memory.give_word(tx, shows)
    for link in links:
        tx.wake(f"link:{link}")


def _tell(tx: Transaction, packet: PacketRow) -> None:
    """The sender's own software reads it in the status file; a passing packet has none here."""
    if packet.own:
        effects.intend(tx, "status", f"packet:{packet.id}")
        tx.wake("intake")
