"""Open the parts of an encrypted packet while it is staged.

Guarantees: a part is opened only from the ciphertext that the seal names; what does not open although its
ciphertext is whole is the sender's fault (DecryptionError), what is not that ciphertext is damage of our own
(DigestMismatchError). Content keys are held for the time of one staging, and stand in no text.

Leaves to others: writing the files (``staging``), and whether what they hold is sound (``opened``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exchanged.clock import Clock, Randomness
from exchanged.config_values import ScannerConfig
from exchanged.decryption_keys import DecryptionKeys
from exchanged.ledger.ciphertexts import Ciphertext
from exchanged.pool import WorkPool
from exchanged.slow_lane import Piece
from exchanged.trust import Trust
from frontend_server.opened import OpenedWork, check_opened
from packet_spec.encryption import seal_content_key, unwrap_keys
from packet_spec.errors import DecryptionError, ExchangeError
from packet_spec.findings import Finding
from packet_spec.model import Carriage, Seal, SealPart
from packet_spec.part_cipher import KEY_BYTES, decrypt_blocks
from packet_spec.signing import new_hasher


@dataclass(frozen=True, slots=True)
class OpenedContent:
    """Size in bytes and digest of what a part opened to."""

    size: int
    digest: str


@dataclass(slots=True)
class OpenPacket:
    """One packet being opened: its content keys, and what its parts opened to so far, by index."""

    keys: Mapping[int, bytes] = field(repr=False)
    contents: dict[int, OpenedContent] = field(default_factory=dict)

    def blocks(self, part: SealPart, carried: Iterable[bytes]) -> Iterator[bytes]:
        """The content of ``part``, whose ciphertext is ``carried``. Raises DecryptionError.

        ``carried`` raises when it is not the ciphertext that the seal names.
        """
        source = iter(carried)
        hasher, size = new_hasher(), 0
        try:
            for block in decrypt_blocks(self.keys[part.index], source):
                hasher.update(block)
                size += len(block)
                yield block
        except DecryptionError:
            # Should these bytes not be the sealed ones, reading them to the end says so, and blames nobody.
            for _ in source:
                pass
            raise
        self.contents[part.index] = OpenedContent(size, hasher.hexdigest())


@dataclass(frozen=True, slots=True)
class Opener:
    """What a front-end opens packets with. ``node`` is its code, ``packs`` the folder of the packs."""

    node: str
    keys: DecryptionKeys
    trust: Trust
    pool: WorkPool
    clock: Clock
    randomness: Randomness
    packs: Path
    scanner: ScannerConfig | None = None

    def open(self, seal: Seal) -> OpenPacket:
        """Raises DecryptionKeyMissingError and UnknownSuiteError (wait), DecryptionError, KeyFileError."""
        return OpenPacket(unwrap_keys(seal, self.node, self.keys.find))

    def learned(self, seal: Seal, packet: OpenPacket) -> Iterator[Ciphertext]:
        """What the ledger keeps, so that the stored ciphertexts are used again when they are sent on."""
        own = self.keys.own(self.trust.directory, self.node, self.clock.now())
        for part in seal.parts:
            if own is not None and part.carriage is Carriage.BLOB:
                content, ephemeral = packet.contents[part.index], self.randomness.token(KEY_BYTES)
                wrapped = seal_content_key(own.public_key, packet.keys[part.index], part.digest, ephemeral)
                yield Ciphertext(content.digest, content.size, part.digest, own.key_id, wrapped)

    def has_answer(self, work: OpenedWork) -> bool:
        """A check of it that took long is done: ``check`` can tell now."""
        return bool(self.pool.slow_pieces().get(Piece(check_opened, work).number))

    def check(self, work: OpenedWork) -> tuple[Finding, ...]:
        """Findings that refuse an opened packet. Raises what keeps it from being told yet."""
        (answer,) = self.pool.run(check_opened, [work])
        if isinstance(answer, ExchangeError):
            raise answer
        return answer
