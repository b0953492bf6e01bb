"""Stored bytes that are no longer what they were when they were flushed: found where they are to go out.

A sealed packet is read and hashed whenever it goes into a batch, and its bytes are held against the digest
that the ledger keeps: other bytes put it on hold (``rotten_packet``). A large part is read when a neighbour
has found what was put to be another, and then until it is good: other bytes are put nowhere. It is also read
before a packet is refused for it (``examine``): then the packet is held. What is delivered here is read and
hashed then (``frontend_server.staging``).

Guarantees: told once, as an event under each packet that waits, in the log, and as a notice for as long as
somebody waits; the same file is not read again before it changes, and goes on by itself when it is whole
again; nothing is removed. Leaves to others: mending it (a person, or whoever brings that part once more).
Known limit: a part that rots goes out once, and only its receiver finds it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from exchanged.errors import StoredPartRottenError
from exchanged.ledger import Transaction, batches, effects, packets, rotten, waiting
from exchanged.ledger.rows import OutgoingRow, PacketRow
from exchanged.link_context import LinkContext
from exchanged.log import event_line
from exchanged.places import BLOB_FOLDER, SPOOL_FOLDER
from exchanged.ranges import SpoolRange
from exchanged.states import DestinationState, Event
from packet_spec.model import ItemKind
from packet_spec.signing import digest_of_blocks

FOUND: Final = "bytes-rotten"
MENDED: Final = "bytes-mended"
_MOST_TOLD: Final = 200

# What a file looked like when it was read: nobody can mend it without changing one of these.
_Looks: TypeAlias = tuple[int, int, int, int] | None


@dataclass(slots=True)
class RottenBytes:
    """Of one link. What was read and found rotten is read again only when its file looks otherwise.

    ``put_on_hold`` counts packets.
    """

    link: LinkContext
    put_on_hold: int = 0
    _suspects: set[str] = field(default_factory=set)
    _blobs: dict[str, tuple[int, _Looks]] = field(default_factory=dict)
    _packets: dict[int, tuple[SpoolRange, _Looks]] = field(default_factory=dict)

    # --- large parts ---------------------------------------------------------------------------

    def suspect(self, digest: str) -> None:
        """The neighbour found what was put to be another: the mailbox, or what is stored here."""
        self._suspects.add(digest)

    def is_rotten(self, digest: str, generation: int) -> bool:
        """The stored blob is not what it should be. Reads it only where there is a reason to doubt it."""
        is_noted = rotten.is_noted(self.link.ledger.read(), digest, generation)
        if digest not in self._suspects and not is_noted:
            return False
        looks = _looks(self.link.blobs.path(digest, generation))
        if self._blobs.get(digest) == (generation, looks):
            return True
        if self._digest_of_blob(digest, generation) == digest:
            self._suspects.discard(digest)
            self._blobs.pop(digest, None)
            if is_noted:
                self.link.ledger.write(partial(tell_mended, digest=digest, generation=generation))
            return False
        self._blobs[digest] = (generation, looks)
        if not is_noted:
            self.link.ledger.write(partial(tell_rotten_blob, digest=digest, generation=generation))
        return True

    def _digest_of_blob(self, digest: str, generation: int) -> str:
        return digest_of_blocks(self.link.blobs.blocks(digest, generation))

    # --- sealed packets ------------------------------------------------------------------------

    def digest_of(self, row: OutgoingRow, packet: PacketRow, where: SpoolRange) -> str | None:
        """The SHA-256 of the packet's bytes, or None when they are rotten: then it is not to be offered now.

        Raises VolumeDamagedError for bytes that are not where the packet has them.
        """
        path = self.link.spool.path(where.name)
        looks = _looks(path)
        if self._packets.get(row.id) == (where, looks):
            return None
        with self.link.spool.open_range(where) as reader:
            digest = digest_of_blocks(reader.blocks())
        if where.digest in ("", digest):
            if self._packets.pop(row.id, None) is not None:
                self.link.ledger.write(partial(rotten.packet_is_looked_at_again, packet=packet.id))
            return digest
        file = f"{SPOOL_FOLDER}/{where.name}"
        if self.link.ledger.write(partial(self._hold, row=row, packet=packet, file=file)):
            self.put_on_hold += 1
        else:
            # Nothing of it is queued: a restored neighbour wants it once more (C23).
            self._packets[row.id] = (where, looks)
        return None

    def _hold(self, transaction: Transaction, *, row: OutgoingRow, packet: PacketRow, file: str) -> bool:
        """Put it on hold on this link. False when it is not queued there."""
        if not waiting.still_due(transaction.connection, self.link.name, row):
            return True
        tell_rotten_packet(transaction, packet, file)
        queued = [
            each
            for each in packets.destinations(transaction.connection, packet.id)
            if each.link == self.link.name and each.state is DestinationState.QUEUED
        ]
        if not queued:
            return False
        batches.set_held(transaction, self.link.name, ItemKind.PACKET, packet.id, held=True)
        for destination in queued:
            packets.move(transaction, packet, destination, Event.HOLD, detail={"why": FOUND})
        if packet.own:
            effects.intend(transaction, "status", f"packet:{packet.id}")
            transaction.wake("intake")
        return True


def tell_rotten_blob(transaction: Transaction, digest: str, generation: int) -> None:
    """That generation was read and found to be rotten: no more is said that it is here. Told once."""
    if not rotten.note_blob(transaction, digest, generation):
        return
    detail = {"file": f"{BLOB_FOLDER}/{digest}.{generation}"}
    event_line(FOUND, level=40, file=detail["file"])
    concerned = rotten.packets_of_blob(transaction.connection, digest, _MOST_TOLD)
    for key in concerned:
        transaction.event(FOUND, key, detail=detail)
    if not concerned:
        transaction.event(FOUND, detail=detail)


def tell_rotten_part(transaction: Transaction, error: StoredPartRottenError) -> None:
    """As ``tell_rotten_blob``, of the file that the error names."""
    digest, _dot, generation = error.where.partition(".")
    tell_rotten_blob(transaction, digest, int(generation))


def tell_rotten_packet(transaction: Transaction, packet: PacketRow, file: str) -> None:
    """Its bytes in that file below the data directory were read, and are others. Told once."""
    if rotten.note_packet(transaction, packet.id):
        transaction.event(FOUND, packet.key, detail={"file": file})
        event_line(FOUND, level=40, packet=str(packet.key), file=file)


def tell_mended(transaction: Transaction, digest: str, generation: int) -> None:
    """That generation was read again, and is good."""
    rotten.blob_is_good(transaction, digest, generation)
    transaction.event(MENDED, detail={"file": f"{BLOB_FOLDER}/{digest}.{generation}"})


def _looks(path: Path) -> _Looks:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
