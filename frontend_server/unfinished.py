"""Is a document merely not written to its end? Only then may waiting help; anything else is judged.

Guarantees: a document that more bytes at its end could make well-formed is ``is_cut``, wherever it was cut,
in each encoding that a packet may have; one whose root is closed, or that no bytes could mend, is not. It
takes one pass, whatever the document holds. Raises nothing.

Leaves to others: what is wrong with a document that is not cut. Known limits: zeros, as in a file that got
its size before its bytes, are passed over; in GB18030 a CDATA section seems to end where its text says ``]>``
after a character whose second byte is that of ``]``.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

from packet_spec.limits import XML_DEPTH

_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_MARKS: Final = (b"\x84\x31\x95\x33", codecs.BOM_UTF8, *_UTF_16)
# Neither < > / ! ? = & nor the quotes are ever the second byte of a GB18030 character. What was matched is
# never given back ("*+"): a tag that does not end would cost the square of its length.
_NAME: Final = rb"[^\s<>/!?=&\"'][^\s<>/=&\"']*+"
_ATTRIBUTES: Final = rb"(?:[^<>\"']++|\"[^<\"]*+\"|'[^<']*+')*+"
# Text, then a piece of markup; or nothing, where there is none that ends: so each match begins at the end of
# the one before it.
_PIECE: Final = re.compile(
    rb"[^<]*+(?:<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>"
    rb"|</(?P<end>" + _NAME + rb")\s*+>"
    rb"|<(?P<start>" + _NAME + rb")" + _ATTRIBUTES + rb">"
    rb"|(?P<nothing>))",
    re.DOTALL,
)
_CUT_TAG: Final = re.compile(
    rb"<(?:/(?:" + _NAME + rb"\s*+)?+|" + _NAME + _ATTRIBUTES + rb"(?:\"[^<\"]*+|'[^<']*+)?+)?+\Z"
)
_LONG: Final = (b"<!--", b"<![CDATA[", b"<?")
_DOCTYPE: Final = b"<!DOCTYPE"


def is_cut(document: bytes) -> bool:
    """The document's end is not there (yet)."""
    text = _in_ascii(document)
    opened: list[bytes] = []
    has_root = False
    at = 0
    for piece in _PIECE.finditer(text):
        before, at = at, piece.end()
        if not opened and text[before:at].partition(b"<")[0].strip():
            return False
        if piece.lastgroup == "nothing":
            break
        if piece.lastgroup == "start":
            if (has_root and not opened) or len(opened) == XML_DEPTH:
                return False
            has_root = True
            if text[at - 2 : at - 1] != b"/":
                opened.append(piece["start"])
        elif piece.lastgroup == "end" and (not opened or opened.pop() != piece["end"]):
            return False
    return _goes_on(text, at) if at < len(text) else bool(opened) or not has_root


def _in_ascii(document: bytes) -> bytes:
    """In an encoding whose markup is that of ASCII, without its mark; of a cut character nothing is left."""
    if any(mark.startswith(document) for mark in _MARKS):
        return b""
    if document.startswith(_UTF_16):
        document = codecs.getincrementaldecoder("utf-16")("replace").decode(document).encode()
    for mark in _MARKS:
        document = document.removeprefix(mark)
    return document.replace(b"\0", b"")


def _goes_on(text: bytes, start: int) -> bool:
    """What begins there and does not end could still end."""
    if text.startswith(_LONG, start):
        return True
    rest = text[start:]
    is_beginning = any(long.startswith(rest) for long in (*_LONG, _DOCTYPE))
    return is_beginning or _CUT_TAG.match(text, start) is not None
