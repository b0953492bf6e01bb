"""Zip files made byte by byte: extra fields in either header, and headers that differ."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

UNICODE_NAME = 0x7075
UNICODE_COMMENT = 0x6375
UTF8_FLAG = 0x0800


@dataclass(frozen=True)
class HandMade:
    """A stored entry; the extra fields stand as they are in the directory and in the local header."""

    name: bytes
    data: bytes
    central: bytes = b""
    local: bytes = b""
    flags: int = 0
    # What the directory states as sizes and offset where that is not the truth.
    size: int | None = None
    offset: int | None = None


def extra(kind: int, data: bytes) -> bytes:
    """An extra field."""
    return struct.pack("<2H", kind, len(data)) + data


def unicode_name(raw: bytes, text: str | bytes, *, version: int = 1, crc: int | None = None) -> bytes:
    """The field in which a tool states the name ``text`` beside the raw one."""
    head = struct.pack("<BL", version, zlib.crc32(raw) if crc is None else crc)
    return extra(UNICODE_NAME, head + (text.encode() if isinstance(text, str) else text))


def zip_of(*entries: HandMade) -> bytes:
    """The zip that holds these entries."""
    body, directory = b"", b""
    for entry in entries:
        size = len(entry.data)
        said = (20, entry.flags, 0, 0, 33, zlib.crc32(entry.data))
        offset = len(body) if entry.offset is None else entry.offset
        body += struct.pack("<4s5H3L2H", b"PK\3\4", *said, size, size, len(entry.name), len(entry.local))
        body += entry.name + entry.local + entry.data
        stated = size if entry.size is None else entry.size
        lengths = (stated, stated, len(entry.name), len(entry.central))
        directory += struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, *said, *lengths, 0, 0, 0, 0, offset)
        directory += entry.name + entry.central
    count, places = len(entries), (len(directory), len(body))
    return body + directory + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, *places, 0)
