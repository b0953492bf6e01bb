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
# Neither < > / ! ? = & nor the quotes are ever the second byte of a GB18030 character.
_NAME: Final = rb"[^\s<>/!?=&\"'][^\s<>/=&\"']*"
_TAG: Final = re.compile(rb"</(?P<end>" + _NAME + rb")\s*>|<(?P<start>" + _NAME + rb")")
_CUT_END: Final = re.compile(rb"</?(?:(?<=/)" + _NAME + rb"\s*)?\Z")
# Where an attribute's value, or the tag, begins or ends. By hand from there: a pattern for all of it would
# need groups that never give back, which Python 3.11.2 gets wrong.
_SPECIAL: Final = re.compile(rb"[\"'<>]")
_LONG: Final = ((b"<!--", b"-->"), (b"<![CDATA[", b"]]>"), (b"<?", b"?>"))
_DOCTYPE: Final = b"<!DOCTYPE"
_CUT: Final = -1
_BAD: Final = -2


def is_cut(document: bytes) -> bool:
    """The document's end is not there (yet)."""
    text = _in_ascii(document)
    opened: list[bytes] = []
    has_root = False
    at = 0
    while True:
        begin = text.find(b"<", at)
        if not opened and text[at : len(text) if begin < 0 else begin].strip():
            return False
        if begin < 0:
            return bool(opened) or not has_root
        tag = _TAG.match(text, begin)
        at = _end_of_long(text, begin) if tag is None else tag.end()
        if tag is not None and tag["start"]:
            at = _end_of_start(text, at)
        if at < 0:
            return at == _CUT
        if tag is None:
            continue
        if tag["end"]:
            if not opened or opened.pop() != tag["end"]:
                return False
            continue
        if (has_root and not opened) or len(opened) == XML_DEPTH:
            return False
        has_root = True
        if text[at - 2 : at - 1] != b"/":
            opened.append(tag["start"])


def _end_of_start(text: bytes, at: int) -> int:
    """Where a start tag ends whose name ends at ``at``; _CUT or _BAD."""
    while (special := _SPECIAL.search(text, at)) is not None:
        if special[0] == b">":
            return special.end()
        if special[0] == b"<":
            return _BAD
        at = text.find(special[0], special.end())
        if text.find(b"<", special.end(), len(text) if at < 0 else at) >= 0:
            return _BAD
        if at < 0:
            return _CUT
        at += 1
    return _CUT


def _end_of_long(text: bytes, begin: int) -> int:
    """Where what begins there, and is no whole tag, ends; _CUT or _BAD."""
    for opening, closing in _LONG:
        if text.startswith(opening, begin):
            end = text.find(closing, begin + len(opening))
            return _CUT if end < 0 else end + len(closing)
    rest = text[begin : begin + len(_DOCTYPE) + 1]
    is_beginning = any(long.startswith(rest) for long in (*(opening for opening, _ in _LONG), _DOCTYPE))
    return _CUT if is_beginning or _CUT_END.match(text, begin) else _BAD


def _in_ascii(document: bytes) -> bytes:
    """In an encoding whose markup is that of ASCII, without its mark; of a cut character nothing is left."""
    if any(mark.startswith(document) for mark in _MARKS):
        return b""
    if document.startswith(_UTF_16):
        document = codecs.getincrementaldecoder("utf-16")("replace").decode(document).encode()
    for mark in _MARKS:
        document = document.removeprefix(mark)
    return document.replace(b"\0", b"")

