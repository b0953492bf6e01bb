"""seal.xml: what a sealed packet holds, bytes <-> values (docs/packet-format.md; custody C11, C12).

Guarantees: the same seal is the same bytes; a seal that is read is consistent in itself (indices, caps,
content digest). Leaves to others: the container around it (``seal``), whether it agrees with its
packet.xml (``envelope.check_seal_against_envelope``), and whose key made it (``authority``).
"""

from __future__ import annotations

import base64
import re
from typing import Final

from packet_spec.errors import DigestMismatchError, SchemaError
from packet_spec.identity import PacketKey, content_digest
from packet_spec.limits import (
    COPIES,
    INLINE_PART_BYTES,
    INLINE_PARTS_BYTES,
    NAME_BYTES,
    PACKET_XML_BYTES,
    PARTS,
    SEAL_XML_BYTES,
    WRAPPED_KEYS,
)
from packet_spec.model import (
    Carriage,
    PackStamp,
    Priority,
    Seal,
    SealEncryption,
    SealPart,
    WrappedKey,
)
from packet_spec.xml import (
    FORMAT_VERSION,
    Element,
    add,
    attribute,
    children,
    new_root,
    read_machine_document,
    read_moment,
    text,
    texts,
    write_machine_document,
    write_moment,
)

# Names with these characters are carried as base64: XML cannot hold them, or a reader could not see them.
_HIDDEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]")


def encode_seal(seal: Seal) -> bytes:
    """The bytes of seal.xml.

    Raises SchemaError or DigestMismatchError when the value contradicts itself or is over a cap.
    """
    _require_consistent(seal)
    root = new_root(
        "seal",
        "seal",
        {
            "formatVersion": FORMAT_VERSION,
            "sender": seal.key.sender,
            "packetId": seal.key.packet_id,
            "attempt": str(seal.attempt),
        },
    )
    add(root, "receiver", seal.receiver)
    for agency in seal.copy_to:
        add(root, "copyTo", agency)
    add(root, "businessType", seal.business_type)
    add(root, "senderRef", seal.sender_ref)
    add(root, "priority", seal.priority.value)
    if seal.expires_at is not None:
        add(root, "expiresAt", write_moment(seal.expires_at))
    add(root, "sealedAt", write_moment(seal.sealed_at))
    add(root, "key", id=seal.key_id, suite=seal.suite)
    add(root, "stream", incarnation=seal.incarnation, sequence=str(seal.sequence))
    add(root, "pack", digest=seal.pack.digest, name=seal.pack.name, version=seal.pack.version)
    add(
        root,
        "packetXml",
        encoding=seal.encoding,
        size=str(seal.packet_size),
        digest=seal.packet_digest,
    )
    add(root, "contentDigest", seal.content_digest)
    if seal.encryption is not None:
        _add_encryption(root, seal.encryption)
    for part in seal.parts:
        _add_part(root, part)
    return write_machine_document(root, "seal", limit_bytes=SEAL_XML_BYTES)


def decode_seal(data: bytes) -> Seal:
    """The value of a seal.xml whose signature the caller has verified.

    Raises VersionError for another format version, else FormatError leaves.
    """
    root = read_machine_document(data, "seal", limit_bytes=SEAL_XML_BYTES)
    key, stream, pack, packet_xml = (children(root, tag)[0] for tag in ("key", "stream", "pack", "packetXml"))
    expires_at = text(root, "expiresAt")
    seal = Seal(
        key=PacketKey(attribute(root, "sender"), attribute(root, "packetId")),
        attempt=int(attribute(root, "attempt")),
        receiver=text(root, "receiver"),
        copy_to=texts(root, "copyTo"),
        business_type=text(root, "businessType"),
        sender_ref=text(root, "senderRef"),
        priority=Priority(text(root, "priority")),
        expires_at=read_moment(expires_at) if expires_at else None,
        sealed_at=read_moment(text(root, "sealedAt")),
        key_id=attribute(key, "id"),
        suite=attribute(key, "suite"),
        incarnation=attribute(stream, "incarnation"),
        sequence=int(attribute(stream, "sequence")),
        pack=PackStamp(attribute(pack, "name"), attribute(pack, "version"), attribute(pack, "digest")),
        encoding=attribute(packet_xml, "encoding"),
        packet_size=int(attribute(packet_xml, "size")),
        packet_digest=attribute(packet_xml, "digest"),
        content_digest=text(root, "contentDigest"),
        parts=tuple(_read_part(element) for element in children(root, "part")),
        encryption=_read_encryption(root),
    )
    _require_consistent(seal)
    return seal


def inline_parts(seal: Seal) -> tuple[SealPart, ...]:
    """The parts that lie inside the sealed packet, in order."""
    return tuple(part for part in seal.parts if part.carriage is Carriage.INLINE)


def blob_parts(seal: Seal) -> tuple[SealPart, ...]:
    """The parts that travel as blobs, in order (C8)."""
    return tuple(part for part in seal.parts if part.carriage is Carriage.BLOB)


def _require_consistent(seal: Seal) -> None:
    """The rules between fields that a schema cannot say."""
    if len(seal.parts) > PARTS:
        raise SchemaError("a packet has too many parts", expected=f"at most {PARTS}")
    if [part.index for part in seal.parts] != list(range(1, len(seal.parts) + 1)):
        raise SchemaError("the parts of a seal are not numbered from one without gaps")
    if not 0 < seal.packet_size <= PACKET_XML_BYTES:
        raise SchemaError("packet.xml is empty or too large", expected=f"at most {PACKET_XML_BYTES} bytes")
    inline = [part.size for part in inline_parts(seal)]
    if sum(inline) > INLINE_PARTS_BYTES or max(inline, default=0) > INLINE_PART_BYTES:
        raise SchemaError("inline parts are too large: they must travel as blobs")
    if any(not 0 < len(part.name) <= NAME_BYTES or b"\0" in part.name for part in seal.parts):
        raise SchemaError("a part has no usable name", expected=f"1 to {NAME_BYTES} bytes without NUL")
    _require_encryption(seal)
    if len(seal.copy_to) > COPIES or len(set(seal.recipients)) != len(seal.recipients):
        raise SchemaError("a packet names a recipient twice, or too many copies")
    listed = content_digest(seal.packet_digest, ((part.name, part.size, part.digest) for part in seal.parts))
    if listed != seal.content_digest:
        raise DigestMismatchError("the content digest is not that of the listed parts")


def _require_encryption(seal: Seal) -> None:
    """All parts are encrypted, or none; a key is named once."""
    wrapped = () if seal.encryption is None else seal.encryption.keys
    is_encrypted = seal.encryption is not None
    if any(bool(part.enc) is not is_encrypted for part in seal.parts) or (is_encrypted and not seal.parts):
        raise SchemaError("a seal encrypts some of its parts and others not")
    if is_encrypted and not 0 < len(wrapped) <= WRAPPED_KEYS:
        raise SchemaError("an encrypted packet is for nobody, or too many", expected=f"1 to {WRAPPED_KEYS}")
    if len({(each.node, each.key_id) for each in wrapped}) != len(wrapped):
        raise SchemaError("a seal wraps its key twice for one key")


def _add_encryption(root: Element, encryption: SealEncryption) -> None:
    element = add(root, "encryption", suite=encryption.suite)
    for each in encryption.keys:
        add(element, "to", base64.b64encode(each.box).decode(), node=each.node, key=each.key_id)


def _read_encryption(root: Element) -> SealEncryption | None:
    found = children(root, "encryption")
    if not found:
        return None
    keys = tuple(
        WrappedKey(attribute(each, "node"), attribute(each, "key"), _read_base64(each.text or ""))
        for each in children(found[0], "to")
    )
    return SealEncryption(attribute(found[0], "suite"), keys)


def _read_base64(shown: str) -> bytes:
    """Raises SchemaError for any other than the one way to write these bytes."""
    try:
        data = base64.b64decode(shown, validate=True)
    except ValueError as error:
        raise SchemaError("a wrapped key is not base64") from error
    if base64.b64encode(data).decode() != shown:
        raise SchemaError("a wrapped key is not written in the one allowed way")
    return data


def _add_part(root: Element, part: SealPart) -> None:
    name, encoded = _name_attributes(part.name)
    add(
        root,
        "part",
        index=str(part.index),
        name=name,
        nameBase64=encoded,
        size=str(part.size),
        digest=part.digest,
        carriage=part.carriage.value,
        documentType=part.document_type,
        enc=base64.b64encode(part.enc).decode() if part.enc else None,
    )


def _name_attributes(name: bytes) -> tuple[str | None, str | None]:
    """The name as text where XML can show it, else as base64: never both."""
    try:
        shown = name.decode("utf-8")
    except UnicodeDecodeError:
        shown = None
    if shown is None or _HIDDEN.search(shown):
        return None, base64.b64encode(name).decode("ascii")
    return shown, None


def _read_part(element: Element) -> SealPart:
    shown, encoded = element.get("name"), element.get("nameBase64")
    name = shown.encode() if shown is not None else base64.b64decode(encoded or "")
    if _name_attributes(name) != (shown, encoded):
        raise SchemaError("a part name is not written in the one allowed way")
    return SealPart(
        index=int(attribute(element, "index")),
        name=name,
        size=int(attribute(element, "size")),
        digest=attribute(element, "digest"),
        carriage=Carriage(attribute(element, "carriage")),
        document_type=attribute(element, "documentType"),
        enc=_read_base64(attribute(element, "enc")),
    )
