from __future__ import annotations

from datetime import UTC, datetime

import pytest

from packet_spec.disposition import is_disposition, parse_disposition
from packet_spec.findings import Finding, Severity
from packet_spec.limits import DISPOSITION_BYTES
from packet_spec.model import Disposition, ReceiptKind
from tests.support.documents import KEY, PACKET_XML

SIGNED = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<disposition xmlns="urn:exchanged:disposition:1" '
    'packetId="0190a5b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b" sender="620199-01-00" kind="signed" by="虚构戊" '
    'at="2026-07-16T10:00:00+08:00"/>'
)
REFUSED = SIGNED.replace('kind="signed"', 'kind="refused"').replace(
    "/>", '><finding code="wrong-court"><zh>管辖不符</zh></finding></disposition>'
)
AT = datetime(2026, 7, 16, 2, tzinfo=UTC)


def codes(data: bytes) -> list[str]:
    value, findings = parse_disposition(data)
    assert value is None
    return [finding.code for finding in findings]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_signing(encoding):
    value, findings = parse_disposition(SIGNED.encode(encoding))
    assert value == Disposition(KEY, ReceiptKind.SIGNED, "虚构戊", AT, ())
    assert findings == ()


def test_refusing_in_gbk():
    value, _ = parse_disposition(REFUSED.replace("UTF-8", "GBK").encode("gbk"))
    reason = Finding("wrong-court", Severity.REFUSE, "管辖不符", "管辖不符")
    assert value == Disposition(KEY, ReceiptKind.REFUSED, "虚构戊", AT, (reason,))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (SIGNED.replace('kind="signed"', 'kind="refused"').encode(), ["reason-missing"]),
        (SIGNED.replace('kind="signed"', 'kind="accepted"').encode(), ["value-invalid"]),
        (SIGNED.replace(' by="虚构戊"', "").encode(), ["attribute-missing"]),
        (SIGNED.replace("10:00:00", "25:00:00").encode(), ["value-invalid"]),
        (SIGNED.replace("10:00:00+08:00", "10:00:00").encode(), ["value-invalid"]),
        (SIGNED.encode("gbk"), ["encoding-undecodable"]),
        (SIGNED.encode()[:-1], ["xml-not-wellformed"]),
        (b"<!DOCTYPE d><d/>", ["doctype-refused"]),
        (b" " * (DISPOSITION_BYTES + 1), ["too-large"]),
        (b"<other/>", ["root-unexpected"]),
    ],
)
def test_what_is_refused(data, expected):
    assert codes(data) == expected


def test_a_lone_xml_says_what_it_is():
    assert is_disposition(SIGNED.encode())
    assert is_disposition(REFUSED.replace("UTF-8", "GBK").encode("gbk"))
    assert is_disposition(SIGNED.replace('kind="signed"', "").encode())
    assert not is_disposition(PACKET_XML.encode())
    assert not is_disposition(b"")
