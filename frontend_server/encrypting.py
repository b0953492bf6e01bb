"""Make of a drop what will travel: encrypted where the directory wants it, else as it was copied.

Guarantees: every part is encrypted under a key of its own, streaming, into a private flushed file or, when it
is carried inline, in memory; the content is compared with its digest once more while it is read. What lies
here already as a ciphertext is used as it is, and only its key is wrapped anew. Keys stand in no text.

Leaves to others: for whom (``checking``), the seal (``sealing``), and the ledger (``acceptance``). Known
limit: until it is sealed, the private copy beside the blobs is in clear, because it is looked into.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from exchanged.blobs import BlobStore
from exchanged.clock import Clock, Randomness
from exchanged.decryption_keys import DecryptionKeys
from exchanged.disk_floor import DiskFloor
from exchanged.durable import DurableFiles
from exchanged.errors import FileOperationError
from exchanged.ledger import Ledger, ciphertexts
from exchanged.ledger.ciphertexts import Ciphertext
from exchanged.ranges import RangeReader
from exchanged.trust import Trust
from frontend_server.copying import SUFFIX, CopiedDrop, CopiedPart, choose_carriages
from packet_spec.encryption import Randomness as WrapRandomness
from packet_spec.encryption import open_content_key, seal_content_key, wrap_keys
from packet_spec.errors import DecryptionError, DigestMismatchError, ExchangeError
from packet_spec.identity import content_digest, sha256_hex
from packet_spec.model import Carriage, Seal, SealPart
from packet_spec.part_cipher import KEY_BYTES, carried_size, encrypt_blocks
from packet_spec.signing import PublicKey, new_hasher

Recipients = tuple[tuple[str, PublicKey], ...]
"""(node code, public key): everybody's keys that the parts are encrypted to."""


@dataclass(frozen=True, slots=True)
class Carried:
    """A drop as it will travel. ``content_keys`` by index of the part; none when it travels in clear.

    ``learned`` are the ciphertexts that will lie here with it and were not known before.
    """

    drop: CopiedDrop
    recipients: Recipients = ()
    content_keys: Mapping[int, bytes] = field(default_factory=dict, repr=False)
    learned: tuple[Ciphertext, ...] = field(default=(), repr=False)

    @property
    def is_encrypted(self) -> bool:
        """The parts are ciphertexts."""
        return bool(self.content_keys)


class _Plain:
    """One part in clear, read once and compared with its digest."""

    def __init__(self, copied: CopiedPart) -> None:
        self._copied = copied

    def blocks(self) -> Iterator[bytes]:
        """Raises DigestMismatchError when the private copy is not what was hashed."""
        hasher, part = new_hasher(), self._copied.part
        for block in self._read():
            hasher.update(block)
            yield block
        if hasher.hexdigest() != part.digest:
            raise DigestMismatchError("the copy of an attachment changed", where=f"part {part.index}")

    def _read(self) -> Iterable[bytes]:
        if self._copied.path is None:
            return (self._copied.data,)
        return self._from_file()

    def _from_file(self) -> Iterator[bytes]:
        assert self._copied.path is not None  # noqa: S101 - asked before
        with RangeReader(self._copied.path, 0, self._copied.part.size) as reader:
            yield from reader.blocks()


# A part as carried, its content key, and whether its ciphertext was made just now.
_Done = tuple[CopiedPart, bytes, bool]


class Encrypter:
    """Encrypts the drops of one front-end. Used by one thread. ``node`` is its code."""

    def __init__(
        self,
        node: str,
        ledger: Ledger,
        blobs: BlobStore,
        files: DurableFiles,
        trust: Trust,
        keys: DecryptionKeys,
        clock: Clock,
        randomness: Randomness,
        floor: DiskFloor,
    ) -> None:
        self._node = node
        self._ledger = ledger
        self._blobs = blobs
        self._files = files
        self._trust = trust
        self._keys = keys
        self._clock = clock
        self._randomness = randomness
        self._floor = floor

    def carry(self, drop: CopiedDrop, recipients: Recipients) -> Carried:
        """The drop as it travels to ``recipients``: in clear without any.

        Raises NoSpaceError, FileOperationError, VolumeDamagedError and DigestMismatchError; nothing is left
        then.
        """
        if not recipients:
            return Carried(drop)
        known = [self._stored(each.part) for each in drop.parts]
        fresh = [each for each, found in zip(drop.parts, known, strict=True) if found is None]
        self._floor.require(sum(carried_size(each.part.size) for each in fresh))
        sizes = iter(choose_carriages([carried_size(each.part.size) for each in fresh]))
        done: list[_Done] = []
        try:
            for copied, found in zip(drop.parts, known, strict=True):
                carriage = Carriage.BLOB if found is not None else next(sizes)
                done.append(found or _twin(done, drop, copied) or self._encrypt(copied, carriage))
        except ExchangeError:
            self._discard(part for part, _, _ in done)
            raise
        parts = tuple(part for part, _, _ in done)
        listing = ((each.part.name, each.part.size, each.part.digest) for each in parts)
        return Carried(
            replace(drop, parts=parts, content_digest=content_digest(drop.packet_digest, listing)),
            recipients,
            {part.part.index: key for part, key, _ in done},
            tuple(self._learn(drop, done)),
        )

    def finish(self, carried: Carried, seal: Seal) -> Seal:
        """The seal with the keys of its parts. Raises EncryptionError, UnknownSuiteError."""
        if not carried.is_encrypted:
            return seal
        ephemeral = tuple(self._randomness.token(KEY_BYTES) for _ in carried.recipients)
        randomness = WrapRandomness(self._randomness.token(KEY_BYTES), ephemeral)
        return wrap_keys(seal, carried.content_keys, carried.recipients, randomness)

    def discard(self, carried: Carried) -> None:
        """Remove what was encrypted and not adopted; of a drop in clear nothing is ours."""
        if carried.is_encrypted:
            self._discard(carried.drop.parts)

    # --- one part ------------------------------------------------------------------------------

    def _stored(self, part: SealPart) -> _Done | None:
        """The ciphertext of that content that lies here and whose key can be opened, as this part."""
        for each in ciphertexts.stored(self._ledger.read(), part.digest):
            key = self._keys.find(each.key_id)
            if key is None or each.size != part.size:
                continue
            with suppress(DecryptionError):
                content_key = open_content_key(key, each.wrapped, each.digest)
                carried = replace(
                    part, size=carried_size(part.size), digest=each.digest, carriage=Carriage.BLOB
                )
                return CopiedPart(carried), content_key, False
        return None

    def _encrypt(self, copied: CopiedPart, carriage: Carriage) -> _Done:
        key = self._randomness.token(KEY_BYTES)
        stream = encrypt_blocks(key, _Plain(copied).blocks())
        size = carried_size(copied.part.size)
        if carriage is Carriage.INLINE:
            data = b"".join(stream)
            part = replace(copied.part, size=size, digest=sha256_hex(data), carriage=carriage)
            return CopiedPart(part, data), key, True
        path = self._blobs.incoming / f"{self._randomness.token(12).hex()}{SUFFIX}"
        try:
            fetched = self._files.copy_blocks(path, stream, limit_bytes=size)
        except ExchangeError:
            with suppress(FileOperationError):
                self._files.unlink(path)
            raise
        part = replace(copied.part, size=fetched.size, digest=fetched.digest, carriage=carriage)
        return CopiedPart(part, path=path), key, True

    def _learn(self, drop: CopiedDrop, done: Sequence[_Done]) -> Iterator[Ciphertext]:
        """What the ledger keeps of the blobs made just now: without a key of our own, nothing."""
        own = self._keys.own(self._trust.directory, self._node, self._clock.now())
        for copied, (carried, key, is_new) in zip(drop.parts, done, strict=True):
            if own is not None and is_new and carried.part.carriage is Carriage.BLOB:
                digest, ephemeral = carried.part.digest, self._randomness.token(KEY_BYTES)
                wrapped = seal_content_key(own.public_key, key, digest, ephemeral)
                yield Ciphertext(copied.part.digest, copied.part.size, digest, own.key_id, wrapped)

    def _discard(self, parts: Iterable[CopiedPart]) -> None:
        for part in parts:
            if part.path is not None:
                self._files.unlink(part.path)


def _twin(done: Sequence[_Done], drop: CopiedDrop, copied: CopiedPart) -> _Done | None:
    """The same content stands in the drop twice: one blob serves both parts."""
    wanted = (copied.part.digest, copied.part.size)
    for earlier, (carried, key, _) in zip(drop.parts, done, strict=False):
        is_blob = carried.part.carriage is Carriage.BLOB
        if is_blob and (earlier.part.digest, earlier.part.size) == wanted:
            part = replace(copied.part, size=carried.part.size, digest=carried.part.digest)
            return CopiedPart(replace(part, carriage=Carriage.BLOB)), key, False
    return None


IN_CLEAR: Final[Recipients] = ()
