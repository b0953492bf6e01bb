"""What a restored node takes back out of the pages that others answer with (C23).

Guarantees: nothing of it is sent on and nothing is judged by it alone: a packet that this node had is
remembered by name, digests and receipts, so that it is recognised; what it lacks and must still handle is
asked for and judged like any other, except that earlier ``accepted`` receipts are adopted. Whose word it is
decides what counts: only the node that the road to the packet begins with may speak of it.

Known limits: what is remembered of a packet is its neighbour's word, not a seal, though what was accepted is
known by this node's own receipt; of its case only the first number is known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from exchanged import missed_numbers
from exchanged.decisions import Suspicious
from exchanged.ledger import Transaction, answering, effects, packets, restoring, statements
from exchanged.ledger.answering import Asked
from exchanged.ledger.restoring import PeerState
from exchanged.ledger.rows import ArrivalRow, PacketRow
from exchanged.readmission import note_case, was_accepted
from exchanged.recalling import settle_by_receipts
from exchanged.receipts import Links, Statements
from exchanged.restore_answers import give_again
from exchanged.routing import has_to_do_with, next_hop, route_to_node, way_to
from exchanged.states import (
    FINAL_DESTINATIONS,
    RETRYABLE_DESTINATIONS,
    DestinationState,
    Event,
    PacketState,
)
from exchanged.trust import Trust
from packet_spec.directory import ancestors
from packet_spec.model import ReceiptKind
from packet_spec.note import Note
from packet_spec.note_rules import RESTORE
from packet_spec.restoring import (
    WANTED,
    Ask,
    KnownPacket,
    Page,
    Want,
    decode_restoring,
    encode_restoring,
)

_D = DestinationState
_UNDER_WAY: frozenset[str] = frozenset({_D.QUEUED, _D.ON_HOLD, _D.OFFERED, _D.HANDED_OVER})
# A node in between says passed-on of all that it handed over, delivered or not.
_ENDED: frozenset[str] = FINAL_DESTINATIONS - {_D.PASSED_ON}
_NOT_TAKEN: frozenset[str] = frozenset({ReceiptKind.REFUSED, ReceiptKind.UNDELIVERABLE})


@dataclass(frozen=True, slots=True)
class RestoreNotes:
    """The handler of notes of kind ``restore``. ``agency`` is the one whose inbox lies here, or empty."""

    node: str
    agency: str
    incarnation: str
    trust: Trust
    links: Links
    statements: Statements

    def take(self, transaction: Transaction, note: Note, row: ArrivalRow) -> bool:
        """Note a question, take a page of an answer, or queue what is wanted. False: nothing came of it.

        Raises Suspicious for one who is not asked, and FormatError leaves.
        """
        said = decode_restoring(note.payload)
        match said:
            case Ask():
                asked = Asked(note.from_node, row.link, said.incarnation, said.since)
                is_new = answering.note_ask(transaction, asked)
                if is_new:
                    transaction.event("restore-asked", detail={"node": asked.node, "link": asked.link})
                return is_new
            case Want():
                return give_again(transaction, note.from_node, row.link, said) > 0
            case Page():
                return self._page(transaction, note.from_node, row.link, said)

    def _page(self, transaction: Transaction, node: str, link: str, page: Page) -> bool:
        peer = next((each for each in restoring.peers(transaction.connection) if each.node == node), None)
        if peer is None and self.links.peer_of(link) == node:
            # A new ledger asks for that alone.
            return missed_numbers.take(transaction, link, self.incarnation, page)
        if page.incarnation != self.incarnation or peer is None:
            # An answer to a question of an earlier restore.
            return False
        if peer.link != link:
            raise Suspicious("note-by-a-wrong-road")
        is_over = not restoring.is_going_on(transaction.connection)
        if is_over and peer.state is PeerState.DONE:
            # Everything that it had to say was said: a node that works takes nobody's word for packets.
            return False
        if page.stream is not None and self.links.peer_of(link) == node:
            # Nobody behind a bridge knows the bridge's batches.
            restoring.dispose_of_lost(transaction, link, page.stream)
        issued = page.numbers.issued_at
        if issued is not None and issued > transaction.now:
            # Receipts of a later time come back themselves, with our own signature.
            issued = None
        restoring.skip_numbers(transaction, replace(page.numbers, issued_at=issued))
        if not is_over:
            restoring.promise(transaction, node, page.receipts)
        wanted = [
            packet.key
            for packet in page.packets
            if self._may_say(node, link, packet)
            and not (is_over and self._stands(transaction, packet))
            and self._meet(transaction, link, packet, is_sure=page.sure)
        ]
        for start in range(0, len(wanted), WANTED):
            keys = tuple(wanted[start : start + WANTED])
            said = encode_restoring(Want(page.incarnation, keys))
            self.statements.send_note(transaction, RESTORE, node, said)
        for key in () if is_over else wanted:
            restoring.want(transaction, key, node)
        if page.last and peer.state not in restoring.OVER:
            is_above = node in ancestors(self.trust.directory, self.node)
            state = PeerState.LISTED if page.final or not is_above else PeerState.PARTLY
            restoring.set_peer(transaction, node, link, state)
        return True

    def _stands(self, transaction: Transaction, found: KnownPacket) -> bool:
        """A node that works lets nobody change what it knows; what only passes through may come again."""
        known = packets.find(transaction.connection, found.key)
        return known is not None and not (known.transit and known.attempt == found.attempt)

    def _meet(self, transaction: Transaction, link: str, found: KnownPacket, *, is_sure: bool) -> bool:
        """One packet of an answer. True: its bytes shall come again."""
        sender = self.trust.directory.agency(found.key.sender)
        if sender is None:
            return False
        known = packets.find(transaction.connection, found.key)
        admits = sender.admitting_node == self.node and self.agency not in self._recipients(found)
        if admits and known is not None and _outweighs(transaction, found, known):
            known = None
        if known is not None and known.attempt > found.attempt:
            return False
        is_new = known is None or known.attempt < found.attempt
        if sender.node == self.node:
            if is_new and not found.given:
                self._remember_own(transaction, found)
            return False
        if admits:
            return self._meet_admitted(transaction, link, known, found, is_new=is_new)
        if self.agency and self.agency in self._recipients(found):
            return found.given and is_new and self._meet_delivered(transaction, link, found, is_sure=is_sure)
        # In between: what is under way goes on, what has passed has passed. One row stands for both passages,
        # up and down, so that only what is still held for this very one is certainly not lost (C14).
        is_held = known is not None and known.state is PacketState.ACTIVE and known.came_by == link
        is_under_way = any(
            state in _UNDER_WAY or state == _D.ACCEPTED.value for _, state in found.destinations
        )
        if found.given and found.has_bytes and is_under_way:
            return is_new or not is_held
        if found.given and (known is None or (is_new and _has_passed(known))):
            self._remember_passed(transaction, link, found)
        return False

    def _may_say(self, node: str, link: str, found: KnownPacket) -> bool:
        """Packets come and go by the roads of the directory: nobody speaks of those of others.

        Neither of those that go over the same link behind a bridge. Of its own packets this node hears from
        those alone by whom they go to be admitted: what they say stays for good.
        """
        sender = self.trust.directory.agency(found.key.sender)
        recipients = self._recipients(found)
        if sender is None or not has_to_do_with(
            self.trust.directory, self.node, node, found.key.sender, () if found.given else recipients
        ):
            return False
        if sender.node == self.node and not found.given and sender.admitting_node != self.node:
            return node in way_to(self.trust.directory, self.node, sender.admitting_node)
        admitting = route_to_node(self.trust.directory, self.node, sender.admitting_node, came_from="")
        towards_admitting = self.links.name_of(admitting.neighbour)
        if found.given:
            # Where it turned it comes down to a node in between by another link than it went up (C16).
            return link == self._road(found.key.sender) or (
                sender.node != self.node and link == towards_admitting
            )
        return link in {*(self._road(recipient) for recipient in recipients), towards_admitting}

    def _recipients(self, found: KnownPacket) -> tuple[str, ...]:
        return (found.receiver, *found.copy_to)

    # --- at a node in between ---------------------------------------------------------------------

    def _remember_passed(self, transaction: Transaction, link: str, found: KnownPacket) -> None:
        """A recipient that is admitted here may answer it (C17); whoever stands towards its sender says so.

        When it comes again it is passed on again (C14).
        """
        directory = self.trust.directory
        behind = {
            agency.code: self._road(agency.code)
            for agency in map(directory.agency, self._recipients(found))
            if agency is not None and agency.admitting_node == self.node
        }
        if not behind:
            return
        number = restoring.remember_packet(
            transaction, found, came_by=link, state=PacketState.DONE, transit=True
        )
        for recipient, road in behind.items():
            packets.add_destination(transaction, number, recipient, _D.PASSED_ON, road)

    # --- at the node that sealed it -------------------------------------------------------------

    def _remember_own(self, transaction: Transaction, found: KnownPacket) -> None:
        """It left before it was forgotten: recognised when it is dropped again, and its status goes on."""
        number = restoring.remember_packet(transaction, found, came_by="", state=PacketState.ACTIVE)
        for recipient in self._recipients(found):
            packets.add_destination(transaction, number, recipient, _D.HANDED_OVER, self._road(recipient))
        settle_by_receipts(transaction, packets.get(transaction.connection, number))
        for receipt in statements.summaries_of(transaction.connection, found.key):
            effects.intend(transaction, "receipt-file", str(receipt.id))
        effects.intend(transaction, "status", f"packet:{number}")

    def _road(self, recipient: str) -> str:
        route = next_hop(self.trust.directory, self.node, recipient, came_from="")
        return self.links.name_of(route.neighbour)

    # --- at the node that admits its sender -----------------------------------------------------

    def _meet_admitted(
        self,
        transaction: Transaction,
        link: str,
        known: PacketRow | None,
        found: KnownPacket,
        *,
        is_new: bool,
    ) -> bool:
        if not found.given:
            self._remember_admitted(transaction, link, known, found, is_new=is_new)
            return False
        if not found.has_bytes:
            if is_new:
                self._remember_admitted(transaction, "", known, found, is_new=True)
            return False
        if is_new:
            return not self._was_refused(transaction, found)
        assert known is not None  # noqa: S101 - is_new says so
        return known.state is PacketState.ACTIVE and known.bytes_at is None

    def _was_refused(self, transaction: Transaction, found: KnownPacket) -> bool:
        """This node refused that attempt as a whole, and its receipt came back: nothing is left to do."""
        return any(
            receipt.own and receipt.kind == ReceiptKind.REFUSED.value and receipt.attempt == found.attempt
            and not receipt.recipient and receipt.content_digest == found.content_digest
            for receipt in statements.summaries_of(transaction.connection, found.key)
        )  # fmt: skip

    def _remember_admitted(
        self,
        transaction: Transaction,
        link: str,
        known: PacketRow | None,
        found: KnownPacket,
        *,
        is_new: bool,
    ) -> None:
        """Others say that it was handed in, or that they have it from here, over ``link``."""
        if is_new:
            if not self._may_remember(transaction, known, found):
                return
            sender_road = self._road(found.key.sender)
            number = restoring.remember_packet(
                transaction, found, came_by=sender_road or link or "-", state=PacketState.ACTIVE
            )
            for recipient in self._recipients(found):
                packets.add_destination(transaction, number, recipient, _D.QUEUED, self._road(recipient))
            known = packets.get(transaction.connection, number)
            note_case(transaction, known)
        assert known is not None  # noqa: S101 - it is known by now
        for destination in packets.destinations(transaction.connection, known.id):
            # With bytes here it is offered again in any case, and recognised there.
            if destination.link == link and destination.state is _D.QUEUED and known.bytes_at is None:
                packets.move(transaction, known, destination, Event.OFFER)
                (moved,) = (
                    row
                    for row in packets.destinations(transaction.connection, known.id)
                    if row.recipient == destination.recipient
                )
                packets.move(transaction, known, moved, Event.ACKNOWLEDGE)
        settle_by_receipts(transaction, packets.get(transaction.connection, known.id))

    def _may_remember(self, transaction: Transaction, known: PacketRow | None, found: KnownPacket) -> bool:
        """This node accepted that attempt, by its own receipt; or that may still come behind this.

        What stands on others' word alone takes the place of nothing, and is forgotten when the restore ends.
        """
        if was_accepted(transaction, found.key, found.attempt, found.content_digest):
            return known is None or known.bytes_at is None
        return known is None and restoring.is_going_on(transaction.connection)

    # --- at a node that delivers it -------------------------------------------------------------

    def _meet_delivered(
        self, transaction: Transaction, link: str, found: KnownPacket, *, is_sure: bool
    ) -> bool:
        """Delivered before, by our own receipts; else it comes again, and nobody may know whether it was.

        Nothing is remembered of what a node in between says alone: it may lie here unjudged, or be lost.
        """
        state = dict(found.destinations).get(self.agency, "")
        own = [
            receipt
            for receipt in statements.summaries_of(transaction.connection, found.key)
            if receipt.own
            and (receipt.attempt, receipt.content_digest) == (found.attempt, found.content_digest)
            and receipt.recipient == self.agency
        ]
        if not own and state not in _ENDED:
            if found.has_bytes and is_sure and not found.offered:
                restoring.note_fresh(transaction, found.key)
            return found.has_bytes
        was_taken = [receipt for receipt in own if receipt.kind not in _NOT_TAKEN]
        if was_taken:
            ended = PacketState.ACTIVE
        else:
            # After these a higher attempt is taken.
            ended = PacketState.REFUSED if own or state in RETRYABLE_DESTINATIONS else PacketState.DONE
        number = restoring.remember_packet(transaction, found, came_by=link, state=ended)
        if was_taken:
            packets.add_destination(transaction, number, self.agency, _D.ARRIVED)
            settle_by_receipts(transaction, packets.get(transaction.connection, number))
        return False


def _has_passed(known: PacketRow) -> bool:
    return known.transit and known.state is PacketState.DONE


def _outweighs(transaction: Transaction, found: KnownPacket, known: PacketRow) -> bool:
    """What its recipients told of it counts for nothing against whoever stands towards its sender.

    Nor against our own receipt; whichever attempt they named.
    """
    return restoring.is_hearsay(transaction.connection, known) and (
        found.given or was_accepted(transaction, found.key, found.attempt, found.content_digest)
    )
