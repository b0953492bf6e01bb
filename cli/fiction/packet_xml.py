"""The bytes of packet.xml for a drop (docs/packet-format.md, the drop), in the encoding of the vendor.

Guarantees the element order of the format, fields in the order of the drop, and nothing empty. An old
program's encoding is declared and used; what it cannot say becomes a numeric character reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from cli.fiction.request import Drop
from cli.fiction.values import SHANGHAI
from packet_spec.model import Attachment, Envelope
from packet_spec.xml import Element, add, new_root, write_document


class DropEncoding(StrEnum):
    """How packet.xml and the names in a zip are encoded, as Python and the XML declaration name it."""

    UTF_8 = "utf-8"
    GBK = "gbk"
    GB18030 = "gb18030"


def packet_xml(drop: Drop, attachments: Sequence[Attachment], encoding: DropEncoding) -> bytes:
    """packet.xml of ``drop`` with these attachments. Raises SchemaError for text that XML cannot carry."""
    root = new_root("packet", "packet", {"version": "1.0"})
    _add_envelope(add(root, "envelope"), drop.envelope)
    _add_body(add(root, "body"), drop)
    if attachments:
        _add_attachments(add(root, "attachments"), attachments)
    return _encoded(write_document(root), encoding)


def _encoded(utf8: bytes, encoding: DropEncoding) -> bytes:
    if encoding is DropEncoding.UTF_8:
        return utf8
    text = utf8.decode().replace('encoding="UTF-8"', f'encoding="{encoding.upper()}"', 1)
    return text.encode(encoding, errors="xmlcharrefreplace")


def _add_envelope(parent: Element, envelope: Envelope) -> None:
    reply = envelope.in_reply_to
    if envelope.packet_id:
        add(parent, "packetId", envelope.packet_id)
    add(parent, "senderRef", envelope.sender_ref)
    add(parent, "businessType", envelope.business_type)
    add(parent, "sender", envelope.sender)
    add(parent, "receiver", envelope.receiver)
    for code in envelope.copy_to:
        add(parent, "copyTo", code)
    if reply is not None:
        add(parent, "inReplyTo", reply.packet_id, sender=reply.sender)
    if envelope.supersedes:
        add(parent, "supersedes", envelope.supersedes)
    add(parent, "createdAt", envelope.created_at.astimezone(SHANGHAI).isoformat())
    add(parent, "priority", envelope.priority)
    add(parent, "track", envelope.track)
    add(parent, "handover", envelope.handover)
    if envelope.expires_at is not None:
        add(parent, "expiresAt", envelope.expires_at.astimezone(SHANGHAI).isoformat())
    add(parent, "secrecy", envelope.secrecy)
    if envelope.case_kind or envelope.case_numbers:
        case = add(parent, "case", kind=envelope.case_kind or None)
        for number in envelope.case_numbers:
            add(case, "number", number.value, kind=number.kind)
    if envelope.handler:
        add(parent, "handler", name=envelope.handler)
    if envelope.approver:
        approved_on = envelope.approved_on.isoformat() if envelope.approved_on else None
        add(parent, "approver", name=envelope.approver, approvedOn=approved_on)


def _add_body(parent: Element, drop: Drop) -> None:
    body = new_root("body", drop.envelope.business_type)
    parent.append(body)
    for code in drop.body.order:
        if code == "persons":
            persons = add(body, "persons")
            for person in drop.body.persons:
                block = add(persons, "person")
                for field, text in person.items():
                    add(block, field, text)
        elif code in drop.body.lists:
            items = add(body, code)
            for item in drop.body.lists[code]:
                add(items, "item", item.text, **item.attributes)
        else:
            add(body, code, drop.body.fields[code])


def _add_attachments(parent: Element, attachments: Sequence[Attachment]) -> None:
    for attachment in attachments:
        add(
            parent,
            "attachment",
            file=attachment.file,
            documentType=attachment.document_type,
            size=None if attachment.size is None else str(attachment.size),
            sha256=attachment.sha256,
            title=attachment.title or None,
            pages=None if attachment.pages is None else str(attachment.pages),
            documentNumber=attachment.document_number or None,
            documentDate=attachment.document_date.isoformat() if attachment.document_date else None,
            volume=attachment.volume or None,
        )
