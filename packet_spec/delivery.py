"""delivery.xml: what the receiving software reads first, bytes <-> values.

Says who sent what when, which file holds which listed attachment, and gives the ``inReplyTo`` element
to copy into an answer. It is not signed: seal.xml and accepted.xml, which lie beside it, are. Guarantees that
a delivery of every seal that can be written can be written: a packet that nobody can deliver would be
accepted all the same.
"""

from __future__ import annotations

from packet_spec.errors import SchemaError
from packet_spec.finding_xml import carried_text
from packet_spec.identity import PacketKey
from packet_spec.limits import DELIVERY_XML_BYTES, PARTS
from packet_spec.model import Seal
from packet_spec.names import delivered_name, escape_for_display, read_name
from packet_spec.told import DeliveredFile, Delivery
from packet_spec.xml import (
    FORMAT_VERSION,
    add,
    attribute,
    children,
    new_root,
    read_machine_document,
    read_moment,
    read_truth,
    text,
    write_machine_document,
    write_moment,
)


def delivered_files(seal: Seal) -> dict[int, DeliveredFile]:
    """Every part by index, under the name that it gets in the inbox."""
    taken: set[str] = set()
    return {
        part.index: DeliveredFile(
            listed=_listed_name(part.name),
            file=delivered_name(_listed_name(part.name), part.index, taken),
            size=part.size,
            digest=part.digest,
            document_type=part.document_type,
        )
        for part in seal.parts
    }


def _listed_name(name: bytes) -> str:
    """The original name as text, else escaped for display."""
    shown = read_name(name)
    return escape_for_display(name) if shown is None else shown


def encode_delivery(delivery: Delivery) -> bytes:
    """The bytes of delivery.xml. Raises SchemaError when the value cannot be written."""
    if len(delivery.files) > PARTS:
        raise SchemaError("a delivery lists too many files", expected=f"at most {PARTS}")
    root = new_root(
        "delivery",
        "delivery",
        {
            "formatVersion": FORMAT_VERSION,
            "sender": delivery.key.sender,
            "packetId": delivery.key.packet_id,
            "attempt": str(delivery.attempt),
        },
    )
    if delivery.maybe_duplicate:
        root.set("maybeDuplicate", "true")
    add(root, "recipient", delivery.recipient)
    add(root, "businessType", delivery.business_type)
    add(root, "senderRef", delivery.sender_ref)
    add(root, "inReplyTo", delivery.key.packet_id, sender=delivery.key.sender)
    add(root, "sealedAt", write_moment(delivery.sealed_at))
    add(root, "acceptedAt", write_moment(delivery.accepted_at))
    add(root, "deliveredAt", write_moment(delivery.delivered_at))
    add(root, "packetXml", encoding=delivery.encoding, digest=delivery.packet_digest)
    add(root, "contentDigest", delivery.content_digest)
    add(root, "sealDigest", delivery.seal_digest)
    for file in delivery.files:
        add(
            root,
            "file",
            listed=carried_text(file.listed),
            name=file.file,
            size=str(file.size),
            digest=file.digest,
            documentType=file.document_type,
            carriedDigest=file.carried_digest or None,
        )
    return write_machine_document(root, "delivery", limit_bytes=DELIVERY_XML_BYTES)


def decode_delivery(data: bytes) -> Delivery:
    """The value of a delivery.xml. Raises FormatError leaves and VersionError."""
    root = read_machine_document(data, "delivery", limit_bytes=DELIVERY_XML_BYTES)
    packet_xml = children(root, "packetXml")[0]
    return Delivery(
        key=PacketKey(attribute(root, "sender"), attribute(root, "packetId")),
        attempt=int(attribute(root, "attempt")),
        recipient=text(root, "recipient"),
        business_type=text(root, "businessType"),
        sender_ref=text(root, "senderRef"),
        sealed_at=read_moment(text(root, "sealedAt")),
        accepted_at=read_moment(text(root, "acceptedAt")),
        delivered_at=read_moment(text(root, "deliveredAt")),
        packet_digest=attribute(packet_xml, "digest"),
        content_digest=text(root, "contentDigest"),
        seal_digest=text(root, "sealDigest"),
        encoding=attribute(packet_xml, "encoding"),
        maybe_duplicate=read_truth(attribute(root, "maybeDuplicate", "false")),
        files=tuple(
            DeliveredFile(
                listed=attribute(each, "listed"),
                file=attribute(each, "name"),
                size=int(attribute(each, "size")),
                digest=attribute(each, "digest"),
                document_type=attribute(each, "documentType"),
                carried_digest=attribute(each, "carriedDigest"),
            )
            for each in children(root, "file")
        ),
    )
