from __future__ import annotations

import json
from dataclasses import replace

import pytest

from packet_spec.errors import EncodingError, FormatError
from packet_spec.status import decode_status_xml, encode_status_json, encode_status_xml
from packet_spec.told import DestinationStatus, Status
from packet_spec.xml import children, local_name, parse_document
from tests.support.documents import COURT, FINDING, KEY, NOW, PROCURATORATE

STATUS = Status(
    drop="卷宗A.zip",
    state="in-transit",
    final=False,
    updated_at=NOW,
    message_zh="已送达对方",
    message_en="on its way",
    packet_id=KEY.packet_id,
    sender_ref="A620199-0007",
    attempt=2,
    destinations=(
        DestinationStatus(PROCURATORATE, "delivered", NOW, "receipts/delivered.xml"),
        DestinationStatus(COURT, "in-transit", NOW),
    ),
    missing=("起诉意见书.pdf",),
    findings=(FINDING,),
    duplicate_of=KEY.packet_id,
)
SMALL = Status("a", "incomplete", final=True, updated_at=NOW, message_zh="缺件", message_en="incomplete")


@pytest.mark.parametrize("status", [STATUS, SMALL])
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_status_files_read_back(status, encoding):
    data = encode_status_xml(status, encoding)
    assert data.decode(encoding).startswith(f'<?xml version="1.0" encoding="{encoding.upper()}"?>')
    assert decode_status_xml(data) == status


@pytest.mark.parametrize("status", [STATUS, SMALL])
def test_both_forms_have_the_same_keys(status):
    root = parse_document(encode_status_xml(status), limit_bytes=100_000)
    value = json.loads(encode_status_json(status))
    present = {key for key, item in value.items() if item != []}
    assert present == {local_name(child) for child in root}
    for tag in ("destination", "finding"):
        for element, entry in zip(children(root, tag), value[tag], strict=True):
            assert entry.keys() == set(element.attrib) | {local_name(child) for child in element}


def test_the_json_form():
    value = json.loads(encode_status_json(STATUS))
    assert value["drop"] == "卷宗A.zip"
    assert value["message"] == {"zh": "已送达对方", "en": "on its way"}
    assert value["final"] is False
    assert value["updatedAt"] == "2026-07-15T01:30:00Z"
    assert value["destination"][0]["receipt"] == "receipts/delivered.xml"
    assert "receipt" not in value["destination"][1]
    assert value["finding"][0]["line"] == 7


def test_strange_names_are_shown_escaped_in_both_forms():
    odd = replace(SMALL, drop="a\n\x1b\udcff", missing=("\x00",))
    assert decode_status_xml(encode_status_xml(odd)).drop == "a\\x0a\\x1b\\udcff"
    assert json.loads(encode_status_json(odd))["missing"] == ["\\x00"]


def test_many_missing_files_and_findings_still_fit():
    many = replace(
        STATUS, missing=tuple(f"{number}.pdf" for number in range(5000)), findings=(FINDING,) * 200
    )
    decoded = decode_status_xml(encode_status_xml(many))
    assert decoded.missing[199:] == ("199.pdf", "… +4800")
    assert json.loads(encode_status_json(many))["missing"][-1] == "… +4800"
    assert len(decoded.findings) == 200


def test_what_cannot_be_written_or_read():
    with pytest.raises(FormatError):
        encode_status_xml(replace(STATUS, state="Two Words"))
    with pytest.raises(EncodingError):
        decode_status_xml(b"<a>\xff</a>")
    with pytest.raises(FormatError):
        decode_status_xml(b"<status/>")
