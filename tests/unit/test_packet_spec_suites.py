"""The registry of signing suites, and what is told where one is not known."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from cli.directory_keys import parse_listed_key, require_uses
from exchanged.errors import KeyFileError
from exchanged.keys import generate_key, load_encryption_key, load_key, read_public_half
from exchanged.public_keys import parse_public_key, public_key_text
from packet_spec.directory import add_signature, encode_directory, open_directory, sign_directory
from packet_spec.errors import FormatError, SignatureError, UnknownSuiteError
from packet_spec.key_offer import KeyOffer, decode_key_offer, encode_key_offer, prove
from packet_spec.model import KeyUse, RootKey
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
from packet_spec.suites import Ed25519, SigningSuite, is_signing_suite, register_signing_suite
from tests.support.clock import FakeRandomness
from tests.support.documents import POLICE, ROOTS, make_directory
from tests.support.suites import SECOND, EcdsaP256, Ed448OverSha512, known

DOCUMENT = b"<a/>\n"
SUITES = (Ed25519(), SECOND, EcdsaP256())


@pytest.fixture(params=SUITES, ids=lambda suite: suite.name)
def suite(request: pytest.FixtureRequest):
    """Each suite, known while the test runs."""
    if is_signing_suite(request.param.name):
        yield request.param
    else:
        with known(request.param):
            yield request.param


def a_key(suite: SigningSuite, number: int = 1) -> PrivateKey:
    return PrivateKey.from_seed(bytes([number]) * suite.seed_bytes, suite.name)


def test_every_suite_signs_and_verifies_with_the_sizes_that_it_names(suite: SigningSuite) -> None:
    key = a_key(suite)
    signature = key.sign(Domain.SEAL, DOCUMENT)
    assert (key.suite, signature.suite) == (suite.name, suite.name)
    assert (len(key.public_key.public), len(signature.value)) == (suite.public_bytes, suite.signature_bytes)
    verify(Domain.SEAL, DOCUMENT, signature, key.public_key)
    assert a_key(suite).sign(Domain.SEAL, DOCUMENT) == signature
    for data, domain, public in (
        (b"<b/>\n", Domain.SEAL, key.public_key),
        (DOCUMENT, Domain.HOP, key.public_key),
        (DOCUMENT, Domain.SEAL, a_key(suite, 2).public_key),
    ):
        with pytest.raises(SignatureError):
            verify(domain, data, signature, public)


def test_no_changed_signature_or_key_of_any_suite_counts(suite: SigningSuite) -> None:
    key = a_key(suite)
    made = key.sign(Domain.SEAL, DOCUMENT)
    for position in range(suite.signature_bytes):
        value = bytearray(made.value)
        value[position] ^= 1
        with pytest.raises(SignatureError):
            verify(Domain.SEAL, DOCUMENT, replace(made, value=bytes(value)), key.public_key)
    for position in range(suite.public_bytes):
        public = bytearray(key.public_key.public)
        public[position] ^= 1
        changed = PublicKey(suite.name, bytes(public))
        with pytest.raises(SignatureError):
            verify(Domain.SEAL, DOCUMENT, replace(made, key_id=changed.key_id), changed)


def test_lengths_are_those_of_the_suite(suite: SigningSuite) -> None:
    key = a_key(suite)
    made = key.sign(Domain.SEAL, DOCUMENT)
    for value in (made.value[:-1], made.value + b"\0", b""):
        with pytest.raises(SignatureError, match="length"):
            verify(Domain.SEAL, DOCUMENT, replace(made, value=value), key.public_key)
    with pytest.raises(SignatureError, match="length"):
        PrivateKey.from_seed(bytes(suite.seed_bytes + 1), suite.name)


def test_signature_lines_are_of_every_suite(suite: SigningSuite) -> None:
    key = a_key(suite)
    signed = sign_document(DOCUMENT, Domain.RECEIPT, [key])
    assert signed.splitlines()[1].startswith(f"<!--exchanged-signature {suite.name} {key.key_id} ".encode())
    assert open_document(signed, Domain.RECEIPT, {key.key_id: key.public_key}.get) == (DOCUMENT, key.key_id)


def test_key_files_and_key_texts_are_of_every_suite(suite: SigningSuite, tmp_path: Path) -> None:
    path = tmp_path / "seal.key"
    made = generate_key(path, FakeRandomness(), suite.name)
    assert path.read_text().splitlines()[1] == f"suite {suite.name}"
    assert load_key(path).public_key == made.public_key
    text = public_key_text(made.public_key)
    assert text.startswith(f"{suite.name}:")
    assert parse_public_key(text) == parse_listed_key(text) == made.public_key
    with pytest.raises(FormatError):
        parse_public_key(text[:-2])
    with pytest.raises(FormatError):
        parse_public_key(f"{text}00")
    require_uses(made.public_key, [KeyUse.SEAL, KeyUse.LINK, KeyUse.RECEIPT, KeyUse.LOG])
    for use in (KeyUse.ENCRYPT, KeyUse.LOGIN, KeyUse.HOST):
        with pytest.raises(FormatError):
            require_uses(made.public_key, [use])


def test_a_key_id_is_bound_to_the_name_of_the_suite() -> None:
    public = bytes(32)
    ids = {name: PublicKey(name, public).key_id for name in (SUITE, "other")}
    assert ids["other"] == hashlib.sha256(b"other\n" + public).hexdigest()[:32]
    assert len(set(ids.values())) == 2


def test_a_second_form_of_a_signature_does_not_count() -> None:
    """Else anybody could make another document of a signed one, with another digest."""
    suite = EcdsaP256()
    public, sign = suite.signer(b"1" * 32)
    value = sign(DOCUMENT)
    other = (suite.ORDER - int.from_bytes(value[32:])).to_bytes(32)
    assert suite.is_signed(public, DOCUMENT, value)
    assert not suite.is_signed(public, DOCUMENT, value[:32] + other)


def test_a_name_stands_for_one_suite() -> None:
    with pytest.raises(ValueError, match=SUITE):
        register_signing_suite(Ed25519())
    with known(), pytest.raises(ValueError, match=SECOND.name):
        register_signing_suite(SECOND)
    assert not is_signing_suite(SECOND.name)
    forget = register_signing_suite(Ed448OverSha512())
    forget()
    with known():
        # It takes back its own object alone.
        forget()
        assert is_signing_suite(SECOND.name)


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "SM2-SM3"},
        {"name": ""},
        {"name": "x" * 33},
        {"name": "x25519"},
        {"name": "ssh-ed25519"},
        {"seed_bytes": 65},
        {"seed_bytes": 15},
        {"public_bytes": 257},
        {"signature_bytes": 257},
    ],
    ids=str,
)
def test_what_cannot_be_written_is_no_suite(changed: dict[str, object]) -> None:
    shape: dict[str, object] = {"name": "x", "seed_bytes": 32, "public_bytes": 32, "signature_bytes": 64}
    register_signing_suite(SimpleNamespace(**shape))()
    with pytest.raises(ValueError, match=r"suite|written"):
        register_signing_suite(SimpleNamespace(**(shape | changed)))


def test_what_is_not_known_is_held_by_name(tmp_path: Path) -> None:
    path = tmp_path / "seal.key"
    with known():
        key = generate_key(path, FakeRandomness(), SECOND.name)
        signed = sign_document(DOCUMENT, Domain.RECEIPT, [key])
    with pytest.raises(UnknownSuiteError) as caught:
        open_document(signed, Domain.RECEIPT, {key.key_id: key.public_key}.get)
    assert caught.value.temporary
    assert str(caught.value) == (
        f"the signature suite {SECOND.name} is not known here; expected: {SUITE}, found: {SECOND.name}"
    )
    with pytest.raises(KeyFileError, match=SECOND.name):
        load_key(path)
    with pytest.raises(KeyFileError, match=rf"encryption|{SECOND.name}"):
        load_encryption_key(path)
    with pytest.raises(FormatError):
        parse_public_key(public_key_text(key.public_key))


def root_of(key: PrivateKey) -> RootKey:
    return RootKey(key.key_id, key.suite, key.public_key.public)


def test_a_root_of_an_unknown_suite_counts_for_nothing_and_refuses_nothing() -> None:
    with known():
        strange = a_key(SECOND)
        roots = (*(root_of(key) for key in ROOTS), root_of(strange))
        document = encode_directory(make_directory(roots=roots, threshold=2))
        enough = sign_directory(document, [ROOTS[0], strange, ROOTS[1]])
        too_few = sign_directory(document, [ROOTS[0], strange])
        wrong = add_signature(too_few, ROOTS[1]).replace(
            strange.sign(Domain.DIRECTORY, document).value.hex().encode(), bytes(114).hex().encode()
        )
        assert open_directory(too_few, roots, 2).roots == roots
        with pytest.raises(SignatureError, match="wrong"):
            open_directory(wrong, roots, 2)
    assert open_directory(enough, roots, 2).roots == roots
    with pytest.raises(UnknownSuiteError, match=SECOND.name):
        open_directory(too_few, roots, 2)
    with pytest.raises(SignatureError, match="enough") as caught:
        open_directory(sign_directory(document, [ROOTS[0]]), roots, 2)
    assert not caught.value.temporary


def test_a_signature_of_one_suite_is_none_of_another(suite: SigningSuite) -> None:
    key = a_key(suite)
    made = key.sign(Domain.SEAL, DOCUMENT)
    for other in SUITES:
        if other.name != suite.name:
            with pytest.raises(SignatureError):
                verify(Domain.SEAL, DOCUMENT, Signature(other.name, key.key_id, made.value), key.public_key)


@pytest.mark.slow
def test_a_key_of_a_second_suite_comes_back_from_under_a_passphrase(tmp_path: Path) -> None:
    path = tmp_path / "seal.key"
    with known():
        made = generate_key(path, FakeRandomness(), SECOND.name, b"secret")
        assert read_public_half(path) == made.public_key
        assert load_key(path, b"secret").public_key == made.public_key


def test_keys_of_every_suite_are_offered(suite: SigningSuite) -> None:
    key = a_key(suite)
    offer = KeyOffer(POLICE, (prove(POLICE, KeyUse.SEAL, suite.name, key),))
    assert decode_key_offer(encode_key_offer(offer)) == offer
    stolen = replace(offer.keys[0], public=a_key(suite, 2).public_key.public)
    with pytest.raises(SignatureError):
        decode_key_offer(encode_key_offer(replace(offer, keys=(stolen,))))


def test_an_offer_of_an_unknown_suite_is_held() -> None:
    with known():
        data = encode_key_offer(KeyOffer(POLICE, (prove(POLICE, KeyUse.SEAL, SECOND.name, a_key(SECOND)),)))
    with pytest.raises(UnknownSuiteError, match=SECOND.name):
        decode_key_offer(data)
