"""What the log of an admitting node holds: entries, and the bytes that its Merkle tree is made of."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

_ENTRY_PREFIX: Final = "exchanged-log-entry-1\n"


class EntryKind(StrEnum):
    """What an entry of the log stands for."""

    SEAL = "seal"
    """An accepted packet: the SHA-256 of its seal.xml."""
    RECEIPT = "receipt"
    """A receipt: the SHA-256 of the whole signed file."""


def entry_bytes(kind: EntryKind, digest: str) -> bytes:
    """The bytes of one entry, of which ``merkle.leaf_hash`` makes the leaf; ``digest`` is hexadecimal."""
    return f"{_ENTRY_PREFIX}{kind.value} {digest}\n".encode("ascii")
