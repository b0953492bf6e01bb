from __future__ import annotations

import pytest

from packet_spec.encoding import EncodingDecision, decide_encoding, reading
from packet_spec.errors import EncodingError
from packet_spec.findings import Finding, Severity
from packet_spec.limits import PACKET_XML_BYTES

LONG = "虚构的当事人姓名与案件事实，用来避免过短的文本。"
DECLARED = '<?xml version="1.0" encoding="{}"?>\n<a>{}</a>\n'
PLAIN = f"<a>{LONG}</a>\n"
REWRITTEN = DECLARED.format("UTF-8", LONG).encode()


def decide(data: bytes) -> EncodingDecision:
    decision = decide_encoding(data)
    assert isinstance(decision, EncodingDecision)
    assert reading(data, decision.encoding) == decision.utf8
    return decision


def refuse(data: bytes) -> Finding:
    finding = decide_encoding(data)
    assert isinstance(finding, Finding)
    assert finding.severity is Severity.REFUSE
    return finding


def codes(decision: EncodingDecision) -> list[str]:
    return [finding.code for finding in decision.findings]


# Row by row: what is declared, what the bytes are, what is decided and warned of (domain catalogue 2.4).
TABLE = [
    ("UTF-8", "utf-8", "utf-8", []),
    ("utf8", "utf-8", "utf-8", []),
    ("gb2312", "gb2312", "gb18030", []),
    ("gb2312", "gbk", "gb18030", []),
    ("GBK", "gbk", "gb18030", []),
    ("cp936", "gbk", "gb18030", []),
    ("GBK", "gb18030", "gb18030", []),
    ("GB18030", "gb18030", "gb18030", []),
    ("GBK", "utf-8", "utf-8", ["encoding-misdeclared"]),
    ("GB18030", "utf-8", "utf-8", ["encoding-misdeclared"]),
    ("ISO-8859-1", "utf-8", "utf-8", ["encoding-misdeclared"]),
    ("gb2312", "utf-8-sig", "utf-8", ["encoding-misdeclared"]),
    ("UTF-8", "utf-8-sig", "utf-8", []),
    ("UTF-16", "utf-16", "utf-16", []),
    ("UTF-8", "utf-16", "utf-16", ["encoding-misdeclared"]),
    ("GBK", "utf-16", "utf-16", ["encoding-misdeclared"]),
]


@pytest.mark.parametrize(("declared", "real", "decided", "warned"), TABLE)
def test_the_table_of_declared_and_real_encodings(declared, real, decided, warned):
    decision = decide(DECLARED.format(declared, LONG).encode(real))
    assert (decision.encoding, codes(decision)) == (decided, warned)
    assert decision.utf8 == REWRITTEN
    assert all(finding.severity is Severity.WARN for finding in decision.findings)


def test_rare_characters_are_kept():
    for rare, declared in [("镕", "gb2312"), ("\u36c3", "GBK"), ("\U00020bb7", "GB18030"), ("\ue5e5", "GBK")]:
        assert rare in decide(DECLARED.format(declared, LONG + rare).encode("gb18030")).utf8.decode()


def test_without_declaration_it_is_utf8():
    decision = decide(PLAIN.encode())
    assert (decision.encoding, decision.utf8, codes(decision)) == ("utf-8", PLAIN.encode(), [])


def test_marks_decide_in_both_byte_orders():
    for mark, codec in [(b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")]:
        assert decide(mark + PLAIN.encode(codec)).utf8 == PLAIN.encode()
    assert decide(b"\x84\x31\x95\x33" + PLAIN.encode("gb18030")).encoding == "gb18030"


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (DECLARED.format("UTF-8", LONG).encode("gbk"), 2),
        (b"<a>\n\n" + LONG.encode("gbk") + b"</a>", 3),
        (DECLARED.format("GBK", "\xff").encode("latin-1"), 2),
        (b"\xef\xbb\xbf<a>\xff</a>", 1),
        (b"\xff\xfe<", 1),
    ],
)
def test_bytes_that_do_not_decode_are_refused_with_their_line(data, line):
    finding = refuse(data)
    assert (finding.code, finding.line) == ("encoding-undecodable", line)


@pytest.mark.parametrize(
    "data",
    [
        DECLARED.format("big5", "x").encode(),
        DECLARED.format("UTF-7", "+ADw-").encode(),
        DECLARED.format("Big5", LONG).encode("gbk"),
        b"\xff\xfe\x00\x00<\x00\x00\x00",
        b"\x00\x00\xfe\xff\x00\x00\x00<",
    ],
)
def test_other_encodings_are_refused(data):
    assert refuse(data).code == "encoding-unsupported"


def test_ascii_that_claims_utf16_is_ascii():
    decision = decide(DECLARED.format("UTF-16", "x").encode())
    assert (decision.encoding, codes(decision)) == ("utf-8", ["encoding-misdeclared"])


@pytest.mark.parametrize("content", ["张伟", "·", "é" * 40])
def test_what_reads_both_ways_is_flagged(content):
    # "é" is two bytes in UTF-8 and one Han character in GB18030: forty of them are still doubtful.
    decision = decide(DECLARED.format("GBK", content).encode())
    assert (decision.encoding, codes(decision)) == ("utf-8", ["encoding-misdeclared", "encoding-ambiguous"])


def test_a_mark_leaves_no_doubt():
    assert codes(decide(b"\xef\xbb\xbf" + DECLARED.format("GBK", "张伟").encode())) == [
        "encoding-misdeclared"
    ]


def test_the_declaration_is_rewritten_and_lines_are_kept():
    data = '<?xml version="1.0"\n  encoding=\'GBK\'\n  standalone="yes" ?>\n<a>张</a>'.encode("gbk")
    assert decide(data).utf8 == '<?xml version="1.0" encoding="UTF-8"?>\n\n\n<a>张</a>'.encode()


def test_a_declaration_inside_a_comment_declares_nothing():
    assert decide(b'<!-- <?xml version="1.0" encoding="big5"?> --><a/>').encoding == "utf-8"


def test_the_size_is_capped_before_anything_is_decoded():
    assert refuse(b"x" * (PACKET_XML_BYTES + 1)).code == "too-large"


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"\xff", "utf-8"),
        (b"\xff", "gb18030"),
        (b"<\x00", "utf-16"),
        (b"<a/>", "latin-1"),
        (b"\xff\xfe\x00", "utf-16"),
    ],
)
def test_a_sealed_encoding_that_does_not_fit_is_an_error(data, encoding):
    with pytest.raises(EncodingError):
        reading(data, encoding)


def test_nothing_at_all_is_utf8():
    assert decide(b"").utf8 == b""
