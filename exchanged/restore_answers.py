"""What a node tells and gives back to a neighbour that was restored from an older ledger (C23).

Guarantees: the answer holds whatever went over the link since the restored node may have forgotten, in either
direction: packets by name and digests, every receipt about them as an item of its own, the numbers that it
must not use again. It begins after everything that lies in the mailbox has landed and was judged, so that
what the lost ledger had put there is known; where this node waits for answers itself, it tells what it knows,
and the rest later. Packets go out again only when they are asked for, and only over the link on which they
belong.

However long the history, a page is a transaction of its own and only a few are under way; after a crash it
goes on behind the last one. A question is answered once: an answer is in custody like anything else, and who
was restored anew asks in another incarnation. Nobody has new ones begun as often as he likes, or the same
packets again (``ledger.given``).

Leaves to others: what a page holds (``restore_portions``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from exchanged.ledger import (
    Connection,
    Transaction,
    answering,
    batches,
    given,
    packets,
    restoring,
    statements,
)
from exchanged.ledger.answering import Asked
from exchanged.link_context import LinkContext
from exchanged.log import event_line
from exchanged.receipts import ORDINARY, URGENT
from exchanged.restore_portions import (
    Portion,
    Portions,
    agencies_at,
    has_bytes,
    issuers_at,
    was_kept_here,
)
from packet_spec.model import Priority
from packet_spec.note_rules import RESTORE
from packet_spec.restoring import Numbers, Page, Stream, Want, encode_restoring, pages_of

_UNDER_WAY: Final = 8


class RestoreAnswers:
    """Answers on one link. Used by the link's station."""

    def __init__(self, link: LinkContext) -> None:
        self._link = link
        self._portions = Portions(link)
        self._numbers: dict[str, tuple[str, Numbers]] = {}

    def step(self) -> None:
        """Answer what is due. Called when nothing more waits in the mailbox."""
        connection = self._link.ledger.read()
        due = answering.due(connection, self._link.name)
        if not due:
            return
        waits = restoring.is_going_on(connection)
        if waits and not restoring.peers(connection):
            # What its own folders hold is not taken back yet.
            return
        # The judge is at it, and this link looks again after its next scan.
        is_early = not waits and answering.has_landed(connection, self._link.name)
        for asked in due:
            if asked.place is not None:
                self._go_on(asked, is_final=not waits)
            elif not is_early and answering.may_begin(asked, self._link.clock.now()):
                self._begin(asked, is_final=not waits)
                self._go_on(asked, is_final=not waits)

    def _begin(self, asked: Asked, *, is_final: bool) -> None:
        """A neighbour learns first which of our batches are settled, in a page that nothing else waits for.

        While it misses numbers it acknowledges nothing that comes behind them, this page neither.
        """
        self._numbers.pop(asked.node, None)
        link, connection, opening = self._link, self._link.ledger.read(), b""
        if asked.node == link.peer:
            stream = answering.own_stream(connection, link.name, link.incarnation)
            opening = encode_restoring(self._page(connection, asked, is_final=is_final, stream=stream))

        def begin(transaction: Transaction) -> None:
            if answering.find(transaction.connection, asked.node) != asked:
                return
            answering.begin(transaction, asked)
            if opening and link.statements.send_note(transaction, RESTORE, asked.node, opening):
                answering.note_opening(transaction, asked.node)

        link.ledger.write(begin)

    def _go_on(self, asked: Asked, *, is_final: bool) -> None:
        """Page after page, as long as not too many are under way; the next step goes on."""
        connection = self._link.ledger.read()
        while answering.pages_under_way(connection, asked.node) < _UNDER_WAY:
            now = answering.find(connection, asked.node)
            if now is None or now.place is None or now.incarnation != asked.incarnation:
                return
            portion = self._portions.read(connection, now, now.place)
            if not self._tell(connection, now, portion, is_final=is_final):
                return

    def _tell(self, connection: Connection, asked: Asked, portion: Portion, *, is_final: bool) -> bool:
        """One portion, in one transaction. True: there is more to tell."""
        link = self._link
        pages = self._pages(connection, asked, portion, is_final=is_final)
        told = {
            "packets": asked.packets + len(portion.packets),
            "receipts": asked.receipts + len(portion.receipts),
            "final": is_final,
        }

        def write(transaction: Transaction) -> bool:
            is_same = answering.find(transaction.connection, asked.node) == asked
            if not is_same or restoring.is_going_on(transaction.connection) == is_final:
                # It asks something else, or this node knows more, since this was read.
                return False
            answering.forget_pages(transaction, asked.node)
            for kind, number in portion.statements:
                if statements.is_kept(transaction.connection, kind.value, number):
                    batches.enqueue(transaction, link.name, kind, number, URGENT)
            for page in pages:
                if link.statements.send_note(transaction, RESTORE, asked.node, page):
                    answering.note_page(transaction, asked.node)
            answering.go_on(transaction, asked, portion.place, len(portion.packets), len(portion.receipts))
            if portion.is_last:
                answering.note_answered(transaction, asked, is_final=is_final)
                transaction.event("restore-answered", detail={"node": asked.node, **told})
            return True

        is_told = link.ledger.write(write)
        if is_told and not portion.is_last:
            return True
        self._numbers.pop(asked.node, None)
        if is_told:
            event_line("restore-answered", link=link.name, node=asked.node, **told)
        return False

    def _pages(
        self, connection: Connection, asked: Asked, portion: Portion, *, is_final: bool
    ) -> list[bytes]:
        """As notes take them. One at least where anything goes out: what is under way is counted by them."""
        parts = list(pages_of(portion.packets, portion.receipts))
        if not parts and (portion.statements or portion.is_last):
            parts.append(((), ()))
        base = self._page(connection, asked, is_final=is_final)
        return [
            encode_restoring(
                replace(base, last=portion.is_last and number == len(parts), packets=some, receipts=digests)
            )
            for number, (some, digests) in enumerate(parts, start=1)
        ]

    def _page(
        self, connection: Connection, asked: Asked, *, is_final: bool, stream: Stream | None = None
    ) -> Page:
        at = restoring.restored_at(connection)
        return Page(
            incarnation=asked.incarnation,
            last=False,
            final=is_final,
            sure=at is None or at < asked.since,
            stream=stream,
            numbers=self._numbers_seen(connection, asked),
        )

    def _numbers_seen(self, connection: Connection, asked: Asked) -> Numbers:
        """In every page: who is restored may issue something as soon as it has the first packet back."""
        known = self._numbers.get(asked.node)
        if known is not None and known[0] == asked.incarnation:
            return known[1]
        agencies, issuers = agencies_at(self._link, asked.node), issuers_at(self._link, asked.node)
        numbers = answering.numbers_seen(connection, agencies, issuers, asked.since)
        self._numbers[asked.node] = asked.incarnation, numbers
        return numbers


def give_again(transaction: Transaction, node: str, link: str, want: Want) -> int:
    """Queue the packets that a restored ``node`` lacks, if they belong on ``link`` and their bytes are here.

    How many. The ledger tells it only where there are some: anybody can say that he was restored.
    """
    connection, count = transaction.connection, 0
    for key in want.packets:
        packet = packets.find(connection, key)
        if packet is None or not has_bytes(connection, packet):
            continue
        if all(row.link != link for row in packets.destinations(connection, packet.id)):
            continue
        if was_kept_here(connection, link, packet.id):
            continue
        priority = URGENT if packet.priority is Priority.URGENT else ORDINARY
        count += given.give_again(transaction, node, link, packet.id, priority)
    wanted = len(want.packets)
    if count:
        transaction.event("offered-again", detail={"link": link, "count": count, "wanted": wanted})
    else:
        event_line("nothing-offered-again", level=30, link=link, node=node, wanted=wanted)
    return count
