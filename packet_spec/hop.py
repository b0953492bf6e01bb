"""hop.xml: a node's signed note that a packet came by, bytes <-> values.

Guarantees as for receipts: verified before it is parsed. A note proves the way, never custody.
"""

from __future__ import annotations

from packet_spec.identity import PacketKey
from packet_spec.limits import HOP_BYTES
from packet_spec.model import HopNote
from packet_spec.signing import Domain, KeyLookup, PrivateKey, open_document, sign_document
from packet_spec.xml import (
    FORMAT_VERSION,
    add,
    attribute,
    new_root,
    read_machine_document,
    read_moment,
    text,
    write_machine_document,
    write_moment,
)


def encode_hop(note: HopNote) -> bytes:
    """The document without signature. Raises SchemaError when the value cannot be written."""
    root = new_root(
        "hop",
        "hop",
        {"formatVersion": FORMAT_VERSION, "sender": note.key.sender, "packetId": note.key.packet_id},
    )
    add(root, "node", note.node)
    add(root, "sealDigest", note.seal_digest)
    add(root, "landedAt", write_moment(note.landed_at))
    add(root, "leftAt", write_moment(note.left_at))
    if note.next_node:
        add(root, "nextNode", note.next_node)
    return write_machine_document(root, "hop", limit_bytes=HOP_BYTES)


def decode_hop(data: bytes) -> HopNote:
    """The value of a hop note without its signature. Raises FormatError leaves and VersionError."""
    root = read_machine_document(data, "hop", limit_bytes=HOP_BYTES)
    return HopNote(
        node=text(root, "node"),
        key=PacketKey(attribute(root, "sender"), attribute(root, "packetId")),
        seal_digest=text(root, "sealDigest"),
        landed_at=read_moment(text(root, "landedAt")),
        left_at=read_moment(text(root, "leftAt")),
        next_node=text(root, "nextNode"),
    )


def sign_hop(note: HopNote, key: PrivateKey) -> bytes:
    """The note as one file: document and signature line, made with the node's link key."""
    return sign_document(encode_hop(note), Domain.HOP, [key])


def open_hop(data: bytes, lookup: KeyLookup) -> tuple[HopNote, str]:
    """The note in a signed file and the id of its key; the signature is verified before parsing.

    Raises UnknownKeyError (hold), SignatureError, VersionError (hold) or a FormatError leaf.
    """
    document, key_id = open_document(data, Domain.HOP, lookup)
    return decode_hop(document), key_id
