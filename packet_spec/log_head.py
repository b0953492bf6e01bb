"""log-head.xml: a node's signed word on how long its log is and what stands in it, bytes <-> values.

The log of an admitting node is a Merkle tree (RFC 6962, ``merkle``) over entries: what it accepted, in the
order in which it did. A head names the tree; whoever holds two heads of one node can be shown that the later
tree only goes on from the earlier, or that the node said two things.

Guarantees as for receipts: verified before it is parsed. Leaves to others: whether the key may sign for the
log (``authority``), and whether two heads agree (``merkle``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from packet_spec.limits import LOG_HEAD_BYTES
from packet_spec.signing import Domain, KeyLookup, PrivateKey, open_document, sign_document
from packet_spec.xml import (
    FORMAT_VERSION,
    attribute,
    new_root,
    read_machine_document,
    read_moment,
    write_machine_document,
    write_moment,
)


@dataclass(frozen=True, slots=True)
class LogHead:
    """The log of ``node`` has ``size`` entries and the Merkle root ``root`` (hexadecimal) at ``at``."""

    node: str
    size: int
    root: str
    at: datetime


def encode_log_head(head: LogHead) -> bytes:
    """The document without signature. Raises SchemaError when the value cannot be written."""
    root = new_root(
        "log-head",
        "logHead",
        {
            "formatVersion": FORMAT_VERSION,
            "node": head.node,
            "size": str(head.size),
            "root": head.root,
            "at": write_moment(head.at),
        },
    )
    return write_machine_document(root, "log-head", limit_bytes=LOG_HEAD_BYTES)


def decode_log_head(data: bytes) -> LogHead:
    """The value of a head without its signature. Raises FormatError leaves and VersionError (hold)."""
    root = read_machine_document(data, "log-head", limit_bytes=LOG_HEAD_BYTES)
    return LogHead(
        node=attribute(root, "node"),
        size=int(attribute(root, "size")),
        root=attribute(root, "root"),
        at=read_moment(attribute(root, "at")),
    )


def sign_log_head(head: LogHead, key: PrivateKey) -> bytes:
    """The head as one file: document and signature line, made with the node's key of use ``log``."""
    return sign_document(encode_log_head(head), Domain.LOG_HEAD, [key])


def open_log_head(data: bytes, lookup: KeyLookup) -> tuple[LogHead, str]:
    """The head in a signed file and the id of its key; the signature is verified before parsing.

    Raises UnknownKeyError (hold), SignatureError, VersionError (hold) or a FormatError leaf.
    """
    document, key_id = open_document(data, Domain.LOG_HEAD, lookup)
    return decode_log_head(document), key_id
