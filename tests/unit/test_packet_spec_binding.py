from __future__ import annotations

from dataclasses import replace

import pytest

from packet_spec.binding import check_seal_against_packet
from packet_spec.envelope import parse_packet
from packet_spec.findings import Severity
from packet_spec.identity import PacketKey
from packet_spec.model import Priority
from tests.support.documents import COURT, DIGEST, KEY, PACKET_XML, PARTS, make_seal

PACKET, _ = parse_packet(PACKET_XML.encode())


def differences(seal, packet=PACKET) -> list[str]:
    findings = check_seal_against_packet(seal, packet)
    assert all(finding.severity is Severity.REFUSE for finding in findings)
    return [finding.element for finding in findings]


def test_a_true_seal():
    assert differences(make_seal()) == []


@pytest.mark.parametrize(
    ("changes", "element"),
    [
        ({"sender_ref": "other"}, "envelope/senderRef"),
        ({"business_type": "other"}, "envelope/businessType"),
        ({"key": PacketKey(COURT, KEY.packet_id)}, "envelope/sender"),
        ({"key": replace(KEY, packet_id=KEY.packet_id[:-1] + "f")}, "envelope/packetId"),
        ({"receiver": COURT}, "envelope/receiver"),
        ({"copy_to": ()}, "envelope/copyTo"),
        ({"priority": Priority.URGENT}, "envelope/priority"),
        ({"expires_at": None}, "envelope/expiresAt"),
    ],
)
def test_every_field_of_the_envelope_binds_the_seal(changes, element):
    assert differences(make_seal(**changes)) == [element]


def test_an_assigned_packet_id_contradicts_nothing():
    without = replace(PACKET, envelope=replace(PACKET.envelope, packet_id=None))
    assert differences(make_seal(key=replace(KEY, packet_id=KEY.packet_id[:-1] + "f")), without) == []


def part(index: int, **changes):
    return tuple(replace(each, **changes) if each.index == index else each for each in PARTS)


@pytest.mark.parametrize(
    ("parts", "elements"),
    [
        (PARTS[:1], ["attachments"]),
        (part(1, name=b"other.pdf"), ["attachments/attachment[1]/@file"]),
        (part(1, name=b"\xff"), ["attachments/attachment[1]/@file"]),
        (part(2, document_type="POL-020"), ["attachments/attachment[2]/@documentType"]),
        (
            part(2, size=1, digest="1" * 64),
            ["attachments/attachment[2]/@size", "attachments/attachment[2]/@sha256"],
        ),
    ],
)
def test_every_attachment_binds_its_part(parts, elements):
    assert differences(make_seal(parts=parts)) == elements


def test_names_of_old_programs_are_the_listed_ones_in_gb18030():
    assert differences(make_seal(parts=part(1, name="起诉意见书.pdf".encode("gb18030")))) == []


def test_a_name_that_the_receiver_would_read_otherwise_is_not_the_listed_one():
    """In GB18030 it is the listed name, but the bytes are valid UTF-8, and read so first."""
    first = replace(PACKET.attachments[0], file="图1.pdf")
    packet = replace(PACKET, attachments=(first, *PACKET.attachments[1:]))
    raw = "图1.pdf".encode("gb18030")
    assert raw.decode() == "ͼ1.pdf"
    assert differences(make_seal(parts=part(1, name=raw)), packet) == ["attachments/attachment[1]/@file"]


def test_what_the_list_leaves_out_binds_nothing():
    loose = tuple(replace(each, size=None, sha256=None) for each in PACKET.attachments)
    packet = replace(PACKET, attachments=loose)
    assert differences(make_seal(parts=part(2, size=1, digest=DIGEST)), packet) == []
