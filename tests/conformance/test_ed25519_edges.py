"""Ed25519 at its edges: where libraries differ, both of our verifiers refuse; elsewhere two libraries agree.

The published vectors are those of "Taming the many EdDSAs" (tests/vectors/ed25519). What a forger could make
of a weak key is made here: for a library without the strict rules these forgeries are good.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import ModuleType

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from nacl.bindings import (
    crypto_core_ed25519_add,
    crypto_core_ed25519_is_valid_point,
    crypto_scalarmult_ed25519_base_noclamp,
)
from nacl.exceptions import CryptoError
from nacl.signing import VerifyKey

from packet_spec.errors import SignatureError
from packet_spec.signing import (
    SUITE,
    Domain,
    PrivateKey,
    PublicKey,
    Signature,
    open_document,
    sign_document,
    verify,
)
from packet_spec.suites import signing_suite

_HERE = Path(__file__).parents[1]
VECTORS = json.loads((_HERE / "vectors" / "ed25519" / "edges.json").read_text("utf-8"))
_ORDER = 2**252 + 27742317777372353535851937790883648493
# A point of order 8, and the neutral one.
_TORSION = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
_NEUTRAL = bytes([1]) + bytes(31)

Takes = Callable[[bytes, bytes, bytes], bool]


def by_nacl(public: bytes, message: bytes, value: bytes) -> bool:
    try:
        VerifyKey(public).verify(message, value)
    except CryptoError:
        return False
    return True


def by_openssl(public: bytes, message: bytes, value: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(value, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def strictly(takes: Takes) -> Takes:
    """The rule of docs/proof-format.md upon any library."""
    return lambda public, *rest: crypto_core_ed25519_is_valid_point(public) and takes(public, *rest)


def by_us(public: bytes, message: bytes, value: bytes) -> bool:
    """``message`` begins with the prefix of a seal."""
    key = PublicKey(SUITE, public)
    try:
        verify(Domain.SEAL, message.removeprefix(Domain.SEAL.value), Signature(SUITE, key.key_id, value), key)
    except SignatureError:
        return False
    return True


@pytest.fixture(scope="module")
def second() -> ModuleType:
    program = _HERE.parent / "examples" / "proof" / "verify_proof.py"
    spec = importlib.util.spec_from_file_location("second_verifier", program)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def by_the_second(second: ModuleType) -> Takes:
    def takes(public: bytes, message: bytes, value: bytes) -> bool:
        key = {"suite": SUITE, "public": public.hex()}
        try:
            second.verify(key, SUITE, "seal", message.removeprefix(Domain.SEAL.value), value)
        except second.Fault:
            return False
        return True

    return takes


def challenge(value_r: bytes, public: bytes, message: bytes) -> int:
    return int.from_bytes(hashlib.sha512(value_r + public + message).digest(), "little") % _ORDER


def forged_neutral() -> tuple[bytes, bytes, bytes]:
    """Under the neutral point as key this signature is good for every message."""
    return _NEUTRAL, Domain.SEAL.value + b"<seal/>\n", _NEUTRAL + bytes(32)


def forged_small() -> tuple[bytes, bytes, bytes]:
    """Under a key of order 8, for one message of eight."""
    for number in count():
        message = Domain.SEAL.value + b"<seal n='%d'/>\n" % number
        if challenge(_NEUTRAL, _TORSION, message) % 8 == 0:
            return _TORSION, message, _NEUTRAL + bytes(32)
    raise AssertionError


def signed_mixed() -> tuple[bytes, bytes, bytes]:
    """By a key with a part of order 8: who holds it can choose which verifiers take the signature."""
    secret, nonce = 7 * 2**200 + 5, 11 * 2**199 + 3
    genuine = crypto_scalarmult_ed25519_base_noclamp(secret.to_bytes(32, "little"))
    public = crypto_core_ed25519_add(genuine, _TORSION)
    value_r = crypto_scalarmult_ed25519_base_noclamp(nonce.to_bytes(32, "little"))
    for number in count():
        message = Domain.SEAL.value + b"<seal n='%d'/>\n" % number
        factor = challenge(value_r, public, message)
        if factor % 8 == 0:
            value_s = (nonce + factor * secret) % _ORDER
            return public, message, value_r + value_s.to_bytes(32, "little")
    raise AssertionError


def genuine(number: int) -> tuple[bytes, bytes, bytes]:
    key = PrivateKey.from_seed(bytes([number]) * 32)
    return key.public_key.public, Domain.SEAL.value + b"<seal/>\n", key.sign(Domain.SEAL, b"<seal/>\n").value


def above_the_order() -> tuple[bytes, bytes, bytes]:
    """The same signature with S + L: good by the equation, and another text for it."""
    public, message, value = genuine(1)
    raised = int.from_bytes(value[32:], "little") + _ORDER
    return public, message, value[:32] + raised.to_bytes(32, "little")


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["odd"])
def test_two_libraries_agree_to_refuse_every_published_vector(vector: dict[str, str]) -> None:
    public, message, value = (bytes.fromhex(vector[name]) for name in ("public", "message", "signature"))
    assert not strictly(by_nacl)(public, message, value)
    assert not strictly(by_openssl)(public, message, value)
    # The bare rule: the messages of the vectors bear no prefix of ours.
    assert not signing_suite(SUITE).is_signed(public, message, value)


def test_the_libraries_alone_differ_on_some() -> None:
    """Else the strict rule would have nothing to do, and this test nothing to show."""
    found = [
        [takes(*(bytes.fromhex(vector[name]) for name in ("public", "message", "signature")))
         for takes in (by_nacl, by_openssl)]
        for vector in VECTORS
    ]  # fmt: skip
    assert len(found) == 12
    assert any(nacl != openssl for nacl, openssl in found)


@pytest.mark.parametrize("forge", [forged_neutral, forged_small, signed_mixed])
def test_a_signature_under_a_weak_key_that_a_library_takes_is_refused_by_both_verifiers(
    forge: Callable[[], tuple[bytes, bytes, bytes]], second: ModuleType
) -> None:
    made = forge()
    assert by_openssl(*made)
    assert not by_us(*made)
    assert not by_the_second(second)(*made)
    assert not strictly(by_nacl)(*made)


def test_a_second_text_of_one_signature_is_refused_by_all(second: ModuleType) -> None:
    made = above_the_order()
    assert not any(takes(*made) for takes in (by_nacl, by_openssl, by_us, by_the_second(second)))


@pytest.mark.parametrize("number", range(1, 9))
def test_all_agree_on_what_was_signed_as_one_signs(number: int, second: ModuleType) -> None:
    public, message, value = genuine(number)
    for takes in (by_nacl, by_openssl, by_us, by_the_second(second)):
        assert takes(public, message, value)
        assert not takes(public, message + b" ", value)
        for place in (0, 31, 32, 63):
            changed = bytearray(value)
            changed[place] ^= 1
            assert not takes(public, message, bytes(changed))


@pytest.mark.parametrize("size", [0, 1, 31, 32, 63, 65, 96, 128])
def test_a_signature_of_another_length_is_refused_by_both_verifiers(size: int, second: ModuleType) -> None:
    public, message, value = genuine(1)
    other = (value + value)[:size]
    assert not by_us(public, message, other)
    assert not by_the_second(second)(public, message, other)


@pytest.mark.parametrize("size", [0, 1, 31, 33, 64])
def test_a_key_of_another_length_is_refused_by_both_verifiers(size: int, second: ModuleType) -> None:
    public, message, value = genuine(1)
    other = (public + public)[:size]
    assert not by_us(other, message, value)
    assert not by_the_second(second)(other, message, value)


def test_a_signature_counts_under_the_id_of_its_own_key_alone(second: ModuleType) -> None:
    """Key id confusion: who can name keys must not make one speak for another."""
    document = b"<receipt/>\n"
    ours, theirs = (PrivateKey.from_seed(bytes([number]) * 32) for number in (1, 2))
    made = ours.sign(Domain.RECEIPT, document)
    keys = {key.key_id: key.public_key for key in (ours, theirs)}
    verify(Domain.RECEIPT, document, made, keys[ours.key_id])
    # Its own value under the other's id, and the other's key under its own id.
    renamed = replace(made, key_id=theirs.key_id)
    for signature, key in (
        (renamed, keys[theirs.key_id]),
        (renamed, keys[ours.key_id]),
        (made, keys[theirs.key_id]),
        (replace(made, key_id=made.key_id.upper()), keys[ours.key_id]),
        (replace(made, key_id=""), keys[ours.key_id]),
        (replace(made, suite="ed25519-sha512"), keys[ours.key_id]),
    ):
        with pytest.raises(SignatureError):
            verify(Domain.RECEIPT, document, signature, key)
    signed = sign_document(document, Domain.RECEIPT, [ours])
    confused = signed.replace(ours.key_id.encode(), theirs.key_id.encode())
    assert open_document(signed, Domain.RECEIPT, keys.get) == (document, ours.key_id)
    with pytest.raises(SignatureError):
        open_document(confused, Domain.RECEIPT, keys.get)
    # A list of keys that gives one out as another: the id is made from the key, not from the list.
    with pytest.raises(SignatureError):
        open_document(signed, Domain.RECEIPT, {ours.key_id: theirs.public_key}.get)
    with pytest.raises(SignatureError):
        open_document(confused, Domain.RECEIPT, {theirs.key_id: ours.public_key}.get)
    # The same bytes as a key of another suite have another id.
    assert PublicKey("x25519", ours.public_key.public).key_id != ours.key_id
