from __future__ import annotations

from dataclasses import replace

import pytest

from packet_spec.errors import FormatError
from packet_spec.finding_xml import carried_text
from packet_spec.findings import Severity
from packet_spec.findings_xml import decode_findings, encode_findings, encode_findings_text
from tests.support.documents import FINDING, NOW

BARE = replace(
    FINDING, severity=Severity.WARN, file="", line=None, element="", document="", expected="", found=""
)


def test_findings_read_back():
    data = encode_findings("卷宗A.zip", (FINDING, BARE), NOW)
    assert decode_findings(data) == ("卷宗A.zip", (FINDING, BARE), NOW)
    with pytest.raises(FormatError):
        decode_findings(data.replace(b"severity", b"gravity"))


def test_the_text_says_the_same_for_people():
    expected = (
        "卷宗A.zip\n2026-07-15T01:30:00Z\n\n1. [拒收] 请更正\n"
        '   [refused] correct "it" & send <again>\n'
        "   (value-invalid, packet.xml, line 7, envelope/sender, POL-020)\n\n"
        "2. [提示] 请更正\n"
        '   [warning] correct "it" & send <again>\n'
        "   (value-invalid)\n"
    )
    assert encode_findings_text("卷宗A.zip", (FINDING, BARE), NOW) == expected


def test_the_text_holds_no_control_characters():
    hostile = replace(FINDING, zh="a\x1b[31m\nb", element="x\r")
    shown = encode_findings_text("d\n", (hostile,), NOW)
    assert all(line.isprintable() for line in shown.split("\n"))


def test_texts_are_made_fit_to_carry():
    assert carried_text("a\x00\u2028\ud800b") == "a\\x00\\u2028\\ud800b"
    assert carried_text("x" * 1000) == "x" * 1000
    assert carried_text("x" * 1001) == "x" * 999 + "…"
