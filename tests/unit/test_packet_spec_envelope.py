from __future__ import annotations

import re
from datetime import UTC, date, datetime

import pytest

from packet_spec.envelope import missing_digest_findings, parse_packet, parse_packet_root
from packet_spec.findings import Severity
from packet_spec.identity import PacketKey, sha256_hex
from packet_spec.limits import PACKET_XML_BYTES
from packet_spec.model import Attachment, CaseNumber, Envelope, Priority
from tests.support.documents import DIGEST, FIRST_PART, PACKET_XML

MOMENT = "2026-07-15T09:30:00+08:00"


def changed(old: str, new: str) -> bytes:
    assert old in PACKET_XML
    return PACKET_XML.replace(old, new).encode()


def findings_of(data: bytes):
    packet, findings = parse_packet(data)
    assert packet is None
    assert findings
    assert all(finding.severity is Severity.REFUSE for finding in findings)
    assert all(finding.zh and finding.en and finding.file == "packet.xml" for finding in findings)
    return [(finding.code, finding.element, finding.found) for finding in findings]


def test_a_whole_packet():
    packet, findings = parse_packet(PACKET_XML.encode())
    assert findings == ()
    assert packet.envelope == Envelope(
        packet_id="0190a5b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b",
        sender_ref="A620199-0007",
        business_type="prosecution.transfer",
        sender="620199-01-00",
        receiver="620199-03-00",
        copy_to=("620199-04-00",),
        in_reply_to=PacketKey("620199-03-00", "0190a5b0-1c2d-7e3f-8a4b-5c6d7e8f9a0c"),
        supersedes="0190a5b0-1c2d-7e3f-8a4b-5c6d7e8f9a0d",
        created_at=datetime(2026, 7, 15, 1, 30, tzinfo=UTC),
        priority=Priority.NORMAL,
        track="single",
        handover="transfer",
        expires_at=datetime(2026, 8, 15, 1, 30, tzinfo=UTC),
        secrecy="none",
        case_kind="dangerous_driving",
        case_numbers=(CaseNumber("police", "A6201990000002026070001"),),
        handler="虚构甲",
        approver="虚构乙",
        approved_on=date(2026, 7, 14),
    )
    assert packet.attachments == (
        Attachment(
            "起诉意见书.pdf",
            "POL-020",
            5,
            sha256_hex(FIRST_PART),
            "起诉意见书",
            12,
            "虚构〔2026〕1号",
            date(2026, 7, 14),
            "procedure",
        ),
        Attachment("media.mp4", "EVD-024", 2_000_000, DIGEST),
    )
    assert packet.body_type == "prosecution.transfer"
    assert packet.fields == {"plea": "true"}
    assert packet.lists == {"charges": ("危险驾驶", "其他")}
    assert packet.persons == ({"name": "虚构丙", "sex": "1"}, {"name": "虚构丁"})


def test_the_smallest_packet():
    data = b"""<packet xmlns="urn:exchanged:packet:1" version="1.0"><envelope><packetId/>
      <senderRef> A\t 7 </senderRef><businessType>a.b</businessType>
      <sender>620199-01-00</sender><receiver> 620199-03-00 </receiver><inReplyTo/><supersedes/>
      <createdAt>2026-07-15T01:30:00Z</createdAt><priority>urgent</priority><track>dual</track>
      <handover>copy</handover><expiresAt/><secrecy>work_secret</secrecy></envelope>
      <body><a.b xmlns="urn:exchanged:body:1"/></body></packet>"""
    packet, findings = parse_packet(data)
    assert findings == ()
    envelope = packet.envelope
    assert (envelope.sender_ref, envelope.receiver, envelope.priority) == (
        "A 7",
        "620199-03-00",
        Priority.URGENT,
    )
    nothing = (envelope.packet_id, envelope.in_reply_to, envelope.supersedes, envelope.expires_at)
    assert nothing == (None, None, None, None)
    assert (envelope.case_kind, envelope.handler, envelope.approver, envelope.approved_on) == (
        "",
        "",
        "",
        None,
    )
    assert packet.attachments == ()


FIRST, SECOND = "attachments/attachment[1]/@", "attachments/attachment[2]/@"
BODY = "body/prosecution.transfer"
# Old text, new text -> code, element and value of the one finding.
REFUSED = [
    ("<secrecy>none", "<secrecy>secret", "secrecy-refused", "envelope/secrecy", "secret"),
    ("<sender>620199", "<sender>62019", "value-invalid", "envelope/sender", "62019-01-00"),
    ("<priority>normal", "<priority>fast", "value-invalid", "envelope/priority", "fast"),
    ("<track>single</track>", "", "element-unexpected", "envelope/handover", ""),
    ('version="1.0">', 'version="2.0">', "value-invalid", "packet/@version", "2.0"),
    ("<senderRef>A620199-0007", "<senderRef> ", "value-invalid", "envelope/senderRef", " "),
    (' documentType="POL-020"', "", "attribute-missing", FIRST + "documentType", ""),
    (' size="5"', ' size="-5"', "value-invalid", FIRST + "size", "-5"),
    (' size="5"', f' size="{"9" * 5000}"', "value-invalid", FIRST + "size", "9" * 79 + "…"),
    (' pages="12"', ' colour="1"', "attribute-unexpected", FIRST + "colour", ""),
    ('On="2026-07-14"', 'On="2026-02-30"', "value-invalid", "envelope/approver/@approvedOn", "2026-02-30"),
    ('Date="2026-07-14"', 'Date="2026-13-01"', "value-invalid", FIRST + "documentDate", "2026-13-01"),
    ("07-15T09", "07-15T24", "value-invalid", "envelope/createdAt", "2026-07-15T24:30:00+08:00"),
    (MOMENT, "2026-07-15T09:30:00", "value-invalid", "envelope/createdAt", "2026-07-15T09:30:00"),
    ("<copyTo>620199-04", "<copyTo>620199-03", "recipient-twice", "envelope", "620199-03-00"),
    (' sender="620199-03-00"', "", "reply-sender-missing", "envelope/inReplyTo/@sender", ""),
    ("<businessType>prosecution", "<businessType>arrest", "body-mismatch", BODY, "prosecution.transfer"),
    ("起诉意见书.pdf", "../x.pdf", "attachment-name-refused", FIRST + "file", "../x.pdf"),
    ("起诉意见书.pdf", "Media.MP4", "attachment-twice", SECOND + "file", "media.mp4"),
    ("起诉意见书.pdf", "Packet.XML", "attachment-twice", FIRST + "file", "Packet.XML"),
    ("urn:exchanged:body:1", "urn:other", "element-unexpected", BODY, ""),
    ("exchanged:packet:1", "exchanged:packet:2", "root-unexpected", "", "packet (urn:exchanged:packet:2)"),
]


@pytest.mark.parametrize(("old", "new", "code", "element", "found"), REFUSED)
def test_what_is_refused_and_where(old, new, code, element, found):
    assert findings_of(changed(old, new)) == [(code, element, found)]


def test_all_findings_come_at_once():
    data = changed("<secrecy>none", "<secrecy>top").replace(b"620199-03-00", b"?").replace(b' size="5"', b"")
    codes = [code for code, _, _ in findings_of(data)]
    assert codes == ["value-invalid", "value-invalid", "secrecy-refused"]


def test_findings_name_their_lines():
    _, findings = parse_packet(changed("<secrecy>none", "<secrecy>top"))
    assert findings[0].line == PACKET_XML[: PACKET_XML.index("<secrecy>")].count("\n") + 1


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "xml-not-wellformed"),
        (b"<packet", "xml-not-wellformed"),
        (b"<!DOCTYPE packet><packet/>", "doctype-refused"),
        (b"<a>" * 40 + b"</a>" * 40, "too-deep"),
        (b"x" * (2 * PACKET_XML_BYTES + 1), "too-large"),
        (b"<packet/>", "root-unexpected"),
    ],
)
def test_what_is_no_packet_at_all(data, code):
    assert [found[0] for found in findings_of(data)] == [code]


ILLEGAL = [*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), 0xFFFE, 0xFFFF]
# libxml2 has to refuse them wherever they stand: only then are they looked for.
PLACES = [
    ("?>", "?>{}"),
    ("<packet", "<!-- 虚{}构 --><packet"),
    ("<packet", "<?x {}?><packet"),
    ("<packet", "<{}packet"),
    ("</packet>", "<!--{}--></packet>"),
    ("</packet>", "</packet>{}"),
    ("</packet>", "</packet>\n {} \n"),
    ("</packet>", "</packet>\n<!--{}-->"),
    ("<senderRef>", "<senderRef>{}"),
    ("<senderRef>", "<senderRef>虚{}构"),
    ("<senderRef>", "<senderRef><![CDATA[虚{}构]]>"),
    ("<senderRef>", "<senderRef{}>"),
    ('documentType="', 'documentType="{}'),
    ('documentType="', 'documentType="虚{}构'),
]


@pytest.mark.parametrize(("old", "new"), PLACES)
def test_no_control_character_passes_anywhere(old: str, new: str) -> None:
    for point in ILLEGAL:
        data = PACKET_XML.replace(old, new.format(chr(point)), 1).encode()
        assert data != PACKET_XML.encode()
        assert findings_of(data) == [("control-character", "", f"U+{point:04X}")]


def test_control_characters_are_told_with_line_and_number():
    root, findings = parse_packet_root(changed("虚构甲", "虚\x0b构"))
    assert root is None
    line = PACKET_XML[: PACKET_XML.index("虚构甲")].count("\n") + 1
    assert [(each.code, each.line, each.found) for each in findings] == [
        ("control-character", line, "U+000B")
    ]


def test_too_many_attachments():
    entry = '<attachment file="{}.pdf" documentType="POL-020"/>'
    many = "".join(entry.format(number) for number in range(5001))
    data = changed("</attachments>", many + "</attachments>")
    assert findings_of(data) == [("too-many-attachments", "attachments", "5003")]


def test_a_prefixed_document_reads_the_same():
    start, end = PACKET_XML.index("<prosecution"), PACKET_XML.index("</body>")
    head, tail = (
        re.sub(r"<(/?)(?=\w)", r"<\1p:", each).replace("xmlns=", "xmlns:p=")
        for each in (PACKET_XML[:start], PACKET_XML[end:])
    )
    prefixed = head + PACKET_XML[start:end] + tail
    assert parse_packet(prefixed.encode()) == parse_packet(PACKET_XML.encode())
    wrong = prefixed.replace(">none<", ">top<").encode()
    assert findings_of(wrong) == [("secrecy-refused", "envelope/secrecy", "top")]


def test_digests_may_be_left_out_only_where_a_profile_says_so():
    data = PACKET_XML.replace(f' sha256="{DIGEST}"', "").replace(' size="5"', "").encode()
    packet, findings = parse_packet(data)
    assert findings == ()
    missing = [(finding.code, finding.found) for finding in missing_digest_findings(packet)]
    assert missing == [
        ("attachment-size-missing", "起诉意见书.pdf"),
        ("attachment-digest-missing", "media.mp4"),
    ]
    whole, _ = parse_packet(PACKET_XML.encode())
    assert missing_digest_findings(whole) == ()
