"""note.xml: what one node tells another that is about no single packet, bytes <-> values.

Guarantees as for receipts: verified before it is parsed. A note travels like a receipt: in batches, along the
tree, in custody until it is there; nodes in between read from whom and to whom it is, and nothing else.
Leaves to others: what the payload says (a document of the note's ``kind``), and who may say it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime

from packet_spec.errors import FormatError
from packet_spec.identity import PacketKey, sha256_hex
from packet_spec.limits import NOTE_BYTES, NOTE_PAYLOAD_BYTES
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


@dataclass(frozen=True, slots=True)
class Note:
    """``note_id`` is a UUID; ``payload`` has at most ``NOTE_PAYLOAD_BYTES``."""

    kind: str
    note_id: str
    from_node: str
    to_node: str
    at: datetime
    payload: bytes

    @property
    def key(self) -> PacketKey:
        """How waybills and ledgers name the note, as if it were a packet of its node."""
        return PacketKey(self.from_node, self.note_id)


def note_id_of(kind: str, from_node: str, to_node: str, at: datetime, number: int, payload: bytes) -> str:
    """The id of a new note: a UUID of version 8 (RFC 9562 section 5.8) made of all that it says.

    ``number`` rises at its node, so that the same words twice are two notes.
    """
    said = "\n".join((kind, from_node, to_node, write_moment(at), str(number), sha256_hex(payload)))
    digits = sha256_hex(said.encode())
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-8{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


def encode_note(note: Note) -> bytes:
    """The document without signature. Raises SchemaError when it cannot be written, FormatError too large."""
    if len(note.payload) > NOTE_PAYLOAD_BYTES:
        raise FormatError(
            "a note is too large",
            expected=f"at most {NOTE_PAYLOAD_BYTES} bytes",
            found=str(len(note.payload)),
        )
    root = new_root(
        "note",
        "note",
        {
            "formatVersion": FORMAT_VERSION,
            "id": note.note_id,
            "kind": note.kind,
            "from": note.from_node,
            "to": note.to_node,
            "at": write_moment(note.at),
        },
    )
    add(root, "payload", base64.b64encode(note.payload).decode())
    return write_machine_document(root, "note", limit_bytes=NOTE_BYTES)


def decode_note(data: bytes) -> Note:
    """The value of a note without its signature. Raises FormatError leaves and VersionError."""
    root = read_machine_document(data, "note", limit_bytes=NOTE_BYTES)
    return Note(
        kind=attribute(root, "kind"),
        note_id=attribute(root, "id"),
        from_node=attribute(root, "from"),
        to_node=attribute(root, "to"),
        at=read_moment(attribute(root, "at")),
        payload=base64.b64decode(text(root, "payload")),
    )


def sign_note(note: Note, key: PrivateKey) -> bytes:
    """The note as one file: document and signature line, made with the node's link key."""
    return sign_document(encode_note(note), Domain.NOTE, [key])


def open_note(data: bytes, lookup: KeyLookup) -> tuple[Note, str]:
    """The note in a signed file and the id of its key; the signature is verified before parsing.

    Raises UnknownKeyError (hold), SignatureError, VersionError (hold) or a FormatError leaf.
    """
    document, key_id = open_document(data, Domain.NOTE, lookup)
    return decode_note(document), key_id
