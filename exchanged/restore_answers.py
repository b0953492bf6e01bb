"""What a node tells and gives back to a neighbour that was restored from an older ledger (C23).

Guarantees: the answer holds whatever went over the link since the restored node may have forgotten, in either
direction: packets by name and digests, every receipt about them as an item of its own, the numbers that it
must not use again. It is made after everything that lies in the mailbox has landed and was judged, so that
what the lost ledger had put there is known; where this node waits for answers itself, it tells what it knows,
and the rest later. Packets go out again only when they are asked for, and only over the link on which they
belong.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from exchanged.ledger import Connection, Transaction, batches, keeping, packets, restoring, statements
from exchanged.ledger.restoring import Asked
from exchanged.ledger.rows import PacketRow
from exchanged.link_context import LinkContext
from exchanged.log import event_line
from exchanged.receipts import ORDINARY, URGENT
from exchanged.routing import RouteKind, has_to_do_with, next_hop, way_to
from exchanged.states import DestinationState
from packet_spec.model import ItemKind, Priority
from packet_spec.note_rules import RESTORE
from packet_spec.restoring import KnownPacket, Page, Want, encode_restoring, pages_of

_NOT_TO_GO: Final = frozenset(
    {DestinationState.ON_HOLD, DestinationState.CANCELLED, DestinationState.EXPIRED}
)


# A question may have waited for a node that was away, and clocks differ.
_MARGIN: Final = timedelta(days=7)


class RestoreAnswers:
    """Answers on one link. Used by the link's station."""

    def __init__(self, link: LinkContext) -> None:
        self._link = link

    def step(self) -> None:
        """Answer what is due. Called when nothing more waits in the mailbox."""
        connection = self._link.ledger.read()
        due = restoring.asks_due(connection, self._link.name)
        if not due:
            return
        waits = restoring.is_going_on(connection)
        if waits and not restoring.peers(connection):
            # What its own folders hold is not taken back yet.
            return
        if not waits and restoring.has_landed(connection, self._link.name):
            # The judge is at it, and this link looks again after its next scan.
            return
        for asked in due:
            self._answer(connection, asked, is_final=not waits)

    def _answer(self, connection: Connection, asked: Asked, *, is_final: bool) -> None:
        link, directory = self._link, self._link.trust.directory
        agencies = tuple(agency.code for agency in directory.agencies if agency.node == asked.node)
        issuers = (asked.node, *agencies)
        known = tuple(
            packet
            for packet in self._known(connection, asked.since)
            if self._is_about(asked.node, packet.key.sender, (packet.receiver, *packet.copy_to))
        )
        given = self._statements(connection, asked, issuers, known)
        digests = [
            statements.digest_of(connection, number)
            for kind, number in given
            if kind is ItemKind.RECEIPT
            and self._comes_to(asked.node, statements.key_of(connection, kind.value, number).sender)
        ]
        at = restoring.restored_at(connection)
        base = Page(
            incarnation=asked.incarnation,
            last=False,
            final=is_final,
            sure=at is None or at < asked.since,
            numbers=restoring.numbers_seen(connection, agencies, issuers, asked.since),
        )

        def write(transaction: Transaction) -> None:
            for kind, number in given:
                batches.enqueue(transaction, link.name, kind, number, URGENT)
            pages = [*pages_of(known, digests), ((), ())]
            for number, (portion, receipts) in enumerate(pages, start=1):
                is_last = number == len(pages)
                stream = None
                if is_last and asked.node == link.peer:
                    stream = restoring.own_stream(transaction.connection, link.name, link.incarnation)
                page = Page(
                    base.incarnation, is_last, base.final, base.sure, stream, base.numbers, portion, receipts
                )
                link.statements.send_note(transaction, RESTORE, asked.node, encode_restoring(page))
            restoring.note_answered(transaction, asked, is_final=is_final)
            transaction.event(
                "restore-answered",
                detail={
                    "node": asked.node,
                    "packets": len(known),
                    "receipts": len(digests),
                    "final": is_final,
                },
            )

        link.ledger.write(write)
        event_line(
            "restore-answered", link=link.name, node=asked.node, packets=len(known), receipts=len(digests),
            final=is_final,
        )  # fmt: skip

    def _known(self, connection: Connection, since: datetime) -> Iterator[KnownPacket]:
        given = restoring.given_packets(connection, self._link.name, since)
        for number in given:
            if not _was_kept_here(connection, self._link.name, number):
                yield _known_packet(connection, packets.get(connection, number), given=True)
        for number in restoring.taken_packets(connection, self._link.name, since):
            if number not in given:
                yield _known_packet(connection, packets.get(connection, number), given=False)

    def _statements(
        self, connection: Connection, asked: Asked, issuers: tuple[str, ...], known: tuple[KnownPacket, ...]
    ) -> list[tuple[ItemKind, int]]:
        """Everything to give back, each once.

        About the packets told, handed over before, or recorded since, of which only the restore window is
        looked through: most of those are no matter of this link.
        """
        link = self._link
        found: dict[tuple[ItemKind, int], None] = {}
        for packet in known:
            for row in statements.summaries_of(connection, packet.key):
                found[ItemKind.RECEIPT, row.id] = None
        for each in restoring.given_statements(connection, link.name, asked.since):
            found[each] = None
        for number, key, issuer in restoring.recent_receipts(connection, self._within_window(asked.since)):
            if (
                issuer in issuers
                or restoring.passed_by(connection, link.name, key)
                or self._is_behind(key.sender)
                or self._is_own(key.sender)
            ):
                found[ItemKind.RECEIPT, number] = None
        return list(found)

    def _within_window(self, since: datetime) -> datetime:
        """``since``, but not before the restore window: whoever asks does not say what is read of others.

        By a time that has certainly come; where there is none, as asked.
        """
        days, proven = self._link.limits.restore_days, self._link.clock_guard.proven()
        if not days or proven is None:
            return since
        return max(since, proven - timedelta(days=days) - _MARGIN)

    def _is_about(self, node: str, sender: str, recipients: tuple[str, ...]) -> bool:
        """Whoever sits behind the same bridge as others hears nothing of theirs."""
        link = self._link
        return node == link.peer or has_to_do_with(link.trust.directory, link.node, node, sender, recipients)

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


def give_again(transaction: Transaction, link: str, want: Want) -> int:
    """Queue the packets that a restored node lacks, if they belong on ``link`` and their bytes are here.

    How many.
    """
    connection, count = transaction.connection, 0
    for key in want.packets:
        packet = packets.find(connection, key)
        if packet is None or not _has_bytes(connection, packet):
            continue
        if all(row.link != link for row in packets.destinations(connection, packet.id)):
            continue
        if _was_kept_here(connection, link, packet.id):
            continue
        priority = URGENT if packet.priority is Priority.URGENT else ORDINARY
        restoring.offer_again(transaction, link, packet.id, priority)
        count += 1
    transaction.event("offered-again", detail={"link": link, "count": count, "wanted": len(want.packets)})
    return count


def _was_kept_here(connection: Connection, link: str, packet: int) -> bool:
    """Taken back, expired or on hold before it was ever offered: nobody who says that he forgot it had it."""
    states = {row.state for row in packets.destinations(connection, packet) if row.link == link}
    return (
        bool(states) and states <= _NOT_TO_GO and not batches.was_offered(connection, ItemKind.PACKET, packet)
    )


def _known_packet(connection: Connection, packet: PacketRow, *, given: bool) -> KnownPacket:
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
        offered=batches.was_offered(connection, ItemKind.PACKET, packet.id),
        has_bytes=_has_bytes(connection, packet),
        destinations=tuple(
            (row.recipient, row.state.value) for row in packets.destinations(connection, packet.id)
        ),
    )


def _has_bytes(connection: Connection, packet: PacketRow) -> bool:
    return packet.bytes_at is not None or (
        packet.own and keeping.kept_bytes(connection, packet.id, packet.attempt) is not None
    )
