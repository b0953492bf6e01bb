"""packet.xml: what case software writes, as values.

Guarantees: either a whole ``Packet`` or findings that refuse, and all findings of the format at once.

Leaves to others: which encoding the bytes were in (``encoding``), the body's own schema and every rule
across fields (``schema``, ``rules``), whether a seal tells the same story (``binding``, whose checks stand
here too), and whether the listed files are there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import lru_cache
from itertools import islice
from typing import Final, TypeVar

from packet_spec.binding import (
    check_parts_against_attachments,
    check_seal_against_envelope,
    check_seal_against_packet,
)
from packet_spec.encoding import READING_GROWTH
from packet_spec.errors import NameRefusedError, SchemaError, XmlRefusedError
from packet_spec.findings import Finding
from packet_spec.identity import PacketKey
from packet_spec.limits import LIST_ITEMS, PACKET_XML_BYTES, PARTS, PERSONS
from packet_spec.model import Attachment, CaseNumber, Envelope, Packet, Priority
from packet_spec.names import OWN_NAMES, fold_name, safe_relative
from packet_spec.xml import (
    Element,
    child,
    children,
    line_of,
    local_name,
    parse_document,
    path_of,
    read_date,
    read_moment,
    text,
)
from packet_spec.xml_findings import DATE_SHAPE, MOMENT_SHAPE, refusal_finding, schema_findings, xml_finding

__all__ = [
    "BODY_NAMESPACE",
    "check_parts_against_attachments",
    "check_seal_against_envelope",
    "check_seal_against_packet",
    "missing_digest_findings",
    "parse_packet",
    "parse_packet_root",
    "read_packet",
    "xml_finding",
]

_T = TypeVar("_T")

BODY_NAMESPACE: Final = "urn:exchanged:body:1"

_PRIORITIES: Final = {each.value: each for each in Priority}
_READING_BYTES: Final = READING_GROWTH * PACKET_XML_BYTES
# Whitespace of XML alone: a full-width space belongs to the text.
_BLANKS: Final = re.compile("[ \t\r\n]+")
# What XML 1.0 section 2.2 leaves out.
_ILLEGAL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def parse_packet(packet_xml_utf8: bytes) -> tuple[Packet | None, tuple[Finding, ...]]:
    """The packet in the UTF-8 reading of a packet.xml, and the findings about its format.

    The packet is None exactly when a finding refuses.
    """
    root, findings = parse_packet_root(packet_xml_utf8)
    return (None, findings) if root is None else read_packet(root)


def parse_packet_root(packet_xml_utf8: bytes) -> tuple[Element | None, tuple[Finding, ...]]:
    """The root element if it fits packet.xsd, else None and why: for callers that validate the body too."""
    try:
        root = parse_document(packet_xml_utf8, limit_bytes=_READING_BYTES)
    except XmlRefusedError as error:
        return None, (_control_character(packet_xml_utf8) or refusal_finding(error),)
    findings = _excess(root) or schema_findings(root, "packet")
    return (None, findings) if findings else (root, ())


def _control_character(data: bytes) -> Finding | None:
    """The first character that no XML can hold: libxml2 refuses them all, but does not say so."""
    text = data.decode("utf-8", errors="replace") if len(data) <= _READING_BYTES else ""
    illegal = _ILLEGAL.search(text)
    if illegal is None:
        return None
    line = text.count("\n", 0, illegal.start()) + 1
    return xml_finding("control-character", line=line, found=f"U+{ord(illegal[0]):04X}")


def _excess(root: Element) -> tuple[Finding, ...]:
    """Looked at before the schema: libxml2 writes down where each fault stands, counting from the first."""
    attachments = child(root, "attachments")
    count = 0 if attachments is None else len(attachments)
    if attachments is None or count <= PARTS:
        return ()
    return (
        xml_finding(
            "too-many-attachments",
            line=line_of(attachments),
            element=path_of(attachments),
            expected=str(PARTS),
            found=str(count),
        ),
    )


def read_packet(root: Element) -> tuple[Packet | None, tuple[Finding, ...]]:
    """The packet in a root element that fits packet.xsd; None exactly when a finding refuses."""
    reader = _Reader()
    envelope_element, content = root[0], root[1][0]
    envelope = reader.envelope(envelope_element)
    attachments = reader.attachments(root[2] if len(root) > 2 else None)  # packet.xsd knows no other third
    body_type = local_name(content)
    business_type = envelope.business_type if envelope else _collapse(text(envelope_element, "businessType"))
    if body_type != business_type:
        reader.note("body-mismatch", content, expected=business_type, found=body_type)
    if len(content) > LIST_ITEMS:
        # Said as the check of the body says it. Nothing of such a body is read: there may be a million.
        reader.findings.append(
            xml_finding(
                "list-too-long",
                line=line_of(content),
                element="body",
                expected=str(LIST_ITEMS),
                found=str(len(content)),
            )
        )
    findings = tuple(reader.findings)
    if envelope is None or findings:
        return None, findings
    fields, lists, persons = _read_body(content)
    return Packet(envelope, attachments, body_type, fields, lists, persons), ()


def missing_digest_findings(packet: Packet) -> tuple[Finding, ...]:
    """Attachments without size or sha256: refused, unless the folder's profile makes sha256 optional."""
    findings: list[Finding] = []
    for index, listed in enumerate(packet.attachments, start=1):
        if listed.size is not None and listed.sha256 is not None:
            continue
        place = f"attachments/attachment[{index}]"
        if listed.size is None:
            findings.append(
                xml_finding("attachment-size-missing", element=f"{place}/@size", found=listed.file)
            )
        if listed.sha256 is None:
            findings.append(
                xml_finding("attachment-digest-missing", element=f"{place}/@sha256", found=listed.file)
            )
    return tuple(findings)


class _Reader:
    """Reads a schema-valid packet and notes what a schema cannot say."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def note(
        self, code: str, element: Element, *, name: str = "", expected: str = "", found: str = ""
    ) -> None:
        path = path_of(element) + (f"/@{name}" if name else "")
        self.findings.append(
            xml_finding(code, line=line_of(element), element=path, expected=expected, found=found)
        )

    def envelope(self, element: Element) -> Envelope | None:
        listed = list(element)
        names = [each.tag.rpartition("}")[2] for each in listed]
        values = [_collapse(each.text) for each in listed]
        parts = dict(zip(names, listed, strict=True))  # of all parts only copies stand repeatedly
        texts = dict(zip(names, values, strict=True))
        recipients = [texts["receiver"]]
        if "copyTo" in parts:
            recipients += [text for name, text in zip(names, values, strict=True) if name == "copyTo"]
            for code in sorted({each for each in recipients if recipients.count(each) > 1}):
                self.note("recipient-twice", element, found=code)
        created_at = self._moment(parts, texts, "createdAt")
        expires_at = self._moment(parts, texts, "expiresAt")
        case, handler, approver = parts.get("case"), parts.get("handler"), parts.get("approver")
        in_reply_to = self._in_reply_to(parts.get("inReplyTo"))
        approved_on = None
        if approver is not None:
            approved_on = self._date(approver, "approvedOn", _collapse(approver.get("approvedOn")))
        if created_at is None:
            return None
        return Envelope(
            packet_id=texts.get("packetId") or None,
            sender_ref=texts["senderRef"],
            business_type=texts["businessType"],
            sender=texts["sender"],
            receiver=recipients[0],
            copy_to=tuple(recipients[1:]),
            in_reply_to=in_reply_to,
            supersedes=texts.get("supersedes") or None,
            created_at=created_at,
            priority=_PRIORITIES[texts["priority"]],
            track=texts["track"],
            handover=texts["handover"],
            expires_at=expires_at,
            secrecy=texts["secrecy"],
            case_kind="" if case is None else _collapse(case.get("kind")),
            case_numbers=() if case is None else _case_numbers(case),
            handler="" if handler is None else _collapse(handler.get("name")),
            approver="" if approver is None else _collapse(approver.get("name")),
            approved_on=approved_on,
        )

    def attachments(self, element: Element | None) -> tuple[Attachment, ...]:
        if element is None:
            return ()
        listed = list(element)
        # Keys and values apart: items() makes a pair of each first.
        stated: list[dict[str, str]] = [
            dict(zip(each.keys(), each.values(), strict=True))  # type: ignore[arg-type]
            for each in listed
        ]
        # Nearly never is there a blank in all that the attachments state: then there is nothing to collapse.
        together = "".join(["".join(each.values()) for each in stated])
        is_plain = _is_plain(together)
        seen, read = set(OWN_NAMES), []
        for each, as_written in zip(listed, stated, strict=True):
            given, file = as_written, as_written["file"]
            is_safe, key = _name_and_key(file)
            if not is_safe:
                self.note("attachment-name-refused", each, name="file", found=file)
            if key in seen:
                self.note("attachment-twice", each, name="file", found=file)
            seen.add(key)
            if not is_plain:
                given = {name: _collapse(value) for name, value in given.items()}
            get = given.get
            size, digest, pages, day = get("size"), get("sha256"), get("pages"), get("documentDate")
            read.append(
                Attachment(
                    file,
                    given["documentType"],
                    int(size) if size else None,
                    digest.lower() if digest else None,
                    get("title", ""),
                    int(pages) if pages else None,
                    get("documentNumber", ""),
                    self._date(each, "documentDate", day) if day else None,
                    get("volume", ""),
                )
            )
        return tuple(read)

    def _in_reply_to(self, answered: Element | None) -> PacketKey | None:
        if answered is None or not _collapse(answered.text):
            return None
        sender = _collapse(answered.get("sender"))
        if not sender:
            self.note("reply-sender-missing", answered, name="sender")
        return PacketKey(sender, _collapse(answered.text))

    def _moment(self, parts: Mapping[str, Element], texts: Mapping[str, str], tag: str) -> datetime | None:
        value = texts.get(tag)
        return self._read(read_moment, parts[tag], value, "", MOMENT_SHAPE) if value else None

    def _date(self, element: Element, name: str, value: str) -> date | None:
        return self._read(_day, element, value, name, DATE_SHAPE) if value else None

    def _read(
        self, read: Callable[[str], _T], element: Element, value: str, name: str, expected: str
    ) -> _T | None:
        try:
            return read(value)
        except SchemaError:
            self.note("value-invalid", element, name=name, expected=expected, found=value)
            return None


def _is_plain(text: str) -> bool:
    """``text`` holds no blank at all: collapsing it, or any part of it, changes nothing."""
    return " " not in text and text.isprintable()


def _collapse(value: str | None) -> str:
    """What XML Schema calls collapsed whitespace: the packet's types rest on xs:token."""
    if not value or (" " not in value and value.isprintable()):  # _is_plain without a call
        return value or ""
    return _BLANKS.sub(" ", value).strip(" ")


# Of a few days there are many documents. What is no date is not kept, and the schema bounds its length.
_day: Final = lru_cache(maxsize=1024)(read_date)


@lru_cache(maxsize=4096)
def _name_and_key(file: str) -> tuple[bool, str]:
    """Whether the name of an attachment is safe, and what it is compared by. The schema bounds its length."""
    try:
        safe_relative(file)
    except NameRefusedError:
        return False, fold_name(file)
    return True, fold_name(file)


def _case_numbers(case: Element) -> tuple[CaseNumber, ...]:
    return tuple(CaseNumber(_collapse(number.get("kind")), _collapse(number.text)) for number in case)


def _texts(parent: Element) -> dict[str, str]:
    """Local name of each child -> its text; the last one counts."""
    listed = list(parent)
    names = [each.tag.rpartition("}")[2] for each in listed]
    texts = [each.text or "" for each in listed]
    # Looked at all at once: nearly always there is nothing to collapse.
    if not _is_plain("".join(texts)):
        texts = [_collapse(text) for text in texts]
    return dict(zip(names, texts, strict=True))


def _read_body(
    content: Element,
) -> tuple[dict[str, str], dict[str, tuple[str, ...]], tuple[dict[str, str], ...]]:
    """Fields, lists and persons of a body; the body's own schema says which there may be.

    Of persons and items one more than the limits allow is read: enough to see that there are too many.
    """
    fields: dict[str, str] = {}
    lists: dict[str, tuple[str, ...]] = {}
    persons: tuple[dict[str, str], ...] = ()
    for element in content:
        name = element.tag.rpartition("}")[2]
        if name == "persons":
            blocks = islice(children(element, "person"), PERSONS + 1)
            persons = tuple(map(_texts, blocks))
        elif len(element) or name in lists:
            items = islice(children(element, "item"), LIST_ITEMS + 1)
            lists[name] = tuple(_collapse(item.text) for item in items)
        else:
            fields[name] = _collapse(element.text)
    return fields, lists, persons
