"""Signatures over exact bytes: domain prefixes, key ids, signature trailers.

Guarantees: what is signed is always ``domain prefix + document bytes``, so that a signature for one
kind of document never counts for another; nothing is parsed before its signature was verified;
callers name neither an algorithm nor a cryptographic library: those are behind ``suites``.

Leaves to others: whose key it is and what it may say (``authority``); where private keys are kept.

Signed single documents (docs/adr/0002-signature-trailer.md) are the document's bytes followed by
one line ``<!--exchanged-signature SUITE KEYID HEX-->`` per signature.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

from packet_spec.errors import FormatError, SignatureError, UnknownKeyError, UnknownSuiteError
from packet_spec.suites import Ed25519, signing_suite

if TYPE_CHECKING:
    from hashlib import _Hash

SUITE: Final = Ed25519.name
"""The suite of new keys."""

_TRAILER_START: Final = b"<!--exchanged-signature "
_SIGNATURE: Final = rb"([a-z0-9-]{1,32}) ([0-9a-f]{32}) ((?:[0-9a-f]{2}){1,256})"
_TRAILER: Final = re.compile(_TRAILER_START + _SIGNATURE + rb"-->\n")
_LINE: Final = re.compile(_SIGNATURE + rb"\n")
# Root signatures of one directory; everything else carries one.
_SIGNATURES: Final = 32


class Domain(Enum):
    """The kinds of signed documents; the value is the prefix that is signed before the bytes."""

    SEAL = b"exchanged-seal-1\n"
    WAYBILL = b"exchanged-waybill-1\n"
    RECEIPT = b"exchanged-receipt-1\n"
    HOP = b"exchanged-hop-1\n"
    DIRECTORY = b"exchanged-directory-1\n"
    NOTE = b"exchanged-note-1\n"
    LOG_HEAD = b"exchanged-log-head-1\n"
    LOG_RECOVERY = b"exchanged-log-recovery-1\n"
    KEY_OFFER = b"exchanged-key-offer-1\n"


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature with the suite and the id of the key that made it."""

    suite: str
    key_id: str
    value: bytes


def new_hasher() -> _Hash:
    """An empty hash object of the digest that names contents, whatever suite signs: SHA-256."""
    return hashlib.sha256()


def digest_of_blocks(blocks: Iterable[bytes]) -> str:
    """SHA-256, in lower-case hexadecimal, of what ``blocks`` are one after the other."""
    hasher = new_hasher()
    for block in blocks:
        hasher.update(block)
    return hasher.hexdigest()


def key_id_of(suite: str, public: bytes) -> str:
    """The id of a public key: 32 hexadecimal digits, bound to its suite."""
    return hashlib.sha256(suite.encode() + b"\n" + public).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key and its suite."""

    suite: str
    public: bytes

    @property
    def key_id(self) -> str:
        """The id that signatures and the directory name."""
        return key_id_of(self.suite, self.public)


class PrivateKey:
    """A private key in memory. It shows and pickles nothing of itself."""

    __slots__ = ("_public_key", "_seed", "_sign")

    def __init__(self, seed: bytes, suite: str = SUITE) -> None:
        rules = signing_suite(suite)
        if len(seed) != rules.seed_bytes:
            raise SignatureError("a private key has the wrong length", expected=f"{rules.seed_bytes} bytes")
        public, self._sign = rules.signer(seed)
        self._seed = bytes(seed)
        self._public_key = PublicKey(suite, public)

    @classmethod
    def from_seed(cls, seed: bytes, suite: str = SUITE) -> PrivateKey:
        """The key that grows from ``seed``. Raises SignatureError for a wrong length, UnknownSuiteError."""
        return cls(seed, suite)

    @property
    def suite(self) -> str:
        """The name of the suite."""
        return self._public_key.suite

    @property
    def key_id(self) -> str:
        """The id of the public key."""
        return self._public_key.key_id

    @property
    def public_key(self) -> PublicKey:
        """The public half."""
        return self._public_key

    def sign(self, domain: Domain, data: bytes) -> Signature:
        """Sign ``data`` as a document of ``domain``; the prefix is added here."""
        return Signature(self.suite, self.key_id, self._sign(domain.value + data))

    def export_seed(self) -> bytes:
        """The secret itself, for the module that stores key files."""
        return self._seed

    def __repr__(self) -> str:
        return "PrivateKey(...)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key is not pickled")


KeyLookup: TypeAlias = Callable[[str], PublicKey | None]


def verify(domain: Domain, data: bytes, signature: Signature, key: PublicKey) -> None:
    """Check that ``key`` made ``signature`` over ``data`` as a document of ``domain``.

    Raises UnknownSuiteError (hold), else SignatureError when suite, key id, lengths or the signature itself
    do not fit.
    """
    rules = signing_suite(key.suite)
    if signature.suite != key.suite or signature.key_id != key.key_id:
        raise SignatureError("the signature was made with another key", found=signature.key_id)
    if len(key.public) != rules.public_bytes or len(signature.value) != rules.signature_bytes:
        raise SignatureError("a key or signature has the wrong length")
    if not rules.is_signed(key.public, domain.value + data, signature.value):
        raise SignatureError("the signature is wrong", where=f"key {signature.key_id}")


def require_threshold(
    domain: Domain,
    document: bytes,
    signatures: Sequence[Signature],
    keys: Mapping[str, PublicKey],
    threshold: int,
    why: str,
) -> None:
    """At least ``threshold`` of ``keys`` (by id) signed ``document``; ``why`` says it where they did not.

    Signatures of other keys are ignored, a wrong one of a given key refuses. One of a suite that is not known
    here counts for nothing: where the others are too few, it holds. Raises SignatureError, UnknownSuiteError.
    """
    valid: set[str] = set()
    unknown: UnknownSuiteError | None = None
    for signature in signatures:
        key = keys.get(signature.key_id)
        if key is None:
            continue
        try:
            verify(domain, document, signature, key)
        except UnknownSuiteError as error:
            unknown = error
        else:
            valid.add(signature.key_id)
    if threshold >= 1 and len(valid) >= threshold:
        return
    if unknown is not None:
        raise unknown
    raise SignatureError(why, expected=f"at least {max(threshold, 1)}", found=str(len(valid)))


def find_key(signature: Signature, lookup: KeyLookup) -> PublicKey:
    """The key that ``signature`` names. Raises UnknownKeyError (hold, never refuse: C24)."""
    key = lookup(signature.key_id)
    if key is None:
        raise UnknownKeyError("the signing key is not in the directory in force", found=signature.key_id)
    return key


def sign_document(document: bytes, domain: Domain, keys: Sequence[PrivateKey]) -> bytes:
    """``document`` followed by one signature line per key, in the order given.

    Raises FormatError when ``document`` is empty, does not end with a line feed, or is signed already.
    """
    _require_plain(document)
    lines = [_trailer(key.sign(domain, document)) for key in keys]
    signed = document + b"".join(lines)
    split_signed(signed)
    return signed


def append_signature(data: bytes, domain: Domain, key: PrivateKey) -> bytes:
    """A signed document with one more signature line. Raises FormatError when the key signed already."""
    document, _ = split_signed(data)
    signed = data + _trailer(key.sign(domain, document))
    split_signed(signed)
    return signed


def split_signed(data: bytes) -> tuple[bytes, tuple[Signature, ...]]:
    """The document and its signatures, told apart without parsing XML.

    An unsigned document has no signatures. Raises FormatError when the trailer is not exactly lines of
    signatures, names one key twice, or does not follow a line feed.
    """
    start = data.find(_TRAILER_START)
    if start < 0:
        _require_plain(data)
        return data, ()
    document = data[:start]
    _require_plain(document)
    signatures: list[Signature] = []
    while start < len(data):
        match = _TRAILER.match(data, start)
        if match is None or len(signatures) == _SIGNATURES:
            raise FormatError("the signature trailer does not have the required form")
        signatures.append(_signature_of(match))
        start = match.end()
    if len({signature.key_id for signature in signatures}) != len(signatures):
        raise FormatError("one key signed twice")
    return document, tuple(signatures)


def open_document(data: bytes, domain: Domain, lookup: KeyLookup) -> tuple[bytes, str]:
    """The verified document and the id of its signing key; exactly one signature is required.

    Raises FormatError for a wrong trailer, UnknownKeyError when ``lookup`` does not know the key, and
    SignatureError when the signature is missing, not alone, or wrong.
    """
    document, signatures = split_signed(data)
    if len(signatures) != 1:
        raise SignatureError("one signature is required", expected="1", found=str(len(signatures)))
    verify(domain, document, signatures[0], find_key(signatures[0], lookup))
    return document, signatures[0].key_id


def encode_signature(signature: Signature) -> bytes:
    """A detached signature: the one line ``SUITE KEYID HEX``."""
    return f"{signature.suite} {signature.key_id} {signature.value.hex()}\n".encode()


def decode_signature(data: bytes) -> Signature:
    """Read a detached signature. Raises FormatError for anything but exactly one line."""
    match = _LINE.fullmatch(data)
    if match is None:
        raise FormatError("a detached signature is not one line of suite, key id and value")
    return _signature_of(match)


def _trailer(signature: Signature) -> bytes:
    return b"<!--exchanged-signature " + encode_signature(signature)[:-1] + b"-->\n"


def _signature_of(match: re.Match[bytes]) -> Signature:
    return Signature(match[1].decode(), match[2].decode(), bytes.fromhex(match[3].decode()))


def _require_plain(document: bytes) -> None:
    if not document.endswith(b"\n"):
        raise FormatError("a signed document ends with a line feed")
    if _TRAILER_START in document:
        raise FormatError("the document is signed already")
