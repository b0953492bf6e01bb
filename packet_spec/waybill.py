"""The waybill: the signed list of one batch (custody C4), bytes <-> values.

The member's bytes are the version line ``exchanged-waybill-1`` and an XML document. The signature,
a member of its own, covers the whole member: the version line is at the same time the domain prefix.
Guarantees: the version is looked at before anything else, the signature before anything is parsed,
and the waybill names the key that signed it. Leaves to others: whether the batch holds what it lists.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from packet_spec.errors import SchemaError, SignatureError, VersionError
from packet_spec.identity import PacketKey, is_agency_code
from packet_spec.limits import BATCH_ITEMS, EARLIEST_CLOCK, WAYBILL_BYTES
from packet_spec.model import ItemKind
from packet_spec.signing import (
    Domain,
    KeyLookup,
    PrivateKey,
    decode_signature,
    encode_signature,
    find_key,
    verify,
)
from packet_spec.waybill_model import (
    Acknowledgement,
    BatchException,
    BlobReference,
    ExceptionKind,
    Waybill,
    WaybillItem,
)
from packet_spec.xml import (
    Element,
    add,
    attribute,
    child,
    children,
    new_root,
    read_machine_document,
    read_moment,
    text,
    texts,
    write_machine_document,
    write_moment,
)

# The format versions of batches that this program reads and writes.
SPEAKS: Final = ("1",)

_VERSION_LINE: Final = Domain.WAYBILL.value


def encode_waybill(waybill: Waybill) -> bytes:
    """The waybill member. Raises SchemaError when the value cannot be written or is over its cap."""
    _require_items(len(waybill.items))
    attributes = {"from": waybill.from_node, "to": waybill.to_node, "incarnation": waybill.incarnation}
    if waybill.number is not None:
        attributes["number"] = str(waybill.number)
    if waybill.directory_epoch != 1:
        attributes["directoryEpoch"] = str(waybill.directory_epoch)
    attributes |= {
        "directoryVersion": str(waybill.directory_version),
        "sentAt": write_moment(waybill.sent_at),
        "keyId": waybill.key_id,
    }
    if waybill.events is not None:
        attributes["events"] = str(waybill.events)
    root = new_root("waybill", "waybill", attributes)
    for version in waybill.speaks:
        add(root, "speaks", version)
    if waybill.ledger_head:
        add(root, "ledgerHead", waybill.ledger_head)
    for digest in waybill.lacks:
        add(root, "lacks", digest)
    if waybill.acknowledgement is not None:
        _add_acknowledgement(root, waybill.acknowledgement)
    for item in waybill.items:
        _add_item(root, item)
    return _VERSION_LINE + write_machine_document(
        root, "waybill", limit_bytes=WAYBILL_BYTES - len(_VERSION_LINE)
    )


def decode_waybill(data: bytes) -> Waybill:
    """The value of a waybill member, whose signature the caller has verified.

    Raises VersionError for another first line, else FormatError leaves.
    """
    root = read_machine_document(_document(data), "waybill", limit_bytes=WAYBILL_BYTES)
    items = children(root, "item")
    _require_items(len(items))
    number, events = root.get("number"), root.get("events")
    acknowledgement = child(root, "acknowledgement")
    return Waybill(
        speaks=texts(root, "speaks"),
        from_node=attribute(root, "from"),
        to_node=attribute(root, "to"),
        incarnation=attribute(root, "incarnation"),
        number=None if number is None else int(number),
        items=tuple(_read_item(item) for item in items),
        acknowledgement=None if acknowledgement is None else _read_acknowledgement(acknowledgement),
        ledger_head=text(root, "ledgerHead"),
        directory_version=int(attribute(root, "directoryVersion")),
        sent_at=_read_clock(attribute(root, "sentAt")),
        key_id=attribute(root, "keyId"),
        lacks=texts(root, "lacks"),
        events=None if events is None else int(events),
        directory_epoch=int(attribute(root, "directoryEpoch") or "1"),
    )


def sign_waybill(data: bytes, key: PrivateKey) -> bytes:
    """The signature member for the waybill member ``data``. Raises VersionError as ``decode_waybill``."""
    return encode_signature(key.sign(Domain.WAYBILL, _document(data)))


def open_waybill(data: bytes, signature: bytes, lookup: KeyLookup) -> Waybill:
    """The verified waybill of a batch, from its first two members.

    Raises VersionError for another version line (answer ``held``, C4), UnknownKeyError for a key that
    ``lookup`` does not know, SignatureError, or a FormatError leaf.
    """
    document = _document(data)
    made = decode_signature(signature)
    verify(Domain.WAYBILL, document, made, find_key(made, lookup))
    waybill = decode_waybill(data)
    if waybill.key_id != made.key_id:
        raise SignatureError("the waybill names another key than the one that signed it")
    return waybill


def _document(data: bytes) -> bytes:
    if not data.startswith(_VERSION_LINE):
        raise VersionError(
            "the version of the batch format is not known here", expected="exchanged-waybill-1"
        )
    return data[len(_VERSION_LINE) :]


def _require_items(count: int) -> None:
    if count > BATCH_ITEMS:
        raise SchemaError("a batch holds too many items", expected=f"at most {BATCH_ITEMS}", found=str(count))


def _read_clock(value: str) -> datetime:
    sent_at = read_moment(value)
    if sent_at < EARLIEST_CLOCK:
        raise SchemaError("no clock shows such a time", expected="1970 or later", found=value)
    return sent_at


def _require_sender(item: WaybillItem) -> WaybillItem:
    """What the schema cannot say: only notes are of nodes, everything else is about an agency's packet."""
    if item.kind is not ItemKind.NOTE and not is_agency_code(item.key.sender):
        raise SchemaError(
            "the sender of an item is no agency", expected="an agency code", found=item.key.sender
        )
    return item


def _add_item(root: Element, item: WaybillItem) -> None:
    _require_sender(item)
    element = add(
        root,
        "item",
        kind=item.kind.value,
        digest=item.digest,
        size=str(item.size),
        sender=item.key.sender,
        packetId=item.key.packet_id,
    )
    for blob in item.blobs:
        add(element, "blob", digest=blob.digest, size=str(blob.size))


def _read_item(element: Element) -> WaybillItem:
    item = WaybillItem(
        kind=ItemKind(attribute(element, "kind")),
        digest=attribute(element, "digest"),
        size=int(attribute(element, "size")),
        key=PacketKey(attribute(element, "sender"), attribute(element, "packetId")),
        blobs=tuple(
            BlobReference(attribute(blob, "digest"), int(attribute(blob, "size")))
            for blob in children(element, "blob")
        ),
    )
    return _require_sender(item)


def _add_acknowledgement(root: Element, acknowledgement: Acknowledgement) -> None:
    element = add(
        root,
        "acknowledgement",
        from_=acknowledgement.from_node,
        incarnation=acknowledgement.incarnation,
        through=str(acknowledgement.through),
        counter=str(acknowledgement.counter),
    )
    for exception in acknowledgement.exceptions:
        entry = add(element, "exception", number=str(exception.number), kind=exception.kind.value)
        if exception.detail:
            add(entry, "detail", exception.detail)
        for digest in exception.blobs:
            add(entry, "blob", digest)


def _read_acknowledgement(element: Element) -> Acknowledgement:
    return Acknowledgement(
        from_node=attribute(element, "from"),
        incarnation=attribute(element, "incarnation"),
        through=int(attribute(element, "through")),
        counter=int(attribute(element, "counter")),
        exceptions=tuple(
            BatchException(
                number=int(attribute(entry, "number")),
                kind=ExceptionKind(attribute(entry, "kind")),
                detail=text(entry, "detail"),
                blobs=texts(entry, "blob"),
            )
            for entry in children(element, "exception")
        ),
    )
