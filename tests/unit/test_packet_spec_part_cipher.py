"""The stream of an encrypted part: what is cut, changed, moved or added is refused."""

from __future__ import annotations

import pytest
from nacl.bindings import crypto_aead_chacha20poly1305_ietf_encrypt

from packet_spec.errors import DecryptionError
from packet_spec.part_cipher import carried_size, decrypt_blocks, encrypt_blocks

KEY = bytes(range(32))
CHUNK = 65536
STEP = CHUNK + 16


def content(size: int) -> bytes:
    return (b"fictional evidence " * (size // 19 + 1))[:size]


def encrypted(data: bytes) -> bytes:
    return b"".join(encrypt_blocks(KEY, [data]))


def decrypted(stream: bytes) -> bytes:
    return b"".join(decrypt_blocks(KEY, [stream]))


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 17])
def test_every_size_comes_back_and_has_the_stated_size(size):
    stream = encrypted(content(size))
    assert decrypted(stream) == content(size)
    assert len(stream) == carried_size(size)


@pytest.mark.parametrize("block", [1000, CHUNK, CHUNK + 16, 300_000])
def test_blocks_do_not_matter(block):
    data = content(2 * CHUNK + 5)
    pieces = [data[start : start + block] for start in range(0, len(data), block)]
    stream = b"".join(encrypt_blocks(KEY, pieces))
    assert stream == encrypted(data)
    pieces = [stream[start : start + block] for start in range(0, len(stream), block)]
    assert b"".join(decrypt_blocks(KEY, pieces)) == data


def test_the_format_is_chunks_with_a_counter_and_a_mark_of_the_last():
    """Written once more, from the page alone."""
    data = content(CHUNK + 9)
    chunks = [
        crypto_aead_chacha20poly1305_ietf_encrypt(data[:CHUNK], b"", bytes(12), KEY),
        crypto_aead_chacha20poly1305_ietf_encrypt(data[CHUNK:], b"", bytes(10) + b"\1\1", KEY),
    ]
    assert encrypted(data) == b"".join(chunks)


@pytest.mark.parametrize("size", [0, 7, CHUNK, CHUNK + 3])
def test_every_cut_is_refused(size):
    stream = encrypted(content(size))
    ends = {0, 1, 15, 16, 17, STEP - 1, STEP, STEP + 1, len(stream) - 1} & set(range(len(stream)))
    for end in ends:
        with pytest.raises(DecryptionError):
            decrypted(stream[:end])


def test_every_flipped_bit_of_a_short_one_is_refused():
    stream = encrypted(content(40))
    for place in range(len(stream)):
        changed = bytearray(stream)
        changed[place] ^= 1 << (place % 8)
        with pytest.raises(DecryptionError):
            decrypted(bytes(changed))


@pytest.mark.parametrize(
    "rearrange",
    [
        lambda a, b, c: a + c + b,
        lambda a, b, c: b + a + c,
        lambda a, b, c: a + c,
        lambda a, b, c: a + b + b + c,
        lambda a, b, c: a + b,
        lambda a, b, c: a + b + c + c,
        lambda a, b, c: a + b + c + b"\0",
        lambda a, b, c: a + b + c + bytes(16),
        lambda a, b, c: c,
    ],
)
def test_chunks_that_change_places_go_or_come_are_refused(rearrange):
    stream = encrypted(content(2 * CHUNK + 100))
    with pytest.raises(DecryptionError):
        decrypted(rearrange(stream[:STEP], stream[STEP : 2 * STEP], stream[2 * STEP :]))


def test_an_empty_last_chunk_is_refused_behind_a_full_one():
    """Else one content would have two streams."""
    full = crypto_aead_chacha20poly1305_ietf_encrypt(content(CHUNK), b"", bytes(12), KEY)
    empty = crypto_aead_chacha20poly1305_ietf_encrypt(b"", b"", bytes(10) + b"\1\1", KEY)
    with pytest.raises(DecryptionError):
        decrypted(full + empty)


def test_another_key_opens_nothing():
    with pytest.raises(DecryptionError):
        b"".join(decrypt_blocks(bytes(32), [encrypted(content(5))]))
