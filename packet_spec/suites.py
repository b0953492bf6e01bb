"""Suites: how keys, signatures and their written forms work, behind one small interface and by name.

A **signing suite** is one object with the shape of ``SigningSuite``. It decides the signature algorithm with
every digest that this takes under the signature, and how seeds, public keys and signatures are encoded; the
key id is bound to its name. The program brings one, ``ed25519-sha256``; another is one more object and one
call of ``register_signing_suite`` in every process, before it opens a document. Nodes of different suites
live in one directory, and one directory may be signed by roots of several.

Guarantees: a name stands for one suite as long as a process lives; a suite whose values do not fit the
written forms (key files, signature lines, directory.xml) is not taken.
Leaves to others: domain prefixes and documents (``signing``), whose key it is (``authority``), and what parts
are encrypted with (``encryption``). No part of a suite (docs/adr/0023-suites.md): SHA-256 as the name of
contents, in the key id and in the Merkle log; these are the format's own.
Ed25519 is checked strictly (docs/adr/0021-proofs.md): keys of small or mixed order, encodings that are not
canonical and S not below the group order are refused, also where a library would take them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Protocol, TypeAlias

from nacl.bindings import crypto_core_ed25519_is_valid_point
from nacl.exceptions import CryptoError
from nacl.signing import SigningKey, VerifyKey

from packet_spec.errors import UnknownSuiteError

Sign: TypeAlias = Callable[[bytes], bytes]

SEED_BYTES: Final = range(16, 65)
"""Sizes that a seed may have in a key file."""
PUBLIC_BYTES: Final = range(16, 257)
"""Sizes that a public key may have in texts and directories."""
SIGNATURE_BYTES: Final = range(16, 257)
"""Sizes that a signature may have in a signature line."""

_NAME: Final = re.compile(r"[a-z0-9-]{1,32}")
# Keys of these suites stand in directories too, and sign no documents.
_OTHERS: Final = frozenset({"ssh-ed25519", "x25519"})


class SigningSuite(Protocol):
    """What a signing suite offers. Sizes are in bytes, and exact."""

    @property
    def name(self) -> str:
        """1 to 32 of ``a-z 0-9 -``: as it stands in signature lines, seals, directories and key files."""

    @property
    def seed_bytes(self) -> int:
        """So many random bytes make a private key; any value of them does."""

    @property
    def public_bytes(self) -> int:
        """An encoded public key; one key has one encoding."""

    @property
    def signature_bytes(self) -> int:
        """An encoded signature; nobody can make another valid one of it without the key."""

    def signer(self, seed: bytes) -> tuple[bytes, Sign]:
        """The public key of ``seed``, and what signs: without randomness, so the same twice."""

    def is_signed(self, public: bytes, data: bytes, value: bytes) -> bool:
        """``value`` is a signature of ``data`` by ``public``. Bytes that are no key: False, no error."""


@lru_cache(maxsize=4_096)
def _is_proper(public: bytes) -> bool:
    """Canonical, on the curve, and of the prime-order subgroup: so is every key that was made as keys are."""
    return len(public) == Ed25519.public_bytes and bool(crypto_core_ed25519_is_valid_point(public))


class Ed25519:
    """``ed25519-sha256``: RFC 8032 by libsodium."""

    name: Final = "ed25519-sha256"
    seed_bytes: Final = 32
    public_bytes: Final = 32
    signature_bytes: Final = 64

    def signer(self, seed: bytes) -> tuple[bytes, Sign]:
        """See ``SigningSuite``."""
        key = SigningKey(seed)
        return bytes(key.verify_key), lambda data: bytes(key.sign(data).signature)

    def is_signed(self, public: bytes, data: bytes, value: bytes) -> bool:
        """See ``SigningSuite``."""
        if not _is_proper(public):
            return False
        try:
            VerifyKey(public).verify(data, value)
        except CryptoError:
            return False
        return True


_signing: Final[dict[str, SigningSuite]] = {}


def register_signing_suite(suite: SigningSuite) -> Callable[[], None]:
    """Make ``suite`` known in this process. What is returned makes it unknown again.

    Raises ValueError for a name that is taken or has another form, and for sizes that cannot be written.
    """
    if _NAME.fullmatch(suite.name) is None or suite.name in _OTHERS | _signing.keys():
        raise ValueError(f"a suite cannot be called {suite.name!r}")
    sizes = (
        ("seed", suite.seed_bytes, SEED_BYTES),
        ("public key", suite.public_bytes, PUBLIC_BYTES),
        ("signature", suite.signature_bytes, SIGNATURE_BYTES),
    )
    for what, size, allowed in sizes:
        if size not in allowed:
            raise ValueError(f"a {what} of {size} bytes cannot be written")
    _signing[suite.name] = suite
    return lambda: _forget(suite)


def _forget(suite: SigningSuite) -> None:
    if _signing.get(suite.name) is suite:
        del _signing[suite.name]


def signing_suite(name: str) -> SigningSuite:
    """The suite of that name. Raises UnknownSuiteError, which holds."""
    try:
        return _signing[name]
    except KeyError:
        raise UnknownSuiteError(
            f"the signature suite {name} is not known here", expected=" or ".join(_signing), found=name
        ) from None


def is_signing_suite(name: str) -> bool:
    """Whether keys of the suite ``name`` sign documents, and this program has it."""
    return name in _signing


register_signing_suite(Ed25519())
