from __future__ import annotations

import hashlib
import pickle

import pytest
from nacl.signing import SigningKey

from packet_spec.errors import FormatError, SignatureError, UnknownKeyError, UnknownSuiteError
from packet_spec.signing import (
    SUITE,
    Domain,
    PrivateKey,
    PublicKey,
    Signature,
    append_signature,
    decode_signature,
    encode_signature,
    new_hasher,
    open_document,
    sign_document,
    split_signed,
    verify,
)

ONE = PrivateKey.from_seed(b"1" * 32)
TWO = PrivateKey.from_seed(b"2" * 32)
DOCUMENT = b"<a/>\n"


def lookup(key_id: str):
    return {ONE.key_id: ONE.public_key}.get(key_id)


def test_key_id_is_bound_to_suite_and_public_key():
    expected = hashlib.sha256(b"ed25519-sha256\n" + ONE.public_key.public).hexdigest()[:32]
    assert ONE.key_id == ONE.public_key.key_id == expected


def test_a_signature_counts_for_its_own_domain_only():
    signature = ONE.sign(Domain.RECEIPT, DOCUMENT)
    verify(Domain.RECEIPT, DOCUMENT, signature, ONE.public_key)
    for domain in set(Domain) - {Domain.RECEIPT}:
        with pytest.raises(SignatureError):
            verify(domain, DOCUMENT, signature, ONE.public_key)


def test_prefixes_are_signed_before_the_bytes():
    # RFC 8032 signatures are deterministic: a foreign signer must come to the same bytes.
    foreign = SigningKey(b"1" * 32).sign(b"exchanged-hop-1\n" + DOCUMENT).signature
    assert ONE.sign(Domain.HOP, DOCUMENT).value == foreign


@pytest.mark.parametrize("position", range(0, 64, 7))
def test_a_changed_signature_is_refused(position):
    signature = ONE.sign(Domain.SEAL, DOCUMENT)
    value = bytearray(signature.value)
    value[position] ^= 1
    with pytest.raises(SignatureError):
        verify(Domain.SEAL, DOCUMENT, Signature(SUITE, ONE.key_id, bytes(value)), ONE.public_key)


VALUE = ONE.sign(Domain.SEAL, DOCUMENT).value


@pytest.mark.parametrize(
    "signature",
    [
        Signature(SUITE, TWO.key_id, VALUE),
        Signature("sm2-sm3", ONE.key_id, VALUE),
        Signature(SUITE, ONE.key_id, VALUE[:-1]),
        Signature(SUITE, ONE.key_id, VALUE + b"\0"),
    ],
)
def test_key_suite_and_length_must_fit(signature):
    verify(Domain.SEAL, DOCUMENT, Signature(SUITE, ONE.key_id, VALUE), ONE.public_key)
    with pytest.raises(SignatureError):
        verify(Domain.SEAL, DOCUMENT, signature, ONE.public_key)


def test_a_short_public_key_is_refused():
    key = PublicKey(SUITE, bytes(31))
    with pytest.raises(SignatureError):
        verify(Domain.SEAL, DOCUMENT, Signature(SUITE, key.key_id, bytes(64)), key)


@pytest.mark.parametrize(
    "public",
    [
        bytes(32),
        bytes([1]) + bytes(31),
        bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        # Not canonical: the prime itself plus one.
        bytes.fromhex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ],
)
def test_low_order_and_non_canonical_keys_verify_nothing(public):
    # With a key of low order, R = identity and S = 0 would satisfy the bare equation for some messages.
    key = PublicKey(SUITE, public)
    for first in (bytes(32), bytes([1]) + bytes(31)):
        for number in range(16):
            with pytest.raises(SignatureError):
                verify(Domain.SEAL, bytes([number]), Signature(SUITE, key.key_id, first + bytes(32)), key)


def test_a_signature_with_s_beyond_the_group_order_is_refused():
    signature = ONE.sign(Domain.SEAL, DOCUMENT)
    order = 2**252 + 27742317777372353535851937790883648493
    s = int.from_bytes(signature.value[32:], "little") + order
    value = signature.value[:32] + s.to_bytes(32, "little")
    with pytest.raises(SignatureError):
        verify(Domain.SEAL, DOCUMENT, Signature(SUITE, ONE.key_id, value), ONE.public_key)


def test_an_unknown_suite_is_held_not_refused():
    key = PublicKey("sm2-sm3", bytes(64))
    with pytest.raises(UnknownSuiteError) as caught:
        verify(Domain.SEAL, DOCUMENT, Signature("sm2-sm3", key.key_id, bytes(64)), key)
    assert caught.value.temporary
    with pytest.raises(UnknownSuiteError):
        PrivateKey.from_seed(bytes(32), "sm2-sm3")


def test_private_keys_show_nothing():
    assert ONE.export_seed() == b"1" * 32
    assert "31" * 4 not in repr(ONE)
    assert "1111" not in repr(ONE)
    assert repr(ONE) == str(ONE) == "PrivateKey(...)"
    with pytest.raises(TypeError):
        pickle.dumps(ONE)
    with pytest.raises(SignatureError):
        PrivateKey.from_seed(b"short")


def test_contents_are_named_by_sha256():
    assert new_hasher().hexdigest() == hashlib.sha256().hexdigest()


def test_documents_are_followed_by_one_line_per_signature():
    signed = sign_document(DOCUMENT, Domain.DIRECTORY, [ONE, TWO])
    assert signed.startswith(DOCUMENT + b"<!--exchanged-signature ed25519-sha256 " + ONE.key_id.encode())
    assert signed.count(b"\n") == 3
    document, signatures = split_signed(signed)
    assert document == DOCUMENT
    assert [signature.key_id for signature in signatures] == [ONE.key_id, TWO.key_id]
    assert append_signature(sign_document(DOCUMENT, Domain.DIRECTORY, [ONE]), Domain.DIRECTORY, TWO) == signed


def test_an_unsigned_document_splits_into_itself():
    assert split_signed(DOCUMENT) == (DOCUMENT, ())
    assert append_signature(DOCUMENT, Domain.HOP, ONE) == sign_document(DOCUMENT, Domain.HOP, [ONE])


SIGNED = sign_document(DOCUMENT, Domain.RECEIPT, [ONE])
LINE = SIGNED[len(DOCUMENT) :]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<a/>",
        LINE,
        b"<a/>" + LINE,
        SIGNED[:-1],
        SIGNED + b"\n",
        SIGNED + b"<b/>\n",
        SIGNED + LINE,
        SIGNED.replace(b"-->", b" -->"),
        SIGNED.replace(ONE.key_id.encode(), ONE.key_id.upper().encode() + b"X"),
        SIGNED.replace(b"-->\n", b"-->\r\n"),
        DOCUMENT + LINE.replace(b"ed25519-sha256", b"Ed25519"),
    ],
)
def test_a_trailer_in_any_other_form_is_refused(data):
    with pytest.raises(FormatError):
        split_signed(data)


def test_too_many_signatures_are_refused():
    keys = [PrivateKey.from_seed(bytes([number]) * 32) for number in range(33)]
    assert len(split_signed(sign_document(DOCUMENT, Domain.DIRECTORY, keys[:32]))[1]) == 32
    with pytest.raises(FormatError):
        sign_document(DOCUMENT, Domain.DIRECTORY, keys)


def test_a_signed_document_is_not_signed_again():
    with pytest.raises(FormatError):
        sign_document(SIGNED, Domain.RECEIPT, [TWO])
    with pytest.raises(FormatError):
        append_signature(SIGNED, Domain.RECEIPT, ONE)


def test_opening_needs_exactly_one_valid_signature_of_a_known_key():
    assert open_document(SIGNED, Domain.RECEIPT, lookup) == (DOCUMENT, ONE.key_id)
    with pytest.raises(UnknownKeyError):
        open_document(sign_document(DOCUMENT, Domain.RECEIPT, [TWO]), Domain.RECEIPT, lookup)
    with pytest.raises(SignatureError, match="one signature"):
        open_document(DOCUMENT, Domain.RECEIPT, lookup)
    with pytest.raises(SignatureError, match="one signature"):
        open_document(sign_document(DOCUMENT, Domain.RECEIPT, [ONE, TWO]), Domain.RECEIPT, lookup)
    with pytest.raises(SignatureError, match="wrong"):
        open_document(b"<b/>\n" + LINE, Domain.RECEIPT, lookup)


def test_detached_signatures_are_one_line():
    signature = ONE.sign(Domain.SEAL, DOCUMENT)
    line = encode_signature(signature)
    assert decode_signature(line) == signature
    for wrong in (b"", line[:-1], line + line, b" " + line, line.replace(b" ", b"  "), line.upper()):
        with pytest.raises(FormatError):
            decode_signature(wrong)
