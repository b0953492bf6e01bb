"""An outside name becomes a safe file name here, or is refused; nowhere else.

Guarantees: what leaves this module is one path component that neither Linux nor Windows nor an old
gateway reads as anything else, that shows what it is, and that meets no other name of its folder when
compared the way a case-insensitive, normalising file system does. Names are never "repaired" and never
normalised: the original stays in the seal. Sources: domain catalogue 2.5 (zip, paths, shares) and the
file-name attacks of docs/security-model.md.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from packet_spec.errors import NameRefusedError
from packet_spec.limits import NAME_BYTES

# Names that the delivery itself writes beside the attachments (docs/packet-format.md, delivery).
OWN_NAMES: Final = (
    "packet.xml",
    "packet.utf8.xml",
    "delivery.xml",
    "seal.xml",
    "seal.sig",
    "accepted.xml",
    "collected",
)

# What names are written in, that of most first.
_ENCODINGS: Final = ("utf-8", "gb18030")
# Longest status name before its suffix; the rest of the 255 bytes is for suffix, twin mark and temp names.
STATUS_NAME_BYTES: Final = 200

_DEVICES: Final = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$", "clock$"}
    | {f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789\u00b9\u00b2\u00b3"}
)
_WINDOWS_SPECIAL: Final = frozenset('<>:"|?*')
_SEPARATORS: Final = frozenset("/\\")
# Controls, invisible and direction-changing characters, surrogates, line ends; noncharacters besides. Code
# points that are merely unassigned may pass: they are rare ideographs of a newer Unicode.
_HIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Nearly every name: none of these characters is hidden, special or a separator.
_PLAIN: Final = re.compile("[0-9A-Za-z._ \\-\u4e00-\u9fa5（）]+")
_EXTENSION: Final = re.compile(r"\.[A-Za-z0-9]{1,8}")
_DIGEST_DIGITS: Final = 16
# What a twin mark (~2) or the digest of a cut name looks like at the end of a name.
_LIKE_OUR_MARK: Final = re.compile(r"~(?=[0-9a-f]+\Z)")


def safe_component(name: str) -> str:
    """``name`` itself when it is safe as one file name on every system that may see it.

    Raises NameRefusedError, saying why, for: empty, over 255 bytes, ``.`` and ``..``, separators, colons and
    other characters special to Windows, hidden characters, device names (also with an extension), a leading
    dot, a leading or trailing space, a trailing dot.
    """
    reason = _reason_against(name)
    if reason:
        raise NameRefusedError(f"a file name is refused: {reason}", found=_show(name))
    return name


def safe_relative(name: str) -> str:
    """The name of a drop's member as one safe component: drops are flat.

    A back-slash counts as a separator (old zip tools). One top folder is the drop reader's business, which
    takes it off first. Raises NameRefusedError as ``safe_component``, also for any folder left in the name.
    """
    return safe_component(name)


def fold_name(name: str) -> str:
    """The key under which two names meet on a case-insensitive or normalising file system."""
    if name.isascii():
        return name.casefold()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def readings(name: bytes) -> Iterator[str]:
    """Every text that an original name may be: in UTF-8, then in GB18030. The first of them counts."""
    for encoding in _ENCODINGS:
        with suppress(UnicodeDecodeError):
            yield name.decode(encoding)


def read_name(name: bytes) -> str | None:
    """The text of an original name: UTF-8 where it is that, else GB18030; None where it is neither."""
    return next(readings(name), None)


def sealed_name(name: bytes, listed: str) -> bytes:
    """The name that a seal bears: that of the file where it reads as listed, else the listed one in UTF-8.

    So it reads as listed in any case, also where a short name in GBK is valid UTF-8 by chance.
    """
    return name if read_name(name) == listed else listed.encode()


def delivered_name(listed: str, index: int, taken: set[str]) -> str:
    """The file name of attachment ``index`` (from 1) in the inbox: as listed where safe, else part-0001.ext.

    ``taken`` holds the folded names given so far in this folder; the new one is added to it. Names of our
    own files are never given.
    """
    try:
        candidate = safe_component(listed)
    except NameRefusedError:
        candidate = _generated(listed, index, 0)
    attempt = 0
    while fold_name(candidate) in taken or fold_name(candidate) in OWN_NAMES:
        candidate = _generated(listed, index, attempt)
        attempt += 1
    taken.add(fold_name(candidate))
    return candidate


def status_name(drop: bytes, suffix: str) -> str:
    """The name of a status file for a drop of that name, ``suffix`` (``.status.xml``) included.

    Bytes that are not UTF-8 and characters that no file name should hold are written %XX; a name over 200
    bytes is cut and a digest of the whole name added. Different drops get different names.
    """
    pieces = _percent_escaped(drop.decode("utf-8", errors="surrogateescape"))
    if len("".join(pieces).encode()) > STATUS_NAME_BYTES:
        mark = "~" + hashlib.sha256(drop).hexdigest()[:_DIGEST_DIGITS]
        while len("".join(pieces).encode()) > STATUS_NAME_BYTES - len(mark):
            pieces.pop()
        pieces.append(mark)
    return "".join(pieces) + suffix


def escape_for_display(name: bytes) -> str:
    r"""A name for people and logs: one line, no control or hidden characters, other bytes as ``\xNN``."""
    return _show(name.decode("utf-8", errors="surrogateescape"))


def _reason_against(name: str) -> str:
    if not name or name in (".", ".."):
        return "it is empty or names a folder"
    if _PLAIN.fullmatch(name) is None:
        if not all(_is_shown(character) for character in name):
            return "it holds a control or hidden character"
        if _SEPARATORS & set(name):
            return "it holds a folder separator"
        if _WINDOWS_SPECIAL & set(name):
            return "it holds a character that Windows does not allow"
    if len(name.encode()) > NAME_BYTES:
        return f"it is longer than {NAME_BYTES} bytes"
    if name.startswith((".", " ")) or name.endswith((".", " ")):
        return "it begins or ends with a dot or space"
    return "it is the name of a device" if _is_device(name) else ""


def _is_device(name: str) -> bool:
    """Windows takes ``con.txt`` for the console; some gateways fold full-width letters first."""
    stem = name.partition(".")[0].rstrip(" ").casefold()
    return stem in _DEVICES or (not stem.isascii() and unicodedata.normalize("NFKC", stem) in _DEVICES)


def _generated(listed: str, index: int, attempt: int) -> str:
    match = _EXTENSION.search(listed, max(listed.rfind("."), 0))
    extension = match[0].lower() if match is not None and match.end() == len(listed) else ""
    return f"part-{index:04d}{f'-{attempt}' if attempt else ''}{extension}"


def _percent_escaped(text: str) -> list[str]:
    """``text`` in pieces of one character or its %XX form."""
    pieces = [
        character if _is_shown(character) and character not in '/\\<>:"|?*%' else _percent(character)
        for character in text
    ]
    if text.startswith(".") or _is_device(text):
        pieces[0] = _percent(text[0])
    mark = _LIKE_OUR_MARK.search(text)
    if mark is not None:
        pieces[mark.start()] = _percent("~")
    return pieces


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", errors="surrogateescape"))


def _is_shown(character: str) -> bool:
    point = ord(character)
    is_noncharacter = point & 0xFFFE == 0xFFFE or 0xFDD0 <= point <= 0xFDEF
    return unicodedata.category(character) not in _HIDDEN_CATEGORIES and not is_noncharacter


def _show(text: str) -> str:
    return "".join(character if _is_shown(character) else _shown_escape(character) for character in text)


def _shown_escape(character: str) -> str:
    point = ord(character)
    if "\udc80" <= character <= "\udcff":  # an undecodable byte, as Python carries it
        return f"\\x{point - 0xDC00:02x}"
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
