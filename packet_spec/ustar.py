"""Strict POSIX ustar headers: one way to write a member, and no other way is read.

Every field except name and size is fixed (regular file, mode 0644, owner 0, time 0, no owner names),
so that the same members are always the same bytes. Any ``tar`` reads them. Used by sealed packets and
by batches. Known limits: names up to 100 bytes of printable ASCII, sizes below 8 GiB.
"""

from __future__ import annotations

import re
from typing import Final

from packet_spec.errors import LayoutError

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
SIZE_LIMIT: Final = 8 * 1024**3

_NAME: Final = re.compile(r"[A-Za-z0-9._-][A-Za-z0-9._/-]{0,99}")
_OCTAL: Final = re.compile(rb"[0-7]{11}\0")


def encode_header(name: str, size: int) -> bytes:
    """The 512 bytes before a member of ``size`` bytes.

    Raises LayoutError for a name or size that this format does not carry.
    """
    if _NAME.fullmatch(name) is None:
        raise LayoutError("a member name is not allowed", expected="1 to 100 of A-Z a-z 0-9 . _ - /")
    if not 0 <= size < SIZE_LIMIT:
        raise LayoutError("a member size is not allowed", expected="0 to 8 GiB - 1", found=str(size))
    fields = (
        name.encode().ljust(100, b"\0"),
        b"0000644\0" + b"0000000\0" * 2,
        b"%011o\0" % size,
        b"%011o\0" % 0,
        b" " * 8,
        b"0" + bytes(100),
        b"ustar\x0000",
        bytes(64),
        b"0000000\0" * 2,
        bytes(155 + 12),
    )
    header = b"".join(fields)
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]


def decode_header(block: bytes) -> tuple[str, int]:
    """Name and size of a member. Raises LayoutError unless encoding them gives the same 512 bytes."""
    size_field = block[124:136]
    if len(block) != BLOCK or _OCTAL.fullmatch(size_field) is None:
        raise LayoutError("a member header does not have the required form")
    try:
        name = block[:100].rstrip(b"\0").decode("ascii")
    except UnicodeDecodeError:
        raise LayoutError("a member name is not ASCII") from None
    size = int(size_field[:11], 8)
    if encode_header(name, size) != block:
        raise LayoutError("a member header does not have the required form")
    return name, size


def padding(size: int) -> int:
    """How many zero bytes follow a member of ``size`` bytes."""
    return -size % BLOCK


def member_size(size: int) -> int:
    """How many bytes a member takes with header and padding."""
    return BLOCK + size + padding(size)
