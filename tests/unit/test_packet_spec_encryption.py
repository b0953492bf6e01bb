"""Wrapped keys open for whom they were wrapped, in the packet that they were wrapped for, nowhere else."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace

import pytest
from nacl.public import PrivateKey as BoxKey
from nacl.public import SealedBox

from packet_spec.encryption import (
    SUITE,
    DecryptionKey,
    Randomness,
    open_content_key,
    seal_box,
    seal_content_key,
    unwrap_keys,
    wrap_keys,
)
from packet_spec.errors import (
    DecryptionError,
    DecryptionKeyMissingError,
    EncryptionError,
    SchemaError,
    UnknownSuiteError,
)
from packet_spec.model import Seal, SealEncryption
from packet_spec.seal_document import decode_seal, encode_seal
from packet_spec.signing import PublicKey
from tests.support.documents import COURT, PROCURATORATE, make_seal

OLD, NEW, COURTS, STRANGER = (DecryptionKey(bytes([number]) * 32) for number in (7, 8, 9, 10))
CONTENT_KEYS = {part.index: bytes([100 + part.index]) * 32 for part in make_seal().parts}
TO = ((PROCURATORATE, OLD.public_key), (PROCURATORATE, NEW.public_key), (COURT, COURTS.public_key))


def ring(*keys: DecryptionKey) -> Callable[[str], DecryptionKey | None]:
    return {key.key_id: key for key in keys}.get


def wrapped(seal: Seal | None = None) -> Seal:
    randomness = Randomness(b"p" * 32, tuple(bytes([50 + number]) * 32 for number in range(len(TO))))
    return wrap_keys(seal or make_seal(), CONTENT_KEYS, TO, randomness)


@pytest.mark.parametrize(("node", "key"), [(PROCURATORATE, OLD), (PROCURATORATE, NEW), (COURT, COURTS)])
def test_each_key_of_each_recipient_opens_every_part(node, key):
    assert unwrap_keys(wrapped(), node, ring(key)) == CONTENT_KEYS


def test_a_seal_carries_what_was_wrapped():
    seal = wrapped()
    assert decode_seal(encode_seal(seal)) == seal
    assert seal.encryption is not None
    assert seal.encryption.suite == SUITE
    assert b"enc=" not in encode_seal(make_seal())


def test_without_a_private_key_the_packet_waits():
    with pytest.raises(DecryptionKeyMissingError):
        unwrap_keys(wrapped(), PROCURATORATE, ring(STRANGER))


def test_a_node_that_nothing_was_wrapped_for_opens_nothing():
    with pytest.raises(DecryptionError):
        unwrap_keys(wrapped(), "620199-05-00", ring(OLD, NEW, COURTS))


def test_a_key_of_another_node_does_not_open_what_is_said_to_be_for_it():
    """The courts' box under the procuratorate's name: the binding names the node."""
    seal = wrapped()
    assert seal.encryption is not None
    moved = replace(seal.encryption.keys[2], node=PROCURATORATE)
    changed = replace(seal, encryption=SealEncryption(SUITE, (moved,)))
    with pytest.raises(DecryptionError):
        unwrap_keys(changed, PROCURATORATE, ring(COURTS))


@pytest.mark.parametrize(
    "change",
    [
        lambda seal: {"key": replace(seal.key, packet_id="0190a5b0-1c2d-7e3f-8a4b-5c6d7e8f9aff")},
        lambda seal: {"key": replace(seal.key, sender=COURT)},
        lambda seal: {"attempt": seal.attempt + 1},
        lambda seal: {"content_digest": "f" * 64},
        lambda seal: {"parts": (replace(seal.parts[0], digest="e" * 64), *seal.parts[1:])},
        lambda seal: {"parts": (replace(seal.parts[0], size=1), *seal.parts[1:])},
        lambda seal: {
            "parts": (
                replace(seal.parts[0], enc=seal.parts[1].enc),
                replace(seal.parts[1], enc=seal.parts[0].enc),
                *seal.parts[2:],
            )
        },
    ],
)
def test_wrapped_keys_open_in_no_other_packet_and_for_no_other_part(change):
    seal = wrapped()
    with pytest.raises(DecryptionError):
        unwrap_keys(replace(seal, **change(seal)), PROCURATORATE, ring(OLD))


def test_every_flipped_bit_of_a_box_and_of_a_parts_key_is_refused():
    seal = wrapped()
    assert seal.encryption is not None
    first = seal.encryption.keys[0]
    for place in range(len(first.box)):
        box = bytes(byte ^ (1 << place % 8) if at == place else byte for at, byte in enumerate(first.box))
        changed = replace(seal, encryption=SealEncryption(SUITE, (replace(first, box=box),)))
        with pytest.raises(DecryptionError):
            unwrap_keys(changed, PROCURATORATE, ring(OLD))
    part = seal.parts[0]
    for place in range(len(part.enc)):
        enc = bytes(byte ^ (1 << place % 8) if at == place else byte for at, byte in enumerate(part.enc))
        changed = replace(seal, parts=(replace(part, enc=enc), *seal.parts[1:]))
        with pytest.raises(DecryptionError):
            unwrap_keys(changed, PROCURATORATE, ring(OLD))


@pytest.mark.parametrize("box", [b"", b"x", b"x" * 47, b"x" * 200])
def test_boxes_of_other_lengths_are_refused(box):
    with pytest.raises(DecryptionError):
        OLD.open(box)


def test_an_unknown_suite_is_held():
    seal = wrapped()
    assert seal.encryption is not None
    with pytest.raises(UnknownSuiteError):
        unwrap_keys(replace(seal, encryption=replace(seal.encryption, suite="sm2-sm4")), COURT, ring(COURTS))
    with pytest.raises(UnknownSuiteError):
        seal_box(PublicKey("sm2", b"x" * 32), b"m", b"r" * 32)


def test_a_box_is_libsodiums_sealed_box():
    box = seal_box(OLD.public_key, b"a message", b"e" * 32)
    assert SealedBox(BoxKey(bytes([7]) * 32)).decrypt(box) == b"a message"


def test_a_public_key_that_hides_nothing_is_refused():
    with pytest.raises(EncryptionError):
        seal_box(PublicKey("x25519", bytes(32)), b"m", b"r" * 32)


def test_a_kept_content_key_opens_for_its_own_ciphertext_only():
    box = seal_content_key(OLD.public_key, b"k" * 32, "a" * 64, b"e" * 32)
    assert open_content_key(OLD, box, "a" * 64) == b"k" * 32
    with pytest.raises(DecryptionError):
        open_content_key(OLD, box, "b" * 64)
    with pytest.raises(DecryptionError):
        open_content_key(NEW, box, "a" * 64)


def test_keys_show_and_pickle_nothing():
    assert (bytes([7]) * 32).hex() not in repr(OLD)
    assert "p" * 32 not in repr(Randomness(b"p" * 32, ()))
    with pytest.raises(TypeError):
        pickle.dumps(OLD)
    with pytest.raises(EncryptionError):
        DecryptionKey(b"short")


@pytest.mark.parametrize(
    "change",
    [
        lambda seal: {"encryption": None},
        lambda seal: {"parts": (replace(seal.parts[0], enc=b""), *seal.parts[1:])},
        lambda seal: {"encryption": replace(seal.encryption, keys=())},
        lambda seal: {"encryption": replace(seal.encryption, keys=(seal.encryption.keys[0],) * 2)},
        lambda seal: {
            "encryption": replace(
                seal.encryption,
                keys=tuple(replace(seal.encryption.keys[0], key_id=f"{n:032x}") for n in range(265)),
            )
        },
    ],
)
def test_a_seal_encrypts_all_of_its_parts_or_none_for_somebody(change):
    seal = wrapped()
    with pytest.raises(SchemaError):
        encode_seal(replace(seal, **change(seal)))


@pytest.mark.parametrize("spoil", [lambda text: text + "=", lambda text: text[:-1] + "*"])
def test_wrapped_keys_are_written_in_one_way(spoil):
    data = encode_seal(wrapped())
    start = data.index(b'enc="') + 5
    end = data.index(b'"', start)
    changed = data[:start] + spoil(data[start:end].decode()).encode() + data[end:]
    with pytest.raises(SchemaError):
        decode_seal(changed)
