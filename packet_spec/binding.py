"""Whether a seal tells the same story as the packet.xml that it covers (docs/packet-format.md, the seal).

The admitting node and each receiver refuse a packet whose seal differs from a field that its envelope
states, or whose parts are not the listed attachments. Every finding here refuses.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from packet_spec.findings import Finding
from packet_spec.model import Attachment, Envelope, Packet, Seal, SealPart
from packet_spec.names import read_name
from packet_spec.part_cipher import carried_size
from packet_spec.xml_findings import xml_finding


def check_seal_against_packet(seal: Seal, packet: Packet) -> tuple[Finding, ...]:
    """Everything in which a seal differs from its packet.xml; every finding refuses the packet."""
    return check_seal_against_envelope(seal, packet.envelope) + check_parts_against_attachments(
        seal, packet.attachments
    )


def check_seal_against_envelope(seal: Seal, envelope: Envelope) -> tuple[Finding, ...]:
    """Every field that the envelope states and the seal says otherwise; an absent packetId states nothing."""
    pairs: list[tuple[str, object, object]] = [
        ("senderRef", envelope.sender_ref, seal.sender_ref),
        ("businessType", envelope.business_type, seal.business_type),
        ("sender", envelope.sender, seal.key.sender),
        ("receiver", envelope.receiver, seal.receiver),
        ("copyTo", " ".join(envelope.copy_to), " ".join(seal.copy_to)),
        ("priority", envelope.priority.value, seal.priority.value),
        ("expiresAt", envelope.expires_at, seal.expires_at),
    ]
    if envelope.packet_id is not None:
        pairs.append(("packetId", envelope.packet_id, seal.key.packet_id))
    return tuple(
        xml_finding("seal-differs", element=f"envelope/{name}", expected=_shown(stated), found=_shown(sealed))
        for name, stated, sealed in pairs
        if stated != sealed
    )


def check_parts_against_attachments(seal: Seal, attachments: tuple[Attachment, ...]) -> tuple[Finding, ...]:
    """Whether the sealed parts are the listed attachments: count, and in order name, type, size, digest.

    What an encrypted part opens to is compared where it is opened (``encryption_rules``).
    """
    if len(seal.parts) != len(attachments):
        count = xml_finding(
            "parts-differ", element="attachments", expected=str(len(attachments)), found=str(len(seal.parts))
        )
        return (count,)
    return tuple(
        xml_finding(
            "parts-differ",
            element=f"attachments/attachment[{part.index}]/@{name}",
            expected=stated,
            found=sealed,
        )
        for part, listed in zip(seal.parts, attachments, strict=True)
        for name, stated, sealed in _differences(part, listed)
    )


def _differences(part: SealPart, listed: Attachment) -> Iterator[tuple[str, str, str]]:
    if read_name(part.name) != listed.file:
        yield "file", listed.file, part.name.decode("utf-8", errors="backslashreplace")
    if part.document_type != listed.document_type:
        yield "documentType", listed.document_type, part.document_type
    if part.enc:
        yield from _encrypted_differences(part, listed)
        return
    if listed.size is not None and part.size != listed.size:
        yield "size", str(listed.size), str(part.size)
    if listed.sha256 is not None and part.digest != listed.sha256:
        yield "sha256", listed.sha256, part.digest


def _encrypted_differences(part: SealPart, listed: Attachment) -> Iterator[tuple[str, str, str]]:
    """Of a ciphertext only the size can be compared; what it must open to has to be stated."""
    if listed.size is None:
        yield "size", "0, 1, 2 ...", "-"
    elif part.size != carried_size(listed.size):
        yield "size", str(carried_size(listed.size)), str(part.size)
    if listed.sha256 is None:
        yield "sha256", "64 x 0-9 a-f", "-"


def _shown(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return "-" if value is None or value == "" else str(value)
