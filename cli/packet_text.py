"""How packets, their facts and their traces are shown to an operator. Values in, text out."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from cli.locale import _
from cli.render import age, fields, local_time, table
from exchanged.ledger.questions import PacketFacts, WaitingArrival
from exchanged.ledger.questions_list import ListedPacket
from exchanged.ledger.rows import PacketRow
from exchanged.trace import Because, Holding, Step, StepKind, Trace, Way

# A terminal this wide shows whole packet ids; on a narrower one 13 characters tell packets apart:
# they are the time of an assigned id to the millisecond.
_WIDE: Final = 120
_SHORT_ID: Final = 13
_EVENTS: Final = 40

_DONE: Final = {
    StepKind.SEALED: "sealed",
    StepKind.LANDED: "landed",
    StepKind.NEEDING: "lacks a large part",
    StepKind.HELD: "held",
    StepKind.QUARANTINED: "in quarantine",
    StepKind.ADMITTED: "judged good",
    StepKind.OFFERED: "offered to {to}",
    StepKind.BATCH_BAD: "unreadable at {to}",
    StepKind.HANDED_OVER: "handed over to {to}",
    StepKind.STAGED: "staged beside the inbox",
    StepKind.PLACED: "put into the inbox",
    StepKind.CANCELLED: "cancelled",
    StepKind.ACCEPTED: "accepted",
    StepKind.DELIVERED: "delivered",
    StepKind.COLLECTED: "collected by the case software",
    StepKind.SIGNED: "signed for",
    StepKind.REFUSED: "refused",
    StepKind.UNDELIVERABLE: "undeliverable",
    StepKind.EXPIRED: "expired",
}
_HELD_NOW: Final = {
    Holding.HERE: "held now by {node} (this node) since {since}",
    Holding.LAST_KNOWN: "held now by {node} since {since}",
    Holding.INBOX: "in the inbox of {node} since {since}",
    Holding.CASE_SOFTWARE: "taken by the case software of {node} at {since}",
    Holding.NOBODY: "ended at {node} at {since}",
}
_KNOWN_BECAUSE: Final = {
    Because.NOT_OFFERED: "it is queued here and was not offered to the next node",
    Because.NOT_ACKNOWLEDGED: "it was offered, and the neighbour has not acknowledged it",
    Because.NOT_JUDGED: "it landed here and is not judged",
    Because.LACKS_BLOBS: "a large part is missing here, so custody stays with the neighbour",
    Because.BEING_DELIVERED: "it arrived here and is being put into the inbox",
    Because.PLACED_HERE: "this node put it there",
    Because.ACKNOWLEDGED: "the neighbour acknowledged it as durable there",
    Because.HOP_NOTE: "the signed note of the last node that told of it",
    Because.RECEIPT: "a signed receipt",
    Because.ENDED_HERE: "this node decided so",
}


def packet_list(found: Iterable[ListedPacket], now: datetime) -> str:
    """One line per packet, newest first; at 80 columns with shortened ids."""
    is_wide = shutil.get_terminal_size((80, 24)).columns >= _WIDE
    rows = [
        (
            line.packet.key.packet_id if is_wide else line.packet.key.packet_id[:_SHORT_ID],
            line.packet.business_type,
            line.packet.key.sender,
            _recipients(line.packet),
            line.state,
            age((now - line.packet.landed_at).total_seconds()),
        )
        for line in found
    ]
    return table((_("packet"), _("type"), _("from"), _("to"), _("state"), _("age")), rows)


def packet_facts(facts: PacketFacts) -> Iterator[str]:
    """Everything known of one packet, block by block."""
    yield fields([(_("packet"), facts.key.packet_id), (_("sender"), facts.key.sender)])
    if facts.packet is not None:
        yield _identity(facts.packet)
    yield from _block(
        _("destinations"),
        (_("to"), _("state"), _("since"), _("link"), _("folder")),
        [
            (row.recipient, row.state, local_time(row.since), row.link or "-", row.folder or row.staging or "-")
            for row in facts.destinations
        ],
    )
    yield from _block(
        _("arrivals not judged"),
        (_("item"), _("link"), _("state"), _("landed"), _("reason"), _("again")),
        [_arrival(row) for row in facts.arrivals],
    )
    yield from _block(
        _("receipts"),
        (_("kind"), _("by"), _("for"), _("issued"), _("about")),
        [
            (row.kind, row.issued_by, row.recipient or "-", local_time(row.issued_at), _about(row.attempt, row.speaks_of(
                facts.packet.content_digest, facts.packet.seal_digest
            ) if facts.packet is not None else None))
            for row in facts.receipts
        ],
    )
    yield from _block(
        _("hops"),
        (_("node"), _("landed"), _("left"), _("to")),
        [
            (row.node, local_time(row.landed_at), local_time(row.left_at), row.next_node or _("inbox"))
            for row in facts.hops
        ],
    )
    yield from _block(
        _("large parts"), (_("digest"), _("bytes")), [(blob.digest, blob.size) for blob in facts.blobs]
    )
    yield from _block(
        _("events"),
        (_("at"), _("event"), _("for"), _("detail")),
        [
            (local_time(event.at), event.kind, event.recipient or "-", _detail(event.detail))
            for event in facts.events[-_EVENTS:]
        ],
    )
    if len(facts.events) > _EVENTS:
        yield _("{count} older events are left out; --json shows all").format(count=len(facts.events) - _EVENTS)
