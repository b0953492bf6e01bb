"""Keys of SSH in the directory: by which a node logs in, and by which its server is recognised.

Guarantees: what counts is what the directory says of that very node, that use and that moment; a revoked
key is named as such wherever it stands. Leaves to others: what a line in a file or a configuration counts
beside the directory. Known limit: of the types that OpenSSH has the directory knows ``ssh-ed25519`` alone.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from packet_spec.directory import key_valid_at
from packet_spec.model import Directory, DirectoryKey, KeyUse

SSH_SUITE: Final = "ssh-ed25519"
_RAW_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class SshKeys:
    """What the directory says at one moment about a node's SSH keys of one use, as lines ``type base64``.

    ``valid``: these count now. ``ended``: revoked, at whatever node, or of this node and past their time:
    these never count, whoever else names them. ``is_listed``: the directory lists any key of that use for the
    node.
    """

    valid: tuple[str, ...] = ()
    ended: frozenset[str] = frozenset()
    is_listed: bool = False


def ssh_line(public: bytes) -> str:
    """The raw 32 bytes of an Ed25519 key as OpenSSH writes them, without a comment. Raises ValueError."""
    if len(public) != _RAW_BYTES:
        raise ValueError(f"an ssh-ed25519 key has {_RAW_BYTES} bytes")
    blob = b"".join(struct.pack(">I", len(part)) + part for part in (SSH_SUITE.encode(), public))
    return f"{SSH_SUITE} {base64.b64encode(blob).decode()}"


def public_of_line(line: str) -> bytes | None:
    """The raw key in ``ssh-ed25519 AAAA... [comment]``; None for another type or form."""
    words = line.split()
    if len(words) < len(("type", "key")) or words[0] != SSH_SUITE:
        return None
    try:
        public = base64.b64decode(words[1], validate=True)[-_RAW_BYTES:]
    except (binascii.Error, ValueError):
        return None
    return public if len(public) == _RAW_BYTES and ssh_line(public) == " ".join(words[:2]) else None


def ssh_keys(directory: Directory, node_code: str, use: KeyUse, moment: datetime) -> SshKeys:
    """What ``directory`` says about the keys of ``node_code`` for ``use`` (LOGIN or HOST) at ``moment``."""
    node = directory.node(node_code)
    own = [key for key in (() if node is None else node.keys) if use in key.uses and is_ssh(key)]
    ended = {ssh_line(key.public) for key in own if key.not_after <= moment}
    ended |= {ssh_line(key.public) for key in _revoked(directory, moment)}
    valid = (ssh_line(key.public) for key in own if key_valid_at(key, use, moment))
    return SshKeys(tuple(line for line in valid if line not in ended), frozenset(ended), bool(own))


def is_ssh(key: DirectoryKey) -> bool:
    """The key is one that OpenSSH knows, in the one form that it has here."""
    return key.suite == SSH_SUITE and len(key.public) == _RAW_BYTES


def _revoked(directory: Directory, moment: datetime) -> Iterator[DirectoryKey]:
    for node in directory.nodes:
        for key in node.keys:
            if is_ssh(key) and key.revoked_at is not None and key.revoked_at <= moment:
                yield key
