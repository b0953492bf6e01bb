"""The ciphertext of a part: a stream of authenticated chunks (docs/packet-format.md, encrypted parts).

Guarantees: the same key and plaintext give the same bytes, whatever the blocks in which they come; a reader
gives out a chunk only after it was authenticated, and refuses a stream that was cut, extended, changed, or
whose chunks change places. Both sides stream, and hold two chunks at most.

    chunk k = ChaCha20-Poly1305 (RFC 8439) of 65,536 bytes of plaintext, the last one of what is left
    nonce   = k in eleven bytes, big-endian, and one byte: 1 in the last chunk, else 0

Leaves to others: keys (``encryption``). A key encrypts **one** plaintext in its life, because nonces count
from zero; callers take a new random one for each. Known limit: the cipher does not commit to its key, so a
stream may open under two keys with two plaintexts; the digest in packet.xml is what binds the plaintext.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from nacl.bindings import (
    crypto_aead_chacha20poly1305_ietf_decrypt,
    crypto_aead_chacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError

from packet_spec.errors import DecryptionError
from packet_spec.limits import KIB

KEY_BYTES: Final = 32

_CHUNK: Final = 64 * KIB
_TAG: Final = 16


def carried_size(size: int) -> int:
    """How many bytes a plaintext of ``size`` bytes has as carried."""
    chunks = max(1, -(-size // _CHUNK))
    return size + chunks * _TAG


def encrypt_blocks(key: bytes, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The stream of a plaintext that comes in blocks of any size. ``key``: 32 bytes, never used before."""
    for number, (chunk, is_last) in enumerate(_chunks(blocks, _CHUNK)):
        yield crypto_aead_chacha20poly1305_ietf_encrypt(chunk, None, _nonce(number, is_last), key)


def decrypt_blocks(key: bytes, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The plaintext of a stream that comes in blocks of any size.

    Whatever was given out before an error is authentic, but not all. Raises DecryptionError.
    """
    for number, (chunk, is_last) in enumerate(_chunks(blocks, _CHUNK + _TAG)):
        # Only the plaintext of no bytes has an empty chunk: else one content would have two streams.
        if len(chunk) < _TAG or (len(chunk) == _TAG and number):
            raise DecryptionError("an encrypted part ends in the middle of a chunk")
        try:
            yield crypto_aead_chacha20poly1305_ietf_decrypt(chunk, None, _nonce(number, is_last), key)
        except CryptoError as error:
            raise DecryptionError("an encrypted part does not open with its key") from error


def _nonce(number: int, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([is_last])


def _chunks(blocks: Iterable[bytes], size: int) -> Iterator[tuple[bytes, bool]]:
    """Chunks of exactly ``size`` bytes, and a last one of at most so many, marked."""
    held = b""
    for block in blocks:
        held += block
        start = 0
        # A full chunk may be the last one: it waits for a byte behind it.
        while len(held) - start > size:
            yield held[start : start + size], False
            start += size
        held = held[start:]
    yield held, True
