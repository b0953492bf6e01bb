"""Whether a document is cut: never whole while it is written, never cut when no bytes could mend it."""

from __future__ import annotations

import pytest

from frontend_server.unfinished import is_cut
from packet_spec.limits import MIB, PACKET_XML_BYTES, XML_DEPTH

WHOLE = (
    '<?xml version="1.0"?>\n<!-- 前 <packet> -->\n<?do a > b?><案:packet a="1 > 2" b=\'"\'>'
    "<a><packet/><b/></a ><c x='/'>虚构]]<![CDATA[</packet> ]] 虚构甲]]></c><!-- </packet> --><d\n/>"
    "</案:packet\n>"
)
TAIL = "\r\n<!-- 虚构 --> \n<?printed <yes?>\n"


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16-le", "utf-16-be"])
def test_a_document_is_cut_wherever_it_was_cut(encoding: str, mark: str) -> None:
    mark = "\ufeff" if encoding.startswith("utf-16") else mark
    document, head = (mark + WHOLE + TAIL).encode(encoding), (mark + WHOLE).encode(encoding)
    for end in range(len(head)):
        assert is_cut(document[:end]), document[:end]
    # The tail is no longer owed, but what it begins it has to end.
    step = len("<".encode(encoding))
    for text in ("", "\r\n"):
        assert not is_cut((mark + WHOLE + text).encode(encoding))
    for text in ("\r\n<", "\r\n<!-", "\r\n<!-- 虚", "<?printed ?"):
        assert is_cut((mark + WHOLE + text).encode(encoding))
    assert not is_cut(document)
    assert not is_cut(document[:-step])
    # Of a character only the first byte is there yet.
    assert is_cut(document[:-1]) is False


@pytest.mark.parametrize(
    ("document", "cut"),
    [
        (b"<packet></packet>", False),
        (b"<packet></packet>\r\n <!-- a\n --> \n", False),
        (b"<p:packet></p:packet >", False),
        (b"<disposition></disposition>", False),
        (b"<Packet></Packet>", False),
        (b'<disposition by="\xe8\x99\x9a>"/>\n', False),
        ("<packet></packet>\n".encode("utf-16"), False),
        ("<packet></packet>".encode("utf-16") + b"\x1a", False),
        ("<packet></packet>".encode("utf-32"), False),
        (b"<packet></packet>\x1a", False),
        (b"<packet></packet>\0\0\0", False),
        (b"<packet><a></packet>", False),
        (b"<packet></Packet>", False),
        (b"</packet>", False),
        (b"<packet></packet x>", False),
        (b"<packet></packet></packet>", False),
        (b"<packet></packet><packet>", False),
        (b"<!DOCTYPE packet [", False),
        (b"<a b=<", False),
        (b"< a", False),
        (b"-->", False),
        (b"packet/>", False),
        (b"{}", False),
        (b"\xff\xd8\xff\xe0", False),
        (b"<a>" * XML_DEPTH, True),
        (b"<a>" * (XML_DEPTH + 1), False),
        (b"<packet></pack", True),
        (b"<packet><envelope></envelope>", True),
        (b"<packet><packet></packet>", True),
        (b"<packet></packet><!-- unfinished", True),
        (b"<packet><attachments><attachment/>", True),
        (b"<packet a='>", True),
        (b"<packet", True),
        (b"<!DOC", True),
        (b"<packet>\0\0\0\0", True),
        (b"\0\0\0\0", True),
        (b" \r\n", True),
        (b"", True),
    ],
)
def test_what_more_bytes_could_mend_is_cut(document: bytes, cut: bool) -> None:
    assert is_cut(document) is cut


@pytest.mark.parametrize(
    ("begin", "piece", "end", "cut"),
    [
        (b'<packet a="b"/>', b"<!---->", b"", False),
        (b'<packet a="b">', b"<!---->", b"", True),
        (b"<packet>", b"<!--", b"", True),
        (b"<packet>", b"<![CDATA[", b"", True),
        (b"<packet>", b"<a/>", b"", True),
        (b"<", b"a", b"", True),
        (b"<", b"a", b"<", False),
        (b"</", b"a", b"<", False),
        (b"<a ", b"b='' ", b"<", False),
        (b"<a ", b"' ", b"<", False),
        (b"<a", b" ", b"<", False),
        (b"<packet>", b">", b"", True),
        (b"", b" ", b"x", False),
    ],
)
def test_a_large_document_is_looked_at_in_one_pass(begin: bytes, piece: bytes, end: bytes, cut: bool) -> None:
    """With a second pass for each piece any of these takes minutes."""
    assert is_cut(begin + piece * (MIB // len(piece)) + end) is cut


def test_the_largest_document_may_consist_of_comments() -> None:
    comments = b"<!---->" * ((PACKET_XML_BYTES - 100) // 7)
    assert not is_cut(b'<packet a="b"/>' + comments)
