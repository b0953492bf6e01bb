"""How packets, their facts and their traces are shown to an operator. Values in, text out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from cli.locale import _, told
from cli.node_view import shown_key
from cli.render import age, fields, local_time, table, word
from cli.standstill_text import stop_words
from exchanged.ledger.questions import EventRow, PacketFacts, WaitingArrival
from exchanged.ledger.questions_list import ListedPacket
from exchanged.ledger.rows import PacketRow, ReceiptRow
from exchanged.trace_values import Because, Holding, Step, StepKind, Trace, Way
from packet_spec.identity import is_digest
from packet_spec.receipt import decode_receipt
from packet_spec.signing import split_signed

_EVENTS: Final = 40

# The words are looked up in the operator's language when they are shown.
_DONE: Final = {
    StepKind.SEALED: "sealed",
    StepKind.LANDED: "landed",
    StepKind.NEEDING: "lacks a large part",
    StepKind.HELD: "held",
    StepKind.RELEASED: "released",
    StepKind.QUARANTINED: "put into quarantine",
    StepKind.ADMITTED: "judged good",
    StepKind.REMEMBERED: "known again after a restore, by a neighbour's word",
    StepKind.OFFERED: "offered to {to}",
    StepKind.BATCH_BAD: "unreadable at {to}",
    StepKind.HANDED_OVER: "handed over to {to}",
    StepKind.STAGED: "staged beside the inbox",
    StepKind.PLACED: "put into the inbox",
    StepKind.CANCELLED: "cancelled",
    StepKind.ACCEPTED: "accepted",
    StepKind.DELIVERED: "delivered",
    StepKind.COLLECTED: "collected",
    StepKind.SIGNED: "signed for",
    StepKind.REFUSED: "refused",
    StepKind.UNDELIVERABLE: "undeliverable",
    StepKind.EXPIRED: "expired",
    StepKind.DISCARDED: "given up by an operator",
}
_WHERE_NOW: Final = {
    Holding.HERE: "held now by {node} (this node) since {since}",
    Holding.LAST_KNOWN: "held now by {node} since {since}",
    Holding.INBOX: "in the inbox of {node} since {since}",
    Holding.CASE_SOFTWARE: "with the case software of {node} since {since}",
    Holding.NOBODY: "ended at {node} at {since}",
}
_KNOWN_BY: Final = {
    Because.NOT_OFFERED: "it is queued here and was not offered to the next node",
    Because.ON_HOLD: "it is on hold at this node: an operator said so, or its stored bytes are rotten",
    Because.NOT_ACKNOWLEDGED: "it was offered, and the neighbour has not acknowledged it",
    Because.NOT_JUDGED: "it landed here and is not judged",
    Because.LACKS_BLOBS: "a large part is missing here, so custody stays with the neighbour",
    Because.BEING_DELIVERED: "it arrived here and is not in the inbox",
    Because.PLACED_HERE: "this node put it there",
    Because.ACKNOWLEDGED: "the neighbour acknowledged it as durable there",
    Because.HOP_NOTE: "the last node on the way signed a note of it",
    Because.RECEIPT: "a signed receipt says so",
    Because.ENDED_HERE: "this node decided so",
    Because.REMEMBERED: "a neighbour told this node of it after a restore",
}


def packet_list(found: Iterable[ListedPacket], now: datetime) -> str:
    """One line per packet."""
    rows = [
        (
            shown_key(line.packet.key),
            line.packet.business_type,
            line.packet.key.sender,
            _recipients(line.packet),
            _(line.state),
            age((now - line.packet.landed_at).total_seconds()),
        )
        for line in found
    ]
    return table((_("packet"), _("type"), _("from"), _("to"), _("state"), _("age")), rows)


def packet_facts(facts: PacketFacts) -> str:
    """Everything known of one packet, block by block; empty blocks are left out."""
    return "\n\n".join(_blocks(facts))


def packet_trace(traced: Trace) -> str:
    """Each way of a packet step by step, and who holds it now."""
    return "\n\n".join([fields(_traced(traced)), *(_way(way) for way in traced.ways)])


def _traced(traced: Trace) -> Iterator[tuple[str, object]]:
    yield _("packet"), traced.key.packet_id
    yield _("sender"), traced.key.sender
    yield _("attempt"), traced.attempt
    yield _("asked"), traced.asked
    if traced.set_aside:
        aside = _("{count} statements about another attempt or content")
        yield _("set aside"), aside.format(count=traced.set_aside)
    if not traced.ways:
        yield _("way"), _("this node knows only statements about it; see: exchangectl packet show")


def _way(way: Way) -> str:
    rows = [(local_time(step.at), step.node, _step(step), _(step.known_by.value)) for step in way.steps]
    holder = way.holder
    said = _(_WHERE_NOW[holder.holding]).format(node=holder.node, since=local_time(holder.since))
    lines = [
        f"{_('to')} {way.recipient}: {_(way.state)}" if way.recipient else _(way.state),
        table((_("at"), _("node"), _("what"), _("known by")), rows),
        said,
        f"  {_('because')}: {_(_KNOWN_BY[holder.because])}",
    ]
    if holder.stop is not None:
        lines.append(f"  {_('stands still')}: {stop_words(holder.stop)}")
    if holder.unknown_beyond:
        beyond = _("unknown beyond {node}: nothing has come back from there yet")
        lines.append("  " + beyond.format(node=holder.unknown_beyond))
    return "\n".join(lines)


def _step(step: Step) -> str:
    words = _(_DONE[step.kind]).format(to=step.to or "?")
    return f"{words} ({told(step.detail, 'value')})" if step.detail else words


def _blocks(facts: PacketFacts) -> Iterator[str]:
    yield fields([(_("packet"), facts.key.packet_id), (_("sender"), facts.key.sender), *_identity(facts)])
    yield from _block(
        _("destinations"),
        (_("to"), _("state"), _("since"), _("link"), _("folder")),
        [
            (row.recipient, row.state, local_time(row.since), row.link or "-", row.folder or "-")
            for row in facts.destinations
        ],
    )
    yield from _block(
        _("not judged"),
        (_("item"), _("link"), _("state"), _("landed"), _("reason"), _("judged again")),
        [_arrival(row) for row in facts.arrivals],
    )
    yield from _block(
        _("receipts"),
        (_("kind"), _("by"), _("for"), _("issued"), _("about")),
        [_receipt(row, facts.packet) for row in facts.receipts],
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
    yield from _events(facts.events)


def _identity(facts: PacketFacts) -> Iterator[tuple[str, object]]:
    packet = facts.packet
    if packet is None:
        yield _("state"), _("not judged here")
        return
    yield _("state"), f"{word(packet.state)} ({_('attempt {number}').format(number=packet.attempt)})"
    yield _("type"), packet.business_type
    yield _("sender ref"), packet.sender_ref
    yield _("receiver"), packet.receiver
    yield _("copies"), " ".join(packet.copies)
    yield _("priority"), packet.priority
    yield _("sealed"), local_time(packet.sealed_at)
    yield _("came here"), local_time(packet.landed_at)
    yield _("came by"), packet.came_by or _("this node's own outbox")
    yield _("expires"), "" if packet.expires_at is None else local_time(packet.expires_at)
    yield _("answers"), packet.in_reply_to
    yield _("supersedes"), packet.supersedes
    yield _("content digest"), packet.content_digest
    yield _("seal digest"), packet.seal_digest
    yield _("bytes"), _("no longer needed here") if packet.bytes_at is None else _stored(packet)
    if facts.drop is not None:
        yield _("drop"), facts.drop.status_name


def _stored(packet: PacketRow) -> str:
    where = packet.bytes_at
    return "" if where is None else f"{where.length} (spool/{where.name} + {where.start})"


def _block(title: str, headers: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    if rows:
        yield f"{title}\n{table(headers, rows)}"


def _arrival(row: WaitingArrival) -> tuple[object, ...]:
    lacks = _("lacks {count} large parts").format(count=len(row.missing)) if row.missing else ""
    reason = row.reason or lacks or "-"
    again = "-" if row.retry_at is None else local_time(row.retry_at)
    return row.kind, row.link, row.state, local_time(row.landed_at), reason, again


def _receipt(row: ReceiptRow, packet: PacketRow | None) -> tuple[object, ...]:
    about = _("attempt {number}").format(number=row.attempt)
    if packet is not None and not row.speaks_of(packet.content_digest, packet.seal_digest):
        about += f", {_('another seal')}"
    if decode_receipt(split_signed(row.document)[0]).scope is not None:
        about += f", {_('encrypted')}"
    return _(row.kind), row.issued_by, row.recipient or "-", local_time(row.issued_at), about


def _events(events: Sequence[EventRow]) -> Iterator[str]:
    rows = [
        (local_time(event.at), _(event.kind), event.recipient or "-", _detail(event.detail))
        for event in events[-_EVENTS:]
    ]
    yield from _block(_("events"), (_("at"), _("event"), _("for"), _("detail")), rows)
    if len(events) > _EVENTS:
        yield _("{count} older events are left out; --json gives all").format(count=len(events) - _EVENTS)


def _detail(detail: Mapping[str, object]) -> str:
    """Digests are shortened: whoever needs them whole asks for JSON."""
    shown = {name: _shortened(value) for name, value in detail.items()}
    return " ".join(f"{name}={value}" for name, value in shown.items()) or "-"


def _shortened(value: object) -> object:
    return f"{value[:12]}…" if isinstance(value, str) and is_digest(value) else value


def _recipients(packet: PacketRow) -> str:
    return f"{packet.receiver} +{len(packet.copies)}" if packet.copies else packet.receiver
