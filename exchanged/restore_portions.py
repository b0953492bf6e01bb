"""What the next page of an answer to a restored node holds, read on from a place in the ledger (C23).

Guarantees: from the first place to the last everything comes that went over the link since the restored node
may have forgotten, each packet together with the receipts about it. What changes meanwhile may be told twice:
nothing is left out for a reason that can still change. One portion looks at so many rows and no more, however
few of them it tells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from exchanged.ledger import Connection, answering, batches, keeping, notes, packets, statements
from exchanged.ledger.answering import Asked, Entry, Place, Stage
from exchanged.ledger.rows import PacketRow
from exchanged.link_context import LinkContext
from exchanged.routing import RouteKind, has_to_do_with, next_hop, way_to
from exchanged.states import DestinationState
from packet_spec.errors import ExchangeError
from packet_spec.identity import PacketKey
from packet_spec.model import ItemKind, NodeRole, ReceiptKind
from packet_spec.note import decode_note
from packet_spec.note_rules import RESTORE
from packet_spec.restoring import KnownPacket, Page, decode_restoring
from packet_spec.signing import split_signed

_PACKETS: Final = 256
_STATEMENTS: Final = 1024
_LOOKS: Final = 1024
# A note must be read to know what it says.
_LOOKS_OF_A_NOTE: Final = 32
# A question may have waited for a node that was away, and clocks differ.
_MARGIN: Final = timedelta(days=7)
_NOT_TO_GO: Final = frozenset(
    {DestinationState.ON_HOLD, DestinationState.CANCELLED, DestinationState.EXPIRED}
)
_AFTER: Final = dict(zip(Stage, [*Stage][1:], strict=False))


@dataclass(slots=True)
class Portion:
    """``statements`` to give back, ``receipts`` the digests that are promised; ``place`` is behind it all."""

    place: Place
    packets: list[KnownPacket] = field(default_factory=list)
    statements: dict[tuple[ItemKind, int], None] = field(default_factory=dict)
    receipts: list[str] = field(default_factory=list)
    looks: int = _LOOKS

    @property
    def is_last(self) -> bool:
        """Nothing is left to tell."""
        return self.place.stage is Stage.OVER

    def takes_more(self) -> bool:
        """There is more to tell, and room for it."""
        has_room = len(self.packets) < _PACKETS and len(self.statements) < _STATEMENTS
        return has_room and self.looks > 0 and not self.is_last


class Portions:
    """Reads them for one link."""

    def __init__(self, link: LinkContext) -> None:
        self._link = link
        self._told: dict[Stage, Callable[[Connection, Asked, Entry, Portion], None]] = {
            Stage.UNDER_WAY: self._tell_under_way,
            Stage.GIVEN: self._tell_given,
            Stage.TAKEN: self._tell_taken,
            Stage.RECEIPTS: self._tell_recent,
        }

    def read(self, connection: Connection, asked: Asked, place: Place) -> Portion:
        """The portion that begins at ``place``."""
        portion = Portion(place)
        while portion.takes_more():
            stage, limit = portion.place.stage, portion.looks
            entries = self._list(connection, asked, portion.place, limit)
            for entry in entries:
                portion.looks -= 1
                self._told[stage](connection, asked, entry, portion)
                portion.place = entry.place
                if not portion.takes_more():
                    break
            else:
                if len(entries) < limit:
                    portion.place = self._first_place(_AFTER[stage], asked)
        return portion

    def _first_place(self, stage: Stage, asked: Asked) -> Place:
        since = self._within_window(asked.since) if stage is Stage.RECEIPTS else asked.since
        return answering.first_place(stage, since)

    def _list(self, connection: Connection, asked: Asked, place: Place, limit: int) -> tuple[Entry, ...]:
        match place.stage:
            case Stage.UNDER_WAY:
                return answering.under_way(connection, asked.link, place, limit)
            case Stage.GIVEN:
                return answering.given(connection, asked, place, limit)
            case Stage.TAKEN:
                return answering.taken(connection, asked, place, limit)
            case _:
                return answering.recent(connection, place, limit)

    def _tell_under_way(self, connection: Connection, asked: Asked, entry: Entry, portion: Portion) -> None:
        if not answering.was_given(connection, asked, ItemKind.PACKET, entry.number):
            self._tell(connection, asked, entry.number, portion, given=True)

    def _tell_given(self, connection: Connection, asked: Asked, entry: Entry, portion: Portion) -> None:
        if answering.was_given(connection, asked, entry.kind, entry.number, entry.place.number):
            return
        if entry.kind is ItemKind.PACKET:
            self._tell(connection, asked, entry.number, portion, given=True)
        elif not statements.is_kept(connection, entry.kind.value, entry.number):
            return
        elif entry.kind is ItemKind.RECEIPT:
            key = statements.key_of(connection, entry.kind.value, entry.number)
            if not self._comes_with_its_packet(connection, asked, key):
                self._give(connection, asked, entry.number, key, portion)
        elif entry.kind is ItemKind.HOP or not _is_page(connection, entry.number, portion):
            portion.statements[entry.kind, entry.number] = None

    def _tell_taken(self, connection: Connection, asked: Asked, entry: Entry, portion: Portion) -> None:
        if not answering.was_given(connection, asked, ItemKind.PACKET, entry.number):
            given = answering.is_under_way(connection, asked.link, entry.number)
            self._tell(connection, asked, entry.number, portion, given=given)

    def _tell_recent(self, connection: Connection, asked: Asked, entry: Entry, portion: Portion) -> None:
        """Most of those are no matter of this link."""
        if (
            entry.issuer in issuers_at(self._link, asked.node)
            or answering.passed_by(connection, asked.link, entry.key)
            or self._is_behind(entry.key.sender)
            or self._is_own(entry.key.sender)
        ) and not self._comes_with_its_packet(connection, asked, entry.key):
            self._give(connection, asked, entry.number, entry.key, portion)

    def _tell(
        self, connection: Connection, asked: Asked, number: int, portion: Portion, *, given: bool
    ) -> None:
        """A packet, with every receipt about it."""
        packet = packets.look(connection, number)
        if packet is None or not self._is_about(asked.node, packet):
            return
        if given and was_kept_here(connection, asked.link, number):
            return
        mine = agencies_at(self._link, asked.node) if self._only_receives(asked.node, packet.key) else None
        portion.packets.append(_known_packet(connection, asked, packet, mine, given=given))
        for row in statements.summaries_of(connection, packet.key):
            self._give(connection, asked, row.id, packet.key, portion)

    def _give(
        self, connection: Connection, asked: Asked, number: int, key: PacketKey, portion: Portion
    ) -> None:
        """A receipt, promised where it is sure to come."""
        if (ItemKind.RECEIPT, number) in portion.statements or not self._may_hear(
            connection, asked.node, number, key
        ):
            return
        portion.statements[ItemKind.RECEIPT, number] = None
        if self._comes_to(asked.node, key.sender):
            portion.receipts.append(statements.digest_of(connection, number))

    def _comes_with_its_packet(self, connection: Connection, asked: Asked, key: PacketKey) -> bool:
        """The packet is told for certain, and all its receipts with it: of what cannot change any more."""
        packet = packets.find(connection, key)
        if packet is None or not self._is_about(asked.node, packet):
            return False
        if answering.was_given(connection, asked, ItemKind.PACKET, packet.id):
            return True
        return (
            packet.came_by == asked.link
            and packet.landed_at >= asked.since
            and all(row.link != asked.link for row in packets.destinations(connection, packet.id))
        )

    def _within_window(self, since: datetime) -> datetime:
        """``since``, but not before the restore window: whoever asks does not say what is read of others.

        By a time that has certainly come; where there is none, as asked.
        """
        days, proven = self._link.limits.restore_days, self._link.clock_guard.proven()
        if not days or proven is None:
            return since
        return max(since, proven - timedelta(days=days) - _MARGIN)

    def _is_about(self, node: str, packet: PacketRow) -> bool:
        """Whoever sits behind the same bridge as others hears nothing of theirs."""
        link, recipients = self._link, (packet.receiver, *packet.copies)
        return node == link.peer or has_to_do_with(
            link.trust.directory, link.node, node, packet.key.sender, recipients
        )

    def _only_receives(self, node: str, key: PacketKey) -> bool:
        """An agency's own node that neither sent the packet, nor admitted it, nor passes it on."""
        directory = self._link.trust.directory
        listed, sender = directory.node(node), directory.agency(key.sender)
        return (
            listed is not None
            and listed.role is NodeRole.FRONTEND
            and (sender is None or node not in {sender.node, sender.admitting_node})
        )

    def _may_hear(self, connection: Connection, node: str, number: int, key: PacketKey) -> bool:
        """Whoever only receives hears what it would have heard: its own word, and that it was accepted.

        What became of it at its other recipients is the sender's to know, and packets that are not for it are
        no matter of its own.
        """
        if not self._only_receives(node, key):
            return True
        said = statements.summary(connection, number)
        if said.issued_by in issuers_at(self._link, node):
            return True
        packet = packets.find(connection, key)
        recipients = () if packet is None else (packet.receiver, *packet.copies)
        is_for_it = not set(agencies_at(self._link, node)).isdisjoint(recipients)
        return is_for_it and said.kind == ReceiptKind.ACCEPTED.value

    def _comes_to(self, node: str, sender: str) -> bool:
        """A receipt about a packet of ``sender`` reaches ``node``: only then it may be promised.

        Bridges send it to the admitting node, and from there to the sender.
        """
        link = self._link
        listed = link.trust.directory.agency(sender)
        if node == link.peer or listed is None:
            return node == link.peer
        end = listed.node if listed.admitting_node == link.node else listed.admitting_node
        return node in way_to(link.trust.directory, link.node, end)

    def _is_own(self, agency: str) -> bool:
        listed = self._link.trust.directory.agency(agency)
        return listed is not None and listed.node == self._link.node

    def _is_behind(self, agency: str) -> bool:
        """The way to that agency begins with this link."""
        route = next_hop(self._link.trust.directory, self._link.node, agency, came_from="")
        return route.kind is RouteKind.NEIGHBOUR and route.neighbour == self._link.peer


def agencies_at(link: LinkContext, node: str) -> tuple[str, ...]:
    """The agencies that ``node`` serves."""
    return tuple(agency.code for agency in link.trust.directory.agencies if agency.node == node)


def issuers_at(link: LinkContext, node: str) -> tuple[str, ...]:
    """Under which names ``node`` issues receipts."""
    return (node, *agencies_at(link, node))


def was_kept_here(connection: Connection, link: str, packet: int) -> bool:
    """Taken back, expired or on hold before it was ever offered: nobody who says that he forgot it had it."""
    states = {row.state for row in packets.destinations(connection, packet) if row.link == link}
    return (
        bool(states) and states <= _NOT_TO_GO and not batches.was_offered(connection, ItemKind.PACKET, packet)
    )


def has_bytes(connection: Connection, packet: PacketRow) -> bool:
    """This node can hand it over, again too."""
    return packet.bytes_at is not None or (
        packet.own and keeping.kept_bytes(connection, packet.id, packet.attempt) is not None
    )


def _is_page(connection: Connection, number: int, portion: Portion) -> bool:
    """An earlier answer, of no use to anybody: questions and wishes are given back, and other notes."""
    if notes.kind_of(connection, number) != RESTORE:
        return False
    portion.looks -= _LOOKS_OF_A_NOTE
    try:
        document, _ = split_signed(statements.get_document(connection, ItemKind.NOTE.value, number))
        return isinstance(decode_restoring(decode_note(document).payload), Page)
    except ExchangeError:
        # A bridge may pass on what it cannot read.
        return False


def _known_packet(
    connection: Connection, asked: Asked, packet: PacketRow, only: tuple[str, ...] | None, *, given: bool
) -> KnownPacket:
    """``only``: the state at these agencies alone."""
    return KnownPacket(
        key=packet.key,
        attempt=packet.attempt,
        business_type=packet.business_type,
        sender_ref=packet.sender_ref,
        receiver=packet.receiver,
        copy_to=packet.copies,
        priority=packet.priority,
        expires_at=packet.expires_at,
        sealed_at=packet.sealed_at,
        incarnation=packet.incarnation,
        sequence=packet.sequence,
        content_digest=packet.content_digest,
        seal_digest=packet.seal_digest,
        in_reply_to=packet.in_reply_to,
        supersedes=packet.supersedes,
        case_key=packet.case_key,
        given=given,
        offered=answering.was_offered(connection, asked, packet.id),
        has_bytes=has_bytes(connection, packet),
        destinations=tuple(
            (row.recipient, row.state.value)
            for row in packets.destinations(connection, packet.id)
            if only is None or row.recipient in only
        ),
    )
