"""More than five hundred names that have broken programs: bytes, as a file system takes them.

Made here from rules, so that each says why it is there; none is taken from anybody's list. Every name is at
most 255 bytes without ``/`` and NUL. ``BITS`` says what kind of trouble it is.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import chain
from typing import Final

_SHELL: Final = (
    "$(id)", "`id`", ";id", "|id", "&id", "&&id", "||id", "> out", "< in", "$HOME", "${IFS}", "~root",
    "~", "*", "?",
    "[a-z]", "{a,b}", "!1", "#x", "%s%n", "%00", "%2e%2e%2f", "%d", "{0}", "{name}", "{{7*7}}", "${7*7}",
    "<%=7%>",
    "$(reboot)", "'", '"', "''", '""', "\\", "\\\\", "\\n", "\\x00", "\\u0000", "a\\b", "..\\..\\x", "C:",
    "C:\\x",
    "\\\\server\\share", "a:b", "a:$DATA", "::$DATA", "-rf", "--help", "-", "--", "-n", "+x", "@x",
    "=1+1", "=cmd|' /C x'!A0",
)  # fmt: skip
_SQL: Final = (
    "'; DROP TABLE drop;--", "' OR '1'='1", "1; SELECT 1", "a' UNION SELECT 1--", '"; --', "x' AND 1=0",
    "_", "%",
    "a_b%c", "/*x*/".replace("/", ""), "NULL", "null", "None", "nil", "undefined", "NaN", "Infinity",
    "-0", "0", "1e9",
    "true", "false", "0x7fffffff", "9" * 60, "1/0".replace("/", ""), "\u0661\u0662", "١٢٣",
)  # fmt: skip
_MARKUP: Final = (
    "<script>alert(1)<", "<!--", "-->", "<![CDATA[x]]>", "]]>", "&amp;", "&lt;", "&#0;", "&xxe;",
    "<?xml?>", "<!DOCTYPE x>",
    "<packet>", "\ufeffx", "a\u00a0b", "javascript:x", "file:x", "data:,x", "http:x",
)  # fmt: skip
_DEVICES: Final = tuple(
    f"{name}{ending}"
    for name in ("CON", "PRN", "AUX", "NUL", "COM1", "COM9", "LPT1", "LPT9", "CLOCK$", "CONIN$", "con",
    "nul", "com¹")
    for ending in ("", ".txt", " ", ".")
)  # fmt: skip
_OURS: Final = (
    "packet.xml", "seal.xml", "seal.sig", "delivery.xml", "accepted.xml", "counts.json", "status", "sent",
    "refused",
    "inbox", "outbox", "receipts", "by-id", "notices", "exchanged-marker", "x.status.xml",
    "x.findings.xml", "x~2", "x~3",
    "~2", "exchanged-original-1", "a.part.xml", "ledger.sqlite3", "exchanged.toml", "conftest.py",
    "sitecustomize.py",
    "x.pth", "authorized_keys", "crontab", "core", "a.ok", "a.end", "x.batch", "ack.batch", "bell",
    "directory-1.xml",
)  # fmt: skip
_DOTS: Final = ("a.", "a..", "a...", " a", "a ", "  ", " .", "a . b", "...", "....", "a\t",
                "\ta", "a b  c", ". a", "a.b.c.d.e.f")  # fmt: skip
_HAN: Final = (
    "张伟", "起诉意见书", "案件（一）", "〔2026〕1号", "𠀀𠀁", "𣎴", "㐀", "龘", "朱镕基",
    "ｆｕｌｌ", "＜＞", "：＊？",
    "　全角空格　", "・‧•·",
    "\ue000\uf8ff", "神\ufa19", "類\uf9d0", "﹏", "〇", "①②", "㈠", "☃", "😀", "👨‍👩‍👧", "🇨🇳", "é", "ﬀ", "ẞ",
    "ǅ", "Ω", "Å", "ı", "İ",
)  # fmt: skip
_GBK: Final = ("张伟", "起诉意见书", "案件材料", "朱镕基", "电子卷宗", "补充侦查", "法院",
               "—", "·", "〇", "龘", "囍")  # fmt: skip
_SEVERAL: Final = ("José", "Ångström", "각", "ﬁ", "ế", "ऩ", "が", "Ḍ̇", "ṩ")
_LENGTHS: Final = (199, 200, 201, 230, 247, 248, 249, 250, 251, 252, 253, 254, 255)


def naughty_names() -> list[bytes]:
    """Every name once, in a fixed order."""
    found: dict[bytes, None] = {}
    for name in chain(_texts(), _bytes(), _long()):
        if name and b"/" not in name and b"\0" not in name and name not in (b".", b".."):
            found[name[:255]] = None
    return list(found)


def _texts() -> Iterator[bytes]:
    for text in (*_SHELL, *_SQL, *_MARKUP, *_DEVICES, *_OURS, *_DOTS, *_HAN):
        yield text.encode()
    for text in _SEVERAL:
        for form in ("NFC", "NFD", "NFKC", "NFKD"):
            yield unicodedata.normalize(form, text).encode()
    # One sign of each kind that is not seen, turns the line, or ends it, in the middle and at both ends.
    hidden = (*range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x206A), 0xFEFF, 0xAD, 0x61C,
    0x180E,
              0x115F, 0x3164, 0xFFFE, 0xFFFF, 0xFFF9, 0xE0001, 0xE0041, 0x1D173, 0x034F)  # fmt: skip
    for number in hidden:
        yield f"a{chr(number)}fdp.exe".encode()
        yield f"{chr(number)}x".encode()
    for number in (0x300, 0x489, 0x20DD, 0xFE0F):
        yield ("z" + chr(number) * 60).encode()


def _bytes() -> Iterator[bytes]:
    for number in (*range(1, 0x20), *range(0x7F, 0xA0)):
        yield b"a" + bytes([number]) + b"b"
    for number in (0x0A, 0x0D, 0x1B, 0x07, 0x08, 0x0C, 0x85):
        yield bytes([number]) + b"x"
        yield b"x" + bytes([number])
    yield from (
    b"\x1b[31mred\x1b[0m", b"\x1b]0;title\x07", b"\x1b[2J", b"line\nlevel=error event=forged", b"a\r\nb",
    b"\r",
    b"\n", b"\n\n", b"\xff", b"\xfe\xff", b"\xc3", b"\xc3\x28", b"\xa0\xa1", b"\xe2\x28\xa1", b"\xe2\x82",
    b"\xf0\x28\x8c\xbc", b"\xf8\xa1\xa1\xa1\xa1", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xc0\xaf",
    b"\xc0\x80",
        b"\xef\xbf\xbe", b"\xf4\x90\x80\x80", b"\x80", b"\xbf" * 20, bytes(range(0x80, 0x100)),
    )  # fmt: skip
    for text in _GBK:
        for encoding in ("gb18030", "big5", "utf-16-le", "shift_jis"):
            yield text.encode(encoding, "ignore").replace(b"\0", b"").replace(b"/", b"")
        yield text.encode().decode("latin-1").encode()
        yield text.encode("gb18030").decode("cp437", "ignore").encode()
    for number in range(0x81, 0xFF, 3):
        # Lead and trail bytes of GBK; the trail may be an ASCII sign.
        yield bytes([number, 0x5C]) + b".x"
        yield bytes([number, 0x40 + number % 0x3E])


def _long() -> Iterator[bytes]:
    for length in _LENGTHS:
        yield b"l" * length
        # Cut in the middle of a sign.
        yield ("案" * 90).encode()[:length]
        yield b"\xb0\xb8" * (length // 2)
        yield (b"d." * 128)[:length]
        yield b"n\n" * (length // 2)
