"""A police front-end in the hands of a test that seals encrypted packets, honest ones and others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from packet_spec.encryption import Randomness, wrap_keys
from packet_spec.encryption_rules import receiving_keys
from packet_spec.identity import content_digest, sha256_hex
from packet_spec.limits import INLINE_PART_BYTES
from packet_spec.model import Carriage, Route, Seal
from packet_spec.part_cipher import encrypt_blocks
from packet_spec.signing import PrivateKey, PublicKey
from tests.support.network import PROVINCE
from tests.support.peer import Peer, Sealed

ROUTES = (Route(encrypt="parts"),)


@dataclass
class Tampering:
    """What a dishonest front-end does.

    ``contents``: other bytes are encrypted than packet.xml lists, by file. ``stream``: the ciphertext of each
    part is changed before it is sealed. ``recipients``: for whom, else for everybody. ``wrapped``: the seal
    is changed before it is signed.
    """

    contents: Mapping[str, bytes] = field(default_factory=dict)
    stream: Callable[[bytes], bytes] = lambda data: data
    recipients: tuple[tuple[str, PublicKey], ...] | None = None
    wrapped: Callable[[Seal], Seal] = lambda seal: seal


class EncryptingPeer(Peer):
    """A Peer whose packets are encrypted as the directory of the province says."""

    tampering = Tampering()

    def pack(self, seal: Seal, packet_xml: bytes, contents: dict[str, bytes], key: PrivateKey) -> Sealed:
        """The packet with every part encrypted under a key that follows from its place."""
        keys = {part.index: hashlib.sha256(b"part %d" % part.index).digest() for part in seal.parts}
        contents = {**contents, **self.tampering.contents}
        streams = {
            part.name.decode(): self.tampering.stream(
                b"".join(encrypt_blocks(keys[part.index], [contents[part.name.decode()]]))
            )
            for part in seal.parts
        }
        parts = tuple(
            replace(
                part,
                size=len(streams[part.name.decode()]),
                digest=sha256_hex(streams[part.name.decode()]),
                carriage=Carriage.BLOB
                if len(streams[part.name.decode()]) > INLINE_PART_BYTES
                else Carriage.INLINE,
            )
            for part in seal.parts
        )
        listing = [(part.name, part.size, part.digest) for part in parts]
        seal = replace(seal, parts=parts, content_digest=content_digest(seal.packet_digest, listing))
        recipients = self.tampering.recipients
        if recipients is None:
            directory = self.network.nodes[PROVINCE].opened.trust.directory
            found = receiving_keys(directory, seal.recipients, seal.sealed_at)
            recipients = tuple((node, PublicKey(each.suite, each.public)) for node, each in found)
        used = Randomness(b"k" * 32, tuple(bytes([number + 1]) * 32 for number in range(len(recipients))))
        sealed = self.tampering.wrapped(wrap_keys(seal, keys, recipients, used))
        return super().pack(sealed, packet_xml, streams, key)
