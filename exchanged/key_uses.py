"""What keys of each use are: one table, for making, keeping, choosing, offering and rotating them.

A **secret** is the random bytes of one suite; its public half and key id follow from them. Suites of
secrets: those of ``packet_spec.suites`` sign documents, ``ssh-ed25519`` logs in, ``x25519`` receives what is
encrypted.

Leaves to others: files (``keys``), which key counts now (``keyring``). HOST keys belong to the SSH server and
to root, so no row is here: a daemon neither makes nor offers them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NoReturn

from packet_spec.encryption import KEY_SUITE as ENCRYPT_SUITE
from packet_spec.encryption import DecryptionKey
from packet_spec.errors import SignatureError
from packet_spec.model import KeyUse, NodeRole
from packet_spec.signing import SUITE, PrivateKey, key_id_of
from packet_spec.ssh_keys import SSH_SUITE as LOGIN_SUITE
from packet_spec.suites import signing_suite

__all__ = [
    "ENCRYPT_SUITE",
    "KEY_KINDS",
    "LOGIN_SUITE",
    "SEED_BYTES",
    "KeyKind",
    "Secret",
    "seed_bytes",
    "uses_of",
]

SEED_BYTES: Final = 32
"""Of a key that signs no documents."""

_FRONTEND, _PROVINCIAL, _BRIDGE = NodeRole.FRONTEND, NodeRole.PROVINCIAL, NodeRole.BRIDGE


@dataclass(frozen=True, slots=True)
class KeyKind:
    """A row: the suite, the roles whose nodes hold such a key, and whether a node must have one to start.

    Files are called ``<use>.key`` (unless configured otherwise) and ``<use>-<key id>.key``.
    """

    suite: str
    roles: frozenset[NodeRole]
    is_required: bool


KEY_KINDS: Final[Mapping[KeyUse, KeyKind]] = MappingProxyType(
    {
        KeyUse.SEAL: KeyKind(SUITE, frozenset({_FRONTEND}), is_required=True),
        KeyUse.LINK: KeyKind(SUITE, frozenset(NodeRole), is_required=True),
        KeyUse.RECEIPT: KeyKind(SUITE, frozenset({_FRONTEND, _PROVINCIAL}), is_required=True),
        KeyUse.LOG: KeyKind(SUITE, frozenset({_FRONTEND, _PROVINCIAL}), is_required=False),
        KeyUse.ENCRYPT: KeyKind(ENCRYPT_SUITE, frozenset({_FRONTEND}), is_required=False),
        # Nodes that dial; whoever only serves has none.
        KeyUse.LOGIN: KeyKind(LOGIN_SUITE, frozenset(NodeRole), is_required=False),
    }
)


def uses_of(role: NodeRole) -> tuple[KeyUse, ...]:
    """The uses of which nodes of ``role`` hold keys, in the order of the table."""
    return tuple(use for use, kind in KEY_KINDS.items() if role in kind.roles)


def seed_bytes(suite: str) -> int:
    """How many random bytes make a private key of ``suite``. Raises UnknownSuiteError."""
    return SEED_BYTES if suite in {LOGIN_SUITE, ENCRYPT_SUITE} else signing_suite(suite).seed_bytes


class Secret:
    """A private key of any suite, in memory. It shows and pickles nothing of itself."""

    __slots__ = ("_seed", "_signing", "key_id", "public", "suite")

    def __init__(self, suite: str, seed: bytes) -> None:
        """Raises SignatureError for an unknown suite or a wrong length."""
        if len(seed) != seed_bytes(suite):
            raise SignatureError("a private key has the wrong length", expected=f"{seed_bytes(suite)} bytes")
        # A login key is of the curve of SUITE: it signs its own offer, and nothing else of ours.
        signing = SUITE if suite == LOGIN_SUITE else suite
        self._signing = None if suite == ENCRYPT_SUITE else PrivateKey.from_seed(seed, signing)
        self.suite = suite
        self.public = (
            DecryptionKey(seed).public_key.public
            if self._signing is None
            else self._signing.public_key.public
        )
        self.key_id = key_id_of(suite, self.public)
        self._seed = bytes(seed)

    def signing(self) -> PrivateKey:
        """The key as one that signs. Raises SignatureError for one that cannot."""
        if self._signing is None:
            raise SignatureError("a key for encryption signs nothing", found=self.key_id)
        return self._signing

    def export_seed(self) -> bytes:
        """The secret itself, for key files, logins and decryption."""
        return self._seed

    def __repr__(self) -> str:
        return f"Secret({self.suite}, {self.key_id})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key is not pickled")
