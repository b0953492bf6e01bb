"""A secret under a passphrase: argon2id makes a key of the passphrase, secretbox seals the secret with it.

Guarantees: what is opened is exactly what was locked, or nothing; a wrong passphrase and changed bytes look
the same. The costs stand beside the sealed secret and have bounds, so that a file made by a stranger cannot
take all memory.

Leaves to others: files (``keys``), and where the passphrase comes from (``key_credentials``).
Known limit: a passphrase of a few letters is found by trying, whatever it costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id
from nacl.secret import SecretBox

from packet_spec.errors import SignatureError

SALT_BYTES: Final = argon2id.SALTBYTES
NONCE_BYTES: Final = SecretBox.NONCE_SIZE
# libsodium's "moderate": about 0.7 s and 256 MiB, which a daemon pays once for each key at start.
OPERATIONS: Final = argon2id.OPSLIMIT_MODERATE
MEMORY_BYTES: Final = argon2id.MEMLIMIT_MODERATE
_MOST_OPERATIONS: Final = 16
_MOST_MEMORY_BYTES: Final = 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Costs:
    """What trying one passphrase costs: passes over so many bytes of memory."""

    operations: int = OPERATIONS
    memory_bytes: int = MEMORY_BYTES


@dataclass(frozen=True, slots=True)
class Locked:
    """A secret under a passphrase; ``box`` holds the nonce first. Nothing of it is secret."""

    costs: Costs
    salt: bytes
    box: bytes


def lock(secret: bytes, passphrase: bytes, salt: bytes, nonce: bytes, costs: Costs) -> Locked:
    """Seal ``secret``; ``salt`` and ``nonce`` are fresh random bytes of SALT_BYTES and NONCE_BYTES."""
    box = SecretBox(_stretched(passphrase, salt, costs)).encrypt(secret, nonce)
    return Locked(costs, salt, bytes(box))


def unlock(locked: Locked, passphrase: bytes) -> bytes:
    """The secret. Raises SignatureError for a wrong passphrase, changed bytes, or costs out of bounds."""
    try:
        return SecretBox(_stretched(passphrase, locked.salt, locked.costs)).decrypt(locked.box)
    except (CryptoError, ValueError, TypeError) as error:
        raise SignatureError("the passphrase does not open the key") from error


def _stretched(passphrase: bytes, salt: bytes, costs: Costs) -> bytes:
    is_bearable = 1 <= costs.operations <= _MOST_OPERATIONS and costs.memory_bytes <= _MOST_MEMORY_BYTES
    if not is_bearable:
        raise SignatureError("a locked key asks for more work than it may")
    try:
        return argon2id.kdf(SecretBox.KEY_SIZE, passphrase, salt, costs.operations, costs.memory_bytes)
    except (CryptoError, RuntimeError) as error:
        raise SignatureError("a key cannot be made of the passphrase", found="not enough memory?") from error
