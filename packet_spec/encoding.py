"""Which encoding foreign bytes are really in, and the one UTF-8 reading of them.

Guarantees the intake rule of docs/packet-format.md: a byte order mark decides; else bytes that are valid
UTF-8 with a character beyond ASCII are UTF-8, whatever they declare; else the declaration counts, and
gb2312, gbk and cp936 are read as GB18030, their superset. Decoding is strict. Later nodes re-derive
the same bytes from the encoding name in the seal (``reading``).

Leaves to others: parsing, and the original bytes, which alone are hashed, signed and delivered. Known
limit: a short GBK text may also be valid UTF-8; it is read as UTF-8 with a warning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from packet_spec.errors import EncodingError
from packet_spec.findings import Finding
from packet_spec.limits import PACKET_XML_BYTES
from packet_spec.xml_findings import PACKET_XML, xml_finding

UTF_8: Final = "utf-8"
GB18030: Final = "gb18030"
UTF_16: Final = "utf-16"

# A reading may be longer than the original: a Han character takes two bytes there and three in UTF-8.
READING_GROWTH: Final = 2

_DECLARATION: Final = re.compile(
    r"""<\?xml[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*["'][0-9.]{1,8}["']"""
    r"""(?:[ \t\r\n]+encoding[ \t\r\n]*=[ \t\r\n]*["']([A-Za-z][A-Za-z0-9._-]{0,39})["'])?"""
    r"""(?:[ \t\r\n]+standalone[ \t\r\n]*=[ \t\r\n]*["'](?:yes|no)["'])?[ \t\r\n]*\?>"""
)
_DECLARATION_BYTES: Final = 256
_WRITTEN: Final = '<?xml version="1.0" encoding="UTF-8"?>'
_WRITTEN_BYTES: Final = _WRITTEN.encode()

# Longest first: the UTF-32 mark begins with that of UTF-16.
_MARKS: Final = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\x84\x31\x95\x33", GB18030),
    (b"\xef\xbb\xbf", UTF_8),
    (b"\xff\xfe", UTF_16),
    (b"\xfe\xff", UTF_16),
)
# Declared names that we read, and as what. GB18030 is a superset of the older sets and of ASCII; where
# nothing is declared it is UTF-8 (XML 1.0 section 4.3.3).
_READ_AS: Final = {
    "": UTF_8,
    "utf-8": UTF_8,
    "utf8": UTF_8,
    "us-ascii": UTF_8,
    "ascii": UTF_8,
    "gb2312": GB18030,
    "gbk": GB18030,
    "cp936": GB18030,
    "gb18030": GB18030,
    "utf-16": UTF_16,
}
# Below this many bytes beyond ASCII, a text that reads both ways may really be either.
_AMBIGUOUS_BYTES: Final = 32
_HAN: Final = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_BEYOND_ASCII: Final = re.compile(rb"[\x80-\xff]")


@dataclass(frozen=True, slots=True)
class EncodingDecision:
    """The encoding decided (as the seal names it), the UTF-8 reading for parsing, and warnings."""

    encoding: str
    utf8: bytes
    findings: tuple[Finding, ...] = ()


def decide_encoding(data: bytes, file: str = PACKET_XML) -> EncodingDecision | Finding:
    """Decide what ``data`` is in.

    A Finding instead refuses it: ``too-large``, ``encoding-undecodable`` or ``encoding-unsupported``.
    """
    if len(data) > PACKET_XML_BYTES:
        limit = f"{PACKET_XML_BYTES} bytes"
        return xml_finding("too-large", expected=limit, found=f"{len(data)} bytes", file=file)
    if data.startswith(_WRITTEN_BYTES) and _undecodable_line(data, UTF_8) is None:
        return EncodingDecision(UTF_8, data)  # as most are: it is its own reading
    declared = _declared(data)
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    if marked is not None:
        return _decision(data, marked, declared, file)
    if _BEYOND_ASCII.search(data) and _undecodable_line(data, UTF_8) is None:
        return _decision(data, UTF_8, declared, file)
    named = _READ_AS.get(declared.lower())
    if named is None:
        return xml_finding("encoding-unsupported", found=declared, file=file)
    # UTF-16 without its mark is not XML (XML 1.0 section 4.3.3); ASCII that claims to be it is ASCII.
    return _decision(data, UTF_8 if named == UTF_16 else named, declared, file)


def reading(data: bytes, encoding: str) -> bytes:
    """The UTF-8 reading of ``data`` in the encoding that a seal names; the same at every node.

    A byte order mark goes, a declaration is rewritten to UTF-8 with its line feeds kept. Raises
    EncodingError for an unknown name or bytes that do not decode.
    """
    text = _decode(data, encoding)
    match = _DECLARATION.match(text)
    if match is not None:
        text = _WRITTEN + "\n" * match[0].count("\n") + text[match.end() :]
    return text.encode("utf-8")


def _decode(data: bytes, encoding: str) -> str:
    if encoding not in (UTF_8, GB18030, UTF_16):
        raise EncodingError("this encoding is not read", found=encoding)
    if encoding == UTF_16 and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise EncodingError("UTF-16 without a byte order mark is not read")
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise EncodingError("the bytes are not in the encoding that was decided", expected=encoding) from None


def _declared(data: bytes) -> str:
    """The declared encoding, empty where there is none."""
    head = data[:_DECLARATION_BYTES]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = head.decode("utf-16", errors="replace")
    else:
        text = head.decode("ascii", errors="replace").lstrip("\ufffd")  # a mark of another encoding
    match = _DECLARATION.match(text)
    return (match[1] or "") if match is not None else ""


def _decision(data: bytes, encoding: str, declared: str, file: str) -> EncodingDecision | Finding:
    if encoding not in (UTF_8, GB18030, UTF_16):
        return xml_finding("encoding-unsupported", found=encoding, file=file)
    line = _undecodable_line(data, encoding)
    if line is not None:
        return xml_finding("encoding-undecodable", line=line, expected=encoding, file=file)
    return EncodingDecision(encoding, reading(data, encoding), _warnings(data, encoding, declared, file))


def _warnings(data: bytes, encoding: str, declared: str, file: str) -> tuple[Finding, ...]:
    if not declared or _READ_AS.get(declared.lower()) == encoding:
        return ()
    misdeclared = xml_finding("encoding-misdeclared", expected=declared, found=encoding, file=file)
    if encoding == UTF_8 and _READ_AS.get(declared.lower()) == GB18030 and _reads_both_ways(data):
        ambiguous = xml_finding("encoding-ambiguous", expected=GB18030, found=encoding, file=file)
        return (misdeclared, ambiguous)
    return (misdeclared,)


def _reads_both_ways(data: bytes) -> bool:
    """Valid UTF-8 that may just as well be meant as GB18030: short, or without a Han character."""
    if data.startswith(b"\xef\xbb\xbf") or _undecodable_line(data, GB18030) is not None:
        return False
    is_short = len(data.translate(None, bytes(range(0x80)))) <= _AMBIGUOUS_BYTES
    return is_short or _HAN.search(data.decode(UTF_8)) is None


def _undecodable_line(data: bytes, encoding: str) -> int | None:
    """The line of the first byte that does not decode; None when all do."""
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:
        return data.count(b"\n", 0, error.start) + 1
    return None
