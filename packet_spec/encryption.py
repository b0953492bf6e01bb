"""Keys of encrypted parts: for whom they are wrapped, and how a seal carries them.

Each part has a content key of its own; the seal wraps it with the *packet key*, and wraps the packet key for
every key of every recipient's node. So the same ciphertext is sent on by wrapping its content key anew.

Guarantees: what is wrapped names the packet, its attempt and content, the node and the part, and opens for no
other: nobody moves a wrapped key to another packet unnoticed. Keys show and pickle nothing of themselves.
Callers never name a cryptographic library.

Leaves to others: who must be able to read what (``encryption_rules``), the stream itself (``part_cipher``),
where private keys are kept. Randomness is an argument; each piece of it is used once.
Known limit: a sealed box says nothing of who made it; the signature of the seal does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NoReturn, TypeAlias

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
    crypto_box,
    crypto_box_seal_open,
    crypto_scalarmult_base,
)
from nacl.exceptions import CryptoError

from packet_spec.errors import (
    DecryptionError,
    DecryptionKeyMissingError,
    EncryptionError,
    UnknownSuiteError,
)
from packet_spec.model import Seal, SealEncryption, SealPart, WrappedKey
from packet_spec.part_cipher import KEY_BYTES
from packet_spec.signing import PublicKey

KEY_SUITE: Final = "x25519"
"""The suite of keys with the use ``encrypt``."""
SUITE: Final = "x25519-chacha20poly1305"
"""How packet keys, content keys and parts are encrypted; named in the seal."""

_NONCE: Final = 24


class DecryptionKey:
    """A private X25519 key in memory. It shows and pickles nothing of itself."""

    __slots__ = ("_public_key", "_secret")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise EncryptionError("a private key has the wrong length", expected=f"{KEY_BYTES} bytes")
        self._secret = bytes(secret)
        self._public_key = PublicKey(KEY_SUITE, crypto_scalarmult_base(self._secret))

    @property
    def public_key(self) -> PublicKey:
        """The public half."""
        return self._public_key

    @property
    def key_id(self) -> str:
        """The id that the directory and wrapped keys name."""
        return self._public_key.key_id

    def open(self, box: bytes) -> bytes:
        """What was sealed to this key. Raises DecryptionError."""
        try:
            return crypto_box_seal_open(box, self._public_key.public, self._secret)
        except (CryptoError, ValueError, TypeError) as error:
            raise DecryptionError("a wrapped key does not open", where=f"key {self.key_id}") from error

    def __repr__(self) -> str:
        return "DecryptionKey(...)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key is not pickled")


KeyRing: TypeAlias = Callable[[str], DecryptionKey | None]
"""The private key of an id, if this node holds it."""


@dataclass(frozen=True, slots=True)
class Randomness:
    """What one wrapping uses up: 32 random bytes for the packet key, and for each key it is wrapped to."""

    packet_key: bytes
    ephemeral: tuple[bytes, ...]

    def __repr__(self) -> str:
        return "Randomness(...)"


def seal_box(key: PublicKey, message: bytes, ephemeral: bytes) -> bytes:
    """The sealed box of libsodium to ``key``, with the given ephemeral secret of 32 random bytes.

    Raises UnknownSuiteError, and EncryptionError for a public key that hides nothing.
    """
    if key.suite != KEY_SUITE:
        raise UnknownSuiteError(
            f"the encryption suite {key.suite} is not known here", expected=KEY_SUITE, found=key.suite
        )
    public = crypto_scalarmult_base(ephemeral)
    nonce = hashlib.blake2b(public + key.public, digest_size=_NONCE).digest()
    try:
        return public + crypto_box(message, nonce, key.public, ephemeral)
    except (CryptoError, ValueError) as error:
        raise EncryptionError("nothing can be encrypted to this key", where=f"key {key.key_id}") from error


def wrap_keys(
    seal: Seal,
    content_keys: Mapping[int, bytes],
    recipients: Sequence[tuple[str, PublicKey]],
    randomness: Randomness,
) -> Seal:
    """``seal``, whose parts are ciphertexts, with their content keys wrapped for ``recipients``.

    ``content_keys`` by index of the part; ``recipients`` are (node code, key), one for each key of
    a node. Raises EncryptionError and UnknownSuiteError as ``seal_box``.
    """
    packet_key = randomness.packet_key
    boxes = tuple(
        WrappedKey(node, key.key_id, seal_box(key, packet_key + _packet_binding(seal, node), ephemeral))
        for (node, key), ephemeral in zip(recipients, randomness.ephemeral, strict=True)
    )
    parts = tuple(
        replace(
            part,
            enc=crypto_aead_xchacha20poly1305_ietf_encrypt(
                content_keys[part.index], _part_binding(seal, part), _part_nonce(part), packet_key
            ),
        )
        for part in seal.parts
    )
    return replace(seal, parts=parts, encryption=SealEncryption(SUITE, boxes))


def require_known_suite(seal: Seal) -> None:
    """Whether it is known here how the parts of ``seal`` are encrypted. Raises UnknownSuiteError (hold)."""
    suite = SUITE if seal.encryption is None else seal.encryption.suite
    if suite != SUITE:
        raise UnknownSuiteError(
            f"the encryption suite {suite} is not known here", expected=SUITE, found=suite
        )


def unwrap_keys(seal: Seal, node: str, ring: KeyRing) -> dict[int, bytes]:
    """The content key of each part, by index, for the node of that code.

    Raises DecryptionKeyMissingError when none of the keys that it was wrapped to is here (hold),
    UnknownSuiteError (hold), and DecryptionError when what was wrapped does not open, or for another packet:
    the sender's fault.
    """
    encryption = seal.encryption
    if encryption is None:
        return {}
    require_known_suite(seal)
    wrapped = [each for each in encryption.keys if each.node == node]
    if not wrapped:
        raise DecryptionError("the packet's keys are not wrapped for this node", where=f"node {node}")
    for each in wrapped:
        key = ring(each.key_id)
        if key is not None:
            packet_key = _open_packet_key(seal, each, key)
            return {part.index: _open_content_key(seal, part, packet_key) for part in seal.parts}
    raise DecryptionKeyMissingError(
        "the packet is encrypted to a key that is not here",
        where=f"packet {seal.key}",
        expected=" or ".join(each.key_id for each in wrapped),
    )


def seal_content_key(key: PublicKey, content_key: bytes, digest: str, ephemeral: bytes) -> bytes:
    """A content key as a node keeps it for itself, with the digest of the ciphertext that it opens.

    Raises as ``seal_box``.
    """
    return seal_box(key, content_key + bytes.fromhex(digest), ephemeral)


def open_content_key(key: DecryptionKey, box: bytes, digest: str) -> bytes:
    """The content key of ``seal_content_key``. Raises DecryptionError."""
    message = key.open(box)
    if len(message) != 2 * KEY_BYTES or message[KEY_BYTES:] != bytes.fromhex(digest):
        raise DecryptionError("a kept content key belongs to another ciphertext")
    return message[:KEY_BYTES]


def _open_packet_key(seal: Seal, wrapped: WrappedKey, key: DecryptionKey) -> bytes:
    message = key.open(wrapped.box)
    if len(message) != 2 * KEY_BYTES or message[KEY_BYTES:] != _packet_binding(seal, wrapped.node):
        raise DecryptionError("a wrapped key was made for another packet", where=f"packet {seal.key}")
    return message[:KEY_BYTES]


def _open_content_key(seal: Seal, part: SealPart, packet_key: bytes) -> bytes:
    try:
        content_key = crypto_aead_xchacha20poly1305_ietf_decrypt(
            part.enc, _part_binding(seal, part), _part_nonce(part), packet_key
        )
    except (CryptoError, ValueError) as error:
        raise DecryptionError("the key of a part does not open", where=f"part {part.index}") from error
    if len(content_key) != KEY_BYTES:
        raise DecryptionError("the key of a part has the wrong length", where=f"part {part.index}")
    return content_key


def _packet_binding(seal: Seal, node: str) -> bytes:
    """What a packet key is good for. The content digest covers every part as carried."""
    key = seal.key
    text = (
        f"exchanged-packet-key-1\n{key.sender} {key.packet_id} {seal.attempt} {seal.content_digest} {node}\n"
    )
    return hashlib.sha256(text.encode()).digest()


def _part_binding(seal: Seal, part: SealPart) -> bytes:
    key = seal.key
    place = f"{key.sender} {key.packet_id} {seal.attempt} {part.index} {part.size} {part.digest}"
    return f"exchanged-part-key-1\n{place}\n".encode()


def _part_nonce(part: SealPart) -> bytes:
    """A packet key is new with every seal, so the index is used once with it."""
    return part.index.to_bytes(_NONCE, "big")
