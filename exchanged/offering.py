"""The outgoing half of a link: compose what waits, commit it, then put it (C4, C5, C8, C24).

Number, name, item list and waybill bytes are committed before the upload; until the neighbour has
disposed of a batch its file is put again whenever it is missing, as the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Final

from exchanged.acknowledging import Acknowledging
from exchanged.batch import Content, batch_size
from exchanged.blob_room import BlobRoom
from exchanged.case_order import CaseOrder
from exchanged.disabling import is_disabled_now
from exchanged.errors import TransportError, VolumeDamagedError
from exchanged.landing import Landing
from exchanged.ledger import (
    Transaction,
    answering,
    batches,
    blobs,
    effects,
    packets,
    restoring,
    statements,
    waiting,
)
from exchanged.ledger.rows import BatchRow, OutgoingRow, PacketRow
from exchanged.link_context import LinkContext
from exchanged.mailbox import ACKNOWLEDGEMENT_NAME, MailboxKind, batch_name, blob_name, classify
from exchanged.order import needs_no_offer
from exchanged.published import published_for, published_source
from exchanged.putting import Putting
from exchanged.ranges import SpoolRange
from exchanged.resigning import sign_anew
from exchanged.routing import may_leave_blobs_out
from exchanged.settling import Settling
from exchanged.states import DestinationState, Event
from exchanged.unread import Unread
from exchanged.untaken import Untaken
from packet_spec.identity import sha256_hex
from packet_spec.limits import BATCH_ITEMS, WAYBILL_BYTES
from packet_spec.model import ItemKind
from packet_spec.signing import new_hasher
from packet_spec.ustar import member_size
from packet_spec.waybill import encode_waybill, sign_waybill
from packet_spec.waybill_model import (
    Acknowledgement,
    BlobReference,
    WaybillItem,
)

_SIGNATURE_BYTES: Final = 512
# Of what waits, where all of it must wait for the order of its cases.
_LOOK_AT_MOST: Final = 4 * BATCH_ITEMS
# At most what a waybill takes without items and exceptions, for an item, and for a blob that it names.
_WAYBILL_HEAD_BYTES: Final = 4096
_ITEM_LINE_BYTES: Final = 320
_BLOB_LINE_BYTES: Final = 144


def item_bytes(item: WaybillItem) -> int:
    """At most how many bytes an item takes in a waybill."""
    return _ITEM_LINE_BYTES + _BLOB_LINE_BYTES * len(item.blobs)


def _head_bytes(current: Acknowledgement | None) -> int:
    """At most how many bytes the next waybill takes before its items."""
    exceptions = () if current is None else current.exceptions
    return _WAYBILL_HEAD_BYTES + sum(batches.exception_bytes(exception) for exception in exceptions)


@dataclass(frozen=True, slots=True)
class _Planned:
    row: OutgoingRow
    item: WaybillItem
    content: Content


@dataclass(slots=True)
class Offering:
    """Offers for one link."""

    link: LinkContext
    settling: Settling
    landing: Landing
    _putting: Putting = field(init=False)
    _order: CaseOrder = field(init=False)
    _unread: Unread = field(init=False)
    _untaken: Untaken = field(init=False)
    _acknowledging: Acknowledging = field(init=False)
    _looked_at: float | None = None

    def __post_init__(self) -> None:
        self._putting = Putting(self.link, self.settling)
        self._order = CaseOrder(self.link, self._putting)
        self._unread = Unread(self.link)
        self._untaken = Untaken(self.link)
        self._acknowledging = Acknowledging(self.link, self.landing, self._putting)

    @property
    def is_unfinished(self) -> bool:
        """A blob has had its turn and is not whole there: go on with it after whatever else is due."""
        return self._putting.is_unfinished

    @property
    def trouble(self) -> TransportError | None:
        """What found no room in the last step, or broke a blob off; all the rest was tried."""
        return self._putting.trouble

    def step(self, *, is_busy: bool = False) -> tuple[bool, float | None]:
        """Compose and put what is due. ``is_busy``: before the next step there is more than that to do.

        Returns whether something new lies in the mailbox, and in how many seconds a packet that must
        wait for its order may go, or an acknowledgement must.
        """
        self._putting.begin()
        self._look_at_own_files()
        if is_disabled_now(self.link):
            self._expire()
            self._putting.remove_all_but(())
            return False, None
        rows = self._open()
        sign_anew(self.link, rows)
        self._unread.look(rows, self._putting.there)
        # First: on a full volume nothing can be put before what is settled is gone.
        self._tidy()
        self._expire()
        changed = self._offer_published()
        current = batches.acknowledgement(self.link.ledger.read(), self.link.name, self.link.peer)
        composed, waits = self._compose(current)
        if composed:
            changed |= self._ride(current, composed)
        # The pages that a restored node asked for wait for each other's acknowledgement.
        is_busy = is_busy or restoring.is_going_on(self.link.ledger.read())
        may_wait = not is_busy and not self._putting.lacks(self._open())
        changed |= self._acknowledging.put(current, may_wait=may_wait)
        changed |= self._putting.put_open(self._open())
        due = [delay for delay in (waits, self._acknowledging.waits) if delay is not None]
        return changed, min(due, default=None)

    def hurry(self) -> None:
        """Put what is due before anybody has looked, where nothing else of ours is under way.

        Only after a whole round: what lies in the mailbox may say that we were set back, and we may not know
        what lies there of ours. Blobs, and whatever else is to be done, are left to the step that follows.
        """
        if self._looked_at is None or is_disabled_now(self.link) or self.has_open():
            return
        if not published_for(self.link).keys() <= self._putting.there:
            # The directory goes before the batches (C24).
            return
        self._putting.begin()
        self._expire()
        current = batches.acknowledgement(self.link.ledger.read(), self.link.name, self.link.peer)
        composed, _ = self._compose(current)
        if composed:
            self._ride(current, composed)

    def tell(self) -> bool:
        """Of a marked link: only the acknowledgement, which says so. True when there was news."""
        self._putting.begin()
        self._look_at_own_files()
        current = batches.acknowledgement(self.link.ledger.read(), self.link.name, self.link.peer)
        return self._acknowledging.put(current)

    def has_open(self) -> bool:
        """Something that the neighbour has not disposed of lies in the mailbox."""
        return bool(self._open()) and not self.link.peer_is_disabled

    def forget(self) -> None:
        """After a transport failure: believe nothing about the mailbox, look again."""
        self._looked_at = None

    def _open(self) -> list[BatchRow]:
        rows = batches.open_batches(self.link.ledger.read(), self.link.name)
        return [row for row in rows if row.state in (batches.COMMITTED, batches.NEEDING)]

    def _has_room(self) -> bool:
        """One more batch may be opened.

        What waits there for its blobs alone, or for one before it that finds no room, leaves room for others.
        """
        limit = self.link.limits.open_batches
        committed = [row for row in self._open() if row.state == batches.COMMITTED]
        return len(committed) - self._putting.went_past(committed) < limit and len(committed) < 4 * limit

    def _look_at_own_files(self) -> None:
        """Learn which of our files lie there: at start, after a failure, and with the slow scan."""
        now = self.link.clock.monotonic()
        if self._looked_at is not None and now - self._looked_at < self.link.limits.scan_seconds:
            return
        self._putting.look()
        self._looked_at = now

    def _ride(self, current: Acknowledgement | None, composed: set[str]) -> bool:
        """Put what is small before the acknowledgement, which it bears. True when there was news."""
        if not self._acknowledging.may_ride(current):
            return False
        changed = self._putting.put_small(self._open())
        if not composed.isdisjoint(self._putting.there):
            self._acknowledging.note_ridden(current)
        return changed

    # composing

    def _compose(self, current: Acknowledgement | None) -> tuple[set[str], float | None]:
        """Commit what is due, as long as there is room: the names of the batches, and when more may go."""
        names: set[str] = set()
        waits: float | None = None
        while True:
            planned, waits = self._plan(current) if self._has_room() else (self._opening(), waits)
            if not planned:
                return names, waits
            names.add(self.link.ledger.write(partial(self._commit, planned=planned)))

    def _plan(self, current: Acknowledgement | None, look_at: int = 0) -> tuple[list[_Planned], float | None]:
        """The items of the next batch, hashed and measured, within the limits of one batch.

        ``look_at``: so much of what waits is looked at, when all before it must wait for its order.
        """
        connection = self.link.ledger.read()
        limits = self.link.limits
        look_at = look_at or limits.batch_items
        is_restoring = restoring.is_going_on(connection)
        rows = batches.due(connection, self.link.name, look_at, is_restoring=is_restoring)
        asked = (row for row in rows if row.kind is ItemKind.PACKET)
        found = {row.id: self._putting.with_bytes(packets.get(connection, row.reference)) for row in asked}
        if done := [row for row in rows if row.id in found and needs_no_offer(row, found[row.id])]:
            self.link.ledger.write(lambda transaction: self._withdraw(transaction, done))
            return self._plan(current, look_at)
        if not rows:
            return [], None
        again = {row.id for row in rows if row.again}
        allowed, waits = self._order.allowed(found, again, self._open())
        if len(rows) == look_at < _LOOK_AT_MOST and found.keys() - allowed == {row.id for row in rows}:
            return self._plan(current, 2 * look_at)
        planned: list[_Planned] = []
        head = _head_bytes(current)
        lines = WAYBILL_BYTES - head
        room = limits.batch_bytes - batch_size(head, _SIGNATURE_BYTES, ())
        blob_room = BlobRoom(self.link)
        for row in rows:
            packet = found.get(row.id)
            if packet is not None and (row.id not in allowed or not blob_room.takes(packet)):
                continue
            entry = self._planned(row, packet)
            if entry is None:
                continue
            line = item_bytes(entry.item)
            lines -= line
            room -= line + member_size(entry.item.size)
            if planned and (min(lines, room) < 0 or len(planned) == limits.batch_items):
                break
            planned.append(entry)
        return planned, waits

    def _opening(self) -> list[_Planned]:
        """For want of this page a restored neighbour acknowledges nothing: it goes alone, without room."""
        row = answering.opening_due(self.link.ledger.read(), self.link.name, self.link.peer)
        entry = None if row is None else self._planned(row, None)
        return [] if entry is None else [entry]

    def _withdraw(self, transaction: Transaction, rows: list[OutgoingRow]) -> None:
        """What became final everywhere before it was offered needs no offer."""
        for row in rows:
            waiting.withdraw(transaction, self.link.name, row)

    def _expire(self) -> None:
        """An own packet past its limit that provably has not left expires here (C18)."""
        connection = self.link.ledger.read()
        late = [
            (row, packets.get(connection, row.reference))
            for row in batches.due_and_late(connection, self.link.name, self.link.clock.now())
            if not batches.was_offered(connection, row.kind, row.reference)
        ]
        if late and not self.link.clock_guard.doubt():
            self.link.ledger.write_each(
                [partial(self._expire_one, row=row, packet=packet) for row, packet in late]
            )

    def _expire_one(self, transaction: Transaction, *, row: OutgoingRow, packet: PacketRow) -> None:
        if not waiting.withdraw(transaction, self.link.name, row):
            return
        for destination in packets.destinations(transaction.connection, packet.id):
            if destination.state is DestinationState.QUEUED:
                packets.move(
                    transaction, packet, destination, Event.RECEIPT_EXPIRED, detail={"before": "offered"}
                )
        effects.intend(transaction, "status", f"packet:{packet.id}")

    def _planned(self, row: OutgoingRow, packet: PacketRow | None) -> _Planned | None:
        connection = self.link.ledger.read()
        if packet is not None:
            if packet.bytes_at is None:
                return None
            try:
                digest = self._digest(packet.bytes_at)
            except VolumeDamagedError:
                now = self._putting.with_bytes(packets.get(connection, row.reference))
                if now.bytes_at == packet.bytes_at:
                    raise
                # It became final, and its bytes went, between looking and reading.
                return None
            item = WaybillItem(
                ItemKind.PACKET,
                digest,
                packet.bytes_at.length,
                packet.key,
                blobs.references(connection, packet.key),
            )
            return _Planned(row, item, packet.bytes_at)
        document = statements.get_document(connection, row.kind.value, row.reference)
        key = statements.key_of(connection, row.kind.value, row.reference)
        return _Planned(row, WaybillItem(row.kind, sha256_hex(document), len(document), key), document)

    def _digest(self, where: SpoolRange) -> str:
        hasher = new_hasher()
        with self.link.spool.open_range(where) as reader:
            for block in reader.blocks():
                hasher.update(block)
        return hasher.hexdigest()

    def _commit(self, transaction: Transaction, planned: list[_Planned]) -> str:
        """Commit one batch; its name. What was taken back meanwhile is left out, and may leave nothing."""
        link = self.link.name
        planned = [entry for entry in planned if waiting.still_due(transaction.connection, link, entry.row)]
        if not planned:
            return ""
        number = batches.next_number(transaction.connection, link)
        key = self.link.link_key(transaction.now)
        waybill = self._acknowledging.waybill(
            transaction, key, number, tuple(entry.item for entry in planned)
        )
        data = encode_waybill(waybill)
        signature = sign_waybill(data, key)
        name = batch_name(number, self.link.randomness.token(8))
        batches.commit_batch(
            transaction,
            link,
            number,
            name,
            data,
            signature,
            batch_size(len(data), len(signature), [entry.item.size for entry in planned]),
            [entry.row for entry in planned],
            self._blobs_of(transaction, planned),
        )
        for entry in planned:
            if entry.row.kind is ItemKind.PACKET:
                self._mark_offered(transaction, entry.row.reference, number)
        return name

    def _blobs_of(self, transaction: Transaction, planned: list[_Planned]) -> list[tuple[str, int, bool]]:
        """Every blob once; it is put unless the neighbour has proved that it has it (C9)."""
        named: dict[str, BlobReference] = {}
        may_stay = may_leave_blobs_out(self.link.trust.directory, self.link.node, self.link.peer)
        for entry in planned:
            named.update({blob.digest: blob for blob in entry.item.blobs})
        found: list[tuple[str, int, bool]] = []
        for digest in sorted(named):
            generation = blobs.live_generation(transaction.connection, digest)
            put = not (may_stay and blobs.is_entitled(transaction.connection, digest, self.link.peer))
            found.append((digest, generation or 0, put))
        return found

    def _mark_offered(self, transaction: Transaction, reference: int, number: int) -> None:
        packet = packets.get(transaction.connection, reference)
        for destination in packets.destinations(transaction.connection, packet.id):
            if destination.link == self.link.name and destination.state is DestinationState.QUEUED:
                packets.move(transaction, packet, destination, Event.OFFER, detail={"batch": number})

    def _offer_published(self) -> bool:
        """The neighbour gets a newer directory, and the packs it asked for, before the batches (C24)."""
        changed = False
        wanted = published_for(self.link)
        self._untaken.look(wanted, self._putting.there)
        for name, what in wanted.items():
            if name in self._putting.there:
                continue
            changed |= self._putting.put_beside(name, published_source(self.link, what))
        return changed

    def _tidy(self) -> None:
        """Remove our own files that nothing open names any more (C1)."""
        connection = self.link.ledger.read()
        rows = batches.open_batches(connection, self.link.name)
        settled = [row for row in rows if row.state == batches.SETTLED]
        keep = {row.name for row in self._open()}
        keep |= {blob_name(digest) for digest in batches.wanted_blobs(connection, self.link.name)}
        keep |= {*published_for(self.link), ACKNOWLEDGEMENT_NAME}
        keep |= {name for name in self._putting.names() - keep if self._comes_again(name)}
        removed: set[str] = set()
        if not restoring.is_going_on(connection):
            # What the lost ledger put there may be the only copy, until the neighbour has answered (C23).
            removed = self._putting.remove_all_but(keep)
        for row in settled:
            if row.name not in removed:
                self.link.transport.remove_own(row.name)
        if settled:
            self.link.ledger.write(
                lambda transaction: batches.close_batches(transaction, [row.id for row in settled])
            )

    def _comes_again(self, name: str) -> bool:
        """A blob of a bad batch: what names it goes out once more under another number (C5)."""
        known = classify(name)
        if known is None or known.kind is not MailboxKind.BLOB:
            return False
        return blobs.comes_again(self.link.ledger.read(), self.link.name, known.digest)
