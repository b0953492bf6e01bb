"""Putting what was committed into the mailbox of a link: batches in order, large blobs in turns (C4, C6, C8).

A blob goes before the batch that names it, unless that takes longer than a turn (the line is slow, the
blob large): then the batch goes without it, the neighbour says ``need``, and the blob grows turn by turn
while other batches pass. So what is small waits for a turn at most, not for the dossier in front of it.
Known limits: a batch is not divided, so on a very slow line ``batch_bytes`` should be small, and what is
small waits with the large that it shares one with; and past one that finds no room go at most four times
``open_batches``, because a neighbour acknowledges without a gap. Its number is committed and must not be
used for other items (C4), so then that link stands until there is room.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from exchanged.batch import BatchSource, Content
from exchanged.errors import NoSpaceError, RemoteRefusedError, TransportError, VolumeDamagedError
from exchanged.ledger import batches, blobs, keeping, packets, statements
from exchanged.ledger.rows import BatchRow, PacketRow
from exchanged.link_context import LinkContext
from exchanged.mailbox import blob_name
from exchanged.settling import Settling
from exchanged.sources import BlobSource
from exchanged.transport import TURN_SECONDS, Source
from packet_spec.model import ItemKind
from packet_spec.waybill import decode_waybill

# A refusal is all that a server says of an account's quota.
_NO_ROOM: Final = (NoSpaceError, RemoteRefusedError)
# Two seconds of the slowest line.
_SMALL_BYTES: Final = 64 * 1024


@dataclass(slots=True)
class Putting:
    """Puts for one link. ``there`` are names known to lie whole in the mailbox, ``growing`` those half put.

    ``is_unfinished``: the last round ended with a blob that is not whole there yet, only because its turn
    was over. ``trouble``: what found no room in the last round, or broke a blob off; all else was tried.
    """

    link: LinkContext
    settling: Settling
    there: set[str] = field(default_factory=set)
    growing: set[str] = field(default_factory=set)
    is_unfinished: bool = False
    trouble: TransportError | None = None
    # The batches that found no room when they were tried last.
    _without_room: set[str] = field(default_factory=set)
    # Of this round: the size of the smallest batch that found no room.
    _no_room_for: int | None = None

    def begin(self) -> None:
        """A round begins: nothing was refused in it yet."""
        self._no_room_for, self.trouble = None, None

    def look(self) -> None:
        """Learn from the mailbox what of ours lies there, also of an earlier process."""
        own = self.link.transport.list_own()
        self.there, self.growing = {file.name for file in own.files}, set(own.growing)

    def names(self) -> set[str]:
        """What lies there of ours, whole or half put."""
        return self.there | self.growing

    def remove_all_but(self, keep: Container[str]) -> set[str]:
        """Remove our other files, and what is half put of them: it would keep its room for good (C1).

        Returns the names of the files that are gone.
        """
        removed = {name for name in self.there if name not in keep}
        for name in sorted(removed):
            self.link.transport.remove_own(name)
            self.there.discard(name)
        for name in sorted(name for name in self.growing if name not in keep):
            self.link.transport.discard_partial(name)
            self.growing.discard(name)
        return removed

    def put_beside(self, name: str, source: Source) -> bool:
        """Put what is no batch and no blob. False: there is no room for it, which holds up nothing else."""
        try:
            self.link.transport.put(name, source)
        except _NO_ROOM as error:
            self.trouble = error
            return False
        self.there.add(name)
        return True

    def put_open(self, rows: Sequence[BatchRow]) -> bool:
        """Put what of these open batches and their blobs is missing there. True when there was news.

        A blob for which there is no room holds up its own packet only: the neighbour asks for it (C6).
        Past a batch without room go smaller ones behind it: they may hold the receipts that make room. And a
        line that breaks while a blob is on its way ends the turn of the blobs, not that of the batches.
        """
        self.is_unfinished = False
        self._without_room.clear()
        changed = self._put_batches(self._ready(rows))
        ends = self.link.clock.monotonic() + TURN_SECONDS
        for digest, generation, size in self._wanted():
            if self.link.clock.monotonic() >= ends:
                self.is_unfinished = True
                break
            try:
                changed |= self._put_blob(digest, generation, size)
            except _NO_ROOM as error:
                self.trouble = error
            except TransportError as error:
                self.trouble = error
                break
        return self._put_batches(rows) or changed

    def lacks(self, rows: Iterable[BatchRow]) -> bool:
        """Something of these open batches, or of their blobs, is missing there."""
        return any(row.name not in self.there for row in rows) or bool(self._late() or self.settling.again)

    def put_small(self, rows: Sequence[BatchRow]) -> bool:
        """Put the batches that can go at once, if they are a moment's work. True when there was news."""
        ready = self._ready(rows)
        return sum(row.size for row in ready) <= _SMALL_BYTES and self._put_batches(ready)

    def went_past(self, rows: Iterable[BatchRow]) -> int:
        """How many of these open batches lie there behind one that found no room."""
        past, is_behind = 0, False
        for row in rows:
            past += is_behind and row.name in self.there
            is_behind |= row.name in self._without_room
        return past

    def late_streams(self, rows: Iterable[BatchRow]) -> dict[tuple[str, str], int]:
        """(case, receiver) -> row of the first packet in these batches whose blobs are not all there yet."""
        late = self._late()
        found: dict[tuple[str, str], int] = {}
        if not late:
            return found
        connection = self.link.ledger.read()
        for row in rows:
            if late.isdisjoint(batches.batch_blobs(connection, row.id)):
                continue
            for kind, reference in batches.still_carried(connection, row.id):
                if kind is not ItemKind.PACKET:
                    continue
                packet = packets.get(connection, reference)
                named = {blob.digest for blob in blobs.references(connection, packet.key)}
                if packet.case_key and named & late:
                    stream = (packet.case_key, packet.receiver)
                    found[stream] = min(found.get(stream, packet.id), packet.id)
        return found

    def with_bytes(self, packet: PacketRow) -> PacketRow:
        """A finished packet of our own still has its sealed bytes for the restore window (C23)."""
        if packet.bytes_at is not None or not packet.own:
            return packet
        kept = keeping.kept_bytes(self.link.ledger.read(), packet.id, packet.attempt)
        return replace(packet, bytes_at=kept)

    def _late(self) -> set[str]:
        wanted = batches.wanted_blobs(self.link.ledger.read(), self.link.name)
        return {digest for digest in wanted if blob_name(digest) not in self.there}

    def _ready(self, rows: Sequence[BatchRow]) -> list[BatchRow]:
        """The first batches, as long as all their blobs are there: none overtakes another."""
        late = self._late()
        connection = self.link.ledger.read()
        found: list[BatchRow] = []
        for row in rows:
            if row.name in self.there:
                continue
            if not late.isdisjoint(batches.batch_blobs(connection, row.id)):
                break
            found.append(row)
        return found

    def _wanted(self) -> list[tuple[str, int, int | None]]:
        """Blobs that must lie there, with generation and size, the smallest first."""
        connection = self.link.ledger.read()
        found: list[tuple[str, int, int | None]] = []
        for digest, named in batches.wanted_blobs(connection, self.link.name).items():
            if digest not in self.settling.again and blob_name(digest) in self.there:
                continue
            generation = blobs.live_generation(connection, digest) or named
            found.append((digest, generation, self.link.blobs.size(digest, generation)))
        return sorted(found, key=lambda entry: (entry[2] or 0, entry[0]))

    def _put_batches(self, rows: Iterable[BatchRow]) -> bool:
        changed = False
        for row in rows:
            if row.name in self.there:
                continue
            if self._no_room_for is not None and row.size >= self._no_room_for:
                self._without_room.add(row.name)
                continue
            try:
                changed |= self._put_batch(row)
            except _NO_ROOM as error:
                self.trouble, self._no_room_for = error, row.size
                self._without_room.add(row.name)
        return changed

    def _put_batch(self, row: BatchRow) -> bool:
        contents = self._contents(row)
        items = decode_waybill(row.waybill).items
        source = BatchSource(self.link.spool, row.waybill, row.signature, items, contents)
        try:
            self.link.transport.put(row.name, source)
        except VolumeDamagedError:
            if self._contents(row) == contents:
                raise
            # A packet in it became final, and its bytes went, while it was being put.
            return False
        self.there.add(row.name)
        return True

    def _put_blob(self, digest: str, generation: int, size: int | None) -> bool:
        name = blob_name(digest)
        if digest in self.settling.again:
            self.link.transport.discard_partial(name)
            # Where it lay corrupt it would be found so again, while the new one grows.
            self.link.transport.remove_own(name)
            self.there.discard(name)
            # Done once: a put in several turns must not begin at zero in each of them.
            self.settling.again.discard(digest)
        if size is None:
            return False
        self.growing.add(name)
        if not self.link.transport.put(name, BlobSource(self.link.blobs, digest, generation, size)):
            self.is_unfinished = True
            return False
        self.growing.discard(name)
        self.there.add(name)
        return True

    def _contents(self, row: BatchRow) -> list[Content]:
        """The items of a committed batch.

        A packet that is final everywhere has no bytes any more: then the neighbour finds the batch bad,
        and what else is in it goes out again under a new number.
        """
        connection = self.link.ledger.read()
        contents: list[Content] = []
        for kind, reference in batches.batch_items(connection, row.id):
            if kind is ItemKind.PACKET:
                where = self.with_bytes(packets.get(connection, reference)).bytes_at
                contents.append(where if where is not None else b"")
            else:
                contents.append(statements.get_document(connection, kind.value, reference))
        return contents
