"""Seal a drop: the signed list of what it holds, and the sealed packet in the spool (C11, C12).

Guarantees: what is signed is what was validated and copied; the same values give the same bytes. A group
file holds the packets of one scan and is flushed once, before the ledger names any of them.

Leaves to others: which id, attempt and number a packet bears, blobs, and the ledger (``acceptance``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from exchanged.durable import DurableWriter
from exchanged.keyring import KeyAt
from frontend_server.copying import CopiedDrop
from packet_spec.identity import PacketKey, sha256_hex
from packet_spec.model import Carriage, Envelope, PackStamp, Seal
from packet_spec.seal import encode_seal, write_packet
from packet_spec.signing import Domain, encode_signature, new_hasher


@dataclass(frozen=True, slots=True)
class SealNumbers:
    """What makes one seal differ from another of the same content (C12, C15)."""

    key: PacketKey
    attempt: int
    incarnation: str
    sequence: int
    sealed_at: datetime


@dataclass(frozen=True, slots=True)
class Checked:
    """How the document was read, and by which version of the standard it was found valid."""

    encoding: str
    pack: PackStamp


@dataclass(frozen=True, slots=True)
class SealedPacket:
    """A sealed packet in a group file: ``start`` and ``length`` in bytes, and the SHA-256 of these.

    The file may not be flushed yet.
    """

    seal: Seal
    seal_digest: str
    start: int
    length: int
    seal_bytes: bytes
    signature: bytes
    digest: str


class Sealer:
    """Makes and signs seals with the front-end's seal key."""

    def __init__(self, key: KeyAt) -> None:
        self._key = key

    def write(
        self,
        writer: DurableWriter,
        envelope: Envelope,
        checked: Checked,
        drop: CopiedDrop,
        numbers: SealNumbers,
        finish: Callable[[Seal], Seal] = lambda seal: seal,
    ) -> SealedPacket:
        """Append one sealed packet to a group. ``finish`` adds the keys of encrypted parts.

        Raises SchemaError when the values cannot be sealed; VolumeDamagedError and NoSpaceError.
        """
        seal = finish(self.make_seal(envelope, checked, drop, numbers))
        seal_bytes = encode_seal(seal)
        signature = encode_signature(self._key(numbers.sealed_at).sign(Domain.SEAL, seal_bytes))
        start, hasher = writer.offset, new_hasher()

        def append(block: bytes) -> None:
            hasher.update(block)
            writer.append(block)

        inline = {
            each.part.index: (each.data,) for each in drop.parts if each.part.carriage is Carriage.INLINE
        }
        length = write_packet(append, seal, seal_bytes, signature, drop.packet_xml, inline)
        digest = hasher.hexdigest()
        return SealedPacket(seal, sha256_hex(seal_bytes), start, length, seal_bytes, signature, digest)

    def make_seal(
        self, envelope: Envelope, checked: Checked, drop: CopiedDrop, numbers: SealNumbers
    ) -> Seal:
        """The seal of a drop, unsigned."""
        key = self._key(numbers.sealed_at)
        return Seal(
            key=numbers.key,
            attempt=numbers.attempt,
            receiver=envelope.receiver,
            copy_to=envelope.copy_to,
            business_type=envelope.business_type,
            sender_ref=envelope.sender_ref,
            priority=envelope.priority,
            expires_at=envelope.expires_at,
            sealed_at=numbers.sealed_at,
            key_id=key.key_id,
            suite=key.suite,
            incarnation=numbers.incarnation,
            sequence=numbers.sequence,
            pack=checked.pack,
            encoding=checked.encoding,
            packet_size=len(drop.packet_xml),
            packet_digest=drop.packet_digest,
            content_digest=drop.content_digest,
            parts=tuple(each.part for each in drop.parts),
        )
