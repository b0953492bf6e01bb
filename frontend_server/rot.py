"""Bytes that have changed on this node's disk since they came, found when they are to be delivered.

Guarantees: where something does not read any more as it did when it was judged, this node looks at its own
bytes first. What is rotten is noted and told as everywhere (``exchanged.rotten``): a neighbour who wants to
leave that part out is asked for it, and an operator may give the packet up. What is good again is noted too.
Leaves to others: when delivery is tried again (``delivery``).
"""

from __future__ import annotations

from dataclasses import dataclass

from exchanged.errors import StoredPacketRottenError, StoredPartRottenError
from exchanged.ledger import Ledger, rotten
from exchanged.ledger.rows import PacketRow
from exchanged.places import SPOOL_FOLDER
from exchanged.rotten import tell_mended, tell_rotten_packet, tell_rotten_part
from exchanged.spool import Spool
from packet_spec.errors import (
    AuthorityError,
    DecryptionError,
    ExchangeError,
    FormatError,
    SignatureError,
    UnknownKeyError,
)
from packet_spec.signing import digest_of_blocks

# What the directory or the sender is the reason of, whatever the bytes are.
_OF_OTHERS = (AuthorityError, UnknownKeyError, DecryptionError)


@dataclass(frozen=True, slots=True)
class RotAtDelivery:
    """Of one front-end. Used by the thread that delivers."""

    ledger: Ledger
    spool: Spool

    def look(self, packet: PacketRow, error: ExchangeError) -> None:
        """Staging failed by ``error``: note it when that is rot.

        Raises StoredPacketRottenError in its place when the sealed packet is no longer what it was.
        """
        if isinstance(error, StoredPartRottenError):
            self.ledger.write(lambda tx: tell_rotten_part(tx, error))
        elif isinstance(error, FormatError | SignatureError) and not isinstance(error, _OF_OTHERS):
            self._look_at_packet(packet, error)

    def was_read(self, packet: PacketRow) -> None:
        """It was staged: its sealed bytes are what they were."""
        if rotten.is_packet_noted(self.ledger.read(), packet.id):
            self.ledger.write(lambda tx: rotten.packet_is_looked_at_again(tx, packet.id))

    def part_was_read(self, digest: str, generation: int) -> None:
        """A large part was read, and is what it should be."""
        if rotten.is_noted(self.ledger.read(), digest, generation):
            self.ledger.write(lambda tx: tell_mended(tx, digest, generation))

    def _look_at_packet(self, packet: PacketRow, error: ExchangeError) -> None:
        where = packet.bytes_at
        if where is None or not where.digest:
            return
        with self.spool.open_range(where) as reader:
            if digest_of_blocks(reader.blocks()) == where.digest:
                return
        file = f"{SPOOL_FOLDER}/{where.name}"
        self.ledger.write(lambda tx: tell_rotten_packet(tx, packet, file))
        raise StoredPacketRottenError(
            "a stored packet is not what it was when it came", where=file
        ) from error
