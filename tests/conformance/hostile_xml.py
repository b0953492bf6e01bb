"""packet.xml as an attacker writes it, each made by a line of code. All data is fictional."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from packet_spec.limits import PACKET_XML_BYTES, XML_ATTRIBUTES, XML_DEPTH
from tests.conformance.case_packets import load_case, packet_xml, row_of

_CASE: Final = load_case("dangerous_driving")
VALID: Final = packet_xml(_CASE, row_of(_CASE, 2))
_ROOT, _REST = VALID[: VALID.index(">") + 1], VALID[VALID.index(">") + 1 :]
DECLARED: Final = '<?xml version="1.0" encoding="{}"?>'

_LAUGHS: Final = (
    '<!DOCTYPE packet [<!ENTITY a "虚构">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]>"
)
DOCTYPES: Final[dict[str, str]] = {
    "entities-that-multiply": _LAUGHS,
    "one-long-entity": f'<!DOCTYPE packet [<!ENTITY a "{"x" * 100_000}">]>',
    "entity-of-a-file": '<!DOCTYPE packet [<!ENTITY a SYSTEM "file:///etc/hostname">]>',
    "entity-of-the-network": '<!DOCTYPE packet [<!ENTITY a SYSTEM "http://192.0.2.1/x">]>',
    "parameter-entity": '<!DOCTYPE packet [<!ENTITY % p SYSTEM "file:///etc/hostname"> %p;]>',
    "parameter-entities-that-multiply": (
        "<!DOCTYPE packet [<!ENTITY % a '&#37;b;&#37;b;'><!ENTITY % b '&#37;a;&#37;a;'> %a;]>"
    ),
    "external-subset": '<!DOCTYPE packet SYSTEM "file:///dev/zero">',
    "public-identifier": '<!DOCTYPE packet PUBLIC "-//x//y" "http://192.0.2.1/x.dtd">',
    "attribute-default": '<!DOCTYPE packet [<!ATTLIST packet version CDATA "1.0">]>',
    "unparsed-entity": '<!DOCTYPE packet [<!NOTATION n SYSTEM "n"><!ENTITY a SYSTEM "x" NDATA n>]>',
    "empty": "<!DOCTYPE packet>",
    "small-letters": "<!doctype packet>",
    "after-a-comment": "<!-- 虚构 -->\n<!DOCTYPE packet>",
    "after-a-comment-that-looks-closed": "<!-- <!> > - -->\n<!DOCTYPE packet>",
    "after-an-instruction": '<?a href="?"?>\r\n\t <!DOCTYPE packet>',
    "after-many": "<!---->\n<?a?>\n" * 20_000 + "<!DOCTYPE packet>",
    "with-odd-space": "\r\n\t\r<!DOCTYPE\r\n\tpacket\t[ \r\n ]\r >\n",
    "with-no-space": "<!DOCTYPEpacket>",
    "with-a-comment-inside": "<!DOCTYPE packet [<!-- ]> -->]>",
    "not-closed": '<!DOCTYPE packet [<!ENTITY a "',
}
"""What stands before the root element."""

ENCODINGS: Final[dict[str, Callable[[str], bytes]]] = {
    "utf-8": str.encode,
    "utf-8-with-mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "utf-8-declared": lambda text: (DECLARED.format("UTF-8") + text).encode(),
    "utf-16-le": lambda text: b"\xff\xfe" + text.encode("utf-16-le"),
    "utf-16-be": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "utf-16-le-declared": lambda text: b"\xff\xfe" + (DECLARED.format("UTF-16") + text).encode("utf-16-le"),
    "utf-16-le-without-mark": lambda text: text.encode("utf-16-le"),
    "utf-16-be-without-mark": lambda text: (DECLARED.format("UTF-16BE") + text).encode("utf-16-be"),
    "utf-16-declared-in-ascii": lambda text: (DECLARED.format("UTF-16") + text).encode(),
    "gbk": lambda text: (DECLARED.format("GBK") + text).encode("gbk", errors="replace"),
    "gb18030": lambda text: (DECLARED.format("GB18030") + text).encode("gb18030"),
    "gb18030-with-mark": lambda text: b"\x84\x31\x95\x33" + text.encode("gb18030"),
    "utf-7": lambda text: (DECLARED.format("UTF-7") + text).encode("utf-7"),
    "utf-7-with-mark": lambda text: b"+/v8-" + text.encode("utf-7"),
    "utf-32": lambda text: text.encode("utf-32"),
    "utf-32-be-without-mark": lambda text: text.encode("utf-32-be"),
    "ebcdic": lambda text: (DECLARED.format("cp037") + text).encode("cp037", errors="replace"),
    "ebcdic-claimed": lambda text: (DECLARED.format("EBCDIC-CP-US") + text).encode(),
    "scsu-claimed": lambda text: (DECLARED.format("SCSU") + text).encode(),
    "utf-8-over-long": lambda text: text.encode().replace(b"<!", b"\xc0\xbc!").replace(b"<p", b"\xc0\xbcp"),
}


def with_doctype(doctype: str, *, uses: str = "&a;") -> str:
    """The valid packet behind that DOCTYPE, with its entity in a text."""
    return doctype + VALID.replace("<senderRef>", f"<senderRef>{uses}", 1)


def in_root(content: str, attributes: str = "") -> bytes:
    """The valid packet with more in its root element, before everything else."""
    return (_ROOT[:-1] + attributes + ">" + content + _REST).encode()


def in_body(content: str, attributes: str = "") -> bytes:
    """The valid packet with more in its body, before the body's fields."""
    end = VALID.index(">", VALID.index("<prosecution.transfer "))
    return (VALID[:end] + attributes + ">" + content + VALID[end + 1 :]).encode()


def _fill(unit: str, count: int = PACKET_XML_BYTES) -> str:
    """``unit`` as often as a packet.xml has room, or ``count`` times."""
    return unit * min(count, (PACKET_XML_BYTES - len(VALID.encode()) - 2_000) // len(unit.encode()))


def _before(content: str) -> bytes:
    return f"{content}{VALID}".encode()


def _nested(depth: int) -> str:
    return "<a>" * depth + "</a>" * depth


def _repeated(field: str, value: str) -> bytes:
    """The valid packet with another value in a field of its envelope or body."""
    start = VALID.index(f"<{field}>") + len(field) + 2
    return (VALID[:start] + value + VALID[VALID.index("<", start) :]).encode()


def attachments(count: int, more: str = "") -> bytes:
    """The valid packet with so many more attachments, each with ``more`` attributes."""
    line = '<attachment file="f{}" documentType="POL-022" size="1" sha256="' + "0" * 64 + '"{}/>'
    lines = "".join(line.format(number, more) for number in range(count))
    return VALID.replace("</attachments>", f"{lines}</attachments>").encode()


HOSTILE: Final[dict[str, Callable[[], bytes]]] = {
    "200000-attributes": lambda: in_body("", "".join(f' a{n}="1"' for n in range(200_000))),
    "200000-attributes-in-the-root": lambda: in_root("", "".join(f' a{n}="1"' for n in range(200_000))),
    "200000-equal-attributes": lambda: in_body("", ' a="1"' * 200_000),
    "200000-attributes-in-an-attachment": lambda: attachments(
        1, "".join(f' a{n}="1"' for n in range(200_000))
    ),
    "too-many-attributes-many-times": lambda: in_body(
        _fill("<a " + " ".join(f'b{n}=""' for n in range(XML_ATTRIBUTES + 1)) + "/>")
    ),
    "100000-namespaces": lambda: in_body("", "".join(f' xmlns:n{n}="urn:n:{n}"' for n in range(100_000))),
    "100000-namespaces-on-elements": lambda: in_body(
        "".join(f'<n{n}:a xmlns:n{n}="urn:n:{n}"/>' for n in range(100_000))
    ),
    "namespaces-nested": lambda: in_body(
        "".join(f'<n{n}:a xmlns:n{n}="urn:n:{n}">' for n in range(25))
        + _fill("<n1:b/>")
        + "".join(f"</n{n}:a>" for n in reversed(range(25)))
    ),
    "1000000-elements": lambda: in_body(_fill("<a/>", 1_000_000)),
    "1000000-elements-of-no-namespace": lambda: in_root('<a xmlns="">' + _fill("<a/>", 1_000_000) + "</a>"),
    "1000000-comments": lambda: in_body(_fill("<!---->", 1_000_000)),
    "1000000-instructions": lambda: in_body(_fill("<?a?>", 1_000_000)),
    "1000000-sections": lambda: _repeated("case_name", _fill("<![CDATA[]]>", 1_000_000)),
    "too-deep-by-one": lambda: in_body(_nested(XML_DEPTH - 2)),
    "as-deep-as-allowed": lambda: in_body(_nested(XML_DEPTH - 3)),
    "too-deep-for-the-parser": lambda: in_body(_nested(300)),
    "as-deep-as-the-parser-goes": lambda: in_body(_nested(250)),
    "a-million-deep": lambda: b"<a>" * 1_000_000,
    "deep-many-times": lambda: in_body(_fill(_nested(XML_DEPTH - 3))),
    "long-text": lambda: _repeated("case_name", _fill("x")),
    "long-text-of-han": lambda: _repeated("case_name", _fill("虚")),
    "long-text-of-blanks": lambda: _repeated("case_name", _fill(" \n")),
    "long-text-of-references": lambda: _repeated("case_name", _fill("&#x41;")),
    "long-text-of-far-references": lambda: _repeated("case_name", _fill("&#x10FFFF;")),
    "references-to-nothing": lambda: _repeated("case_name", _fill("&a;")),
    "references-without-end": lambda: _repeated("case_name", "&" + _fill("a")),
    "ampersands": lambda: _repeated("case_name", _fill("&amp;")),
    "long-attribute": lambda: in_body("", f' a="{_fill("x")}"'),
    "long-attribute-of-references": lambda: in_body("", f' a="{_fill("&#10;")}"'),
    "long-system": lambda: attachments(1, f' title="{_fill("x")}"'),
    "long-name": lambda: in_body(f"<{_fill('n', 4_000_000)}/>"),
    "long-names": lambda: in_body(_fill(f"<{'n' * 40_000}/>")),
    "long-namespace": lambda: in_body(f'<a xmlns="{_fill("n", 4_000_000)}"/>'),
    "long-prefix": lambda: in_body(f'<{"n" * 40_000}:a xmlns:{"n" * 40_000}="urn:n"/>'),
    "long-comment": lambda: in_body(f"<!--{_fill('x')}-->"),
    "long-instruction": lambda: in_body(f"<?a {_fill('x')}?>"),
    "long-declaration": lambda: _before(f'<?xml version="1.0"{" " * 1_000_000} encoding="GBK"?>'),
    "many-lines": lambda: _before("\n" * 1_000_000),
    "5000-attachments": lambda: attachments(4_900),
    "40000-attachments": lambda: attachments(40_000),
    "wrong-attachments": lambda: attachments(4_900, ' size="x" pages="y" volume="" documentDate="z"'),
    "wrong-attachments-of-two-faults": lambda: attachments(40_000, ' pages="y" volume="" documentDate="z"'),
    "empty": lambda: b"",
    "zeros": lambda: bytes(PACKET_XML_BYTES),
    "tags-not-closed": lambda: b"<" * PACKET_XML_BYTES,
    "not-xml": lambda: bytes(range(256)) * (PACKET_XML_BYTES // 256),
    "cut": lambda: VALID.encode()[:-20],
    "too-large": lambda: VALID.encode() + b" " * PACKET_XML_BYTES,
    "persons": lambda: _persons(1_000),
    "too-many-persons": lambda: _persons(30_000),
    "1000000-lists": lambda: in_body("<interrogators>" + _fill("<item>a</item>") + "</interrogators>"),
    "wrong-values": lambda: in_body(f"<persons>{_fill('<person><sex>7</sex></person>', 1_000)}</persons>"),
    "wrong-values-everywhere": lambda: in_body(_fill("<case_name/>")),
}
"""Name -> packet.xml that must be refused or held, or is as large as a valid one can be."""

VALID_ONES: Final = frozenset(
    {
        "5000-attachments", "persons", "many-lines", "1000000-comments", "1000000-instructions",
        "long-comment", "long-instruction", "long-declaration", "100000-namespaces",
    }
)  # fmt: skip


def _persons(count: int) -> bytes:
    start, end = VALID.index("<person>"), VALID.index("</person>") + len("</person>")
    before, after = VALID[start:end].split("<person_no>1</person_no>")
    persons = "".join(f"{before}<person_no>{number}</person_no>{after}" for number in range(1, count + 1))
    return (VALID[:start] + persons + VALID[end:]).encode()
