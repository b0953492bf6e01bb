"""The structure of a zip file, read strictly: one directory, no gaps, no overlaps, sizes that agree.

Guarantees: what ``read_entries`` returns lies wholly inside the file, entry after entry; the central
directory and every local header say the same, and no entry states a second name that an unpacker
could show instead of the one returned here. Nothing is unpacked here. Written against PKWARE's
APPNOTE 6.3.9; the standard library opens damaged and overlapping archives without a word, so it is not
used. Not read: archives in several parts, encryption, methods other than stored and deflated, data
before the first entry. Of the extra fields only 64-bit sizes and Info-ZIP's Unicode Path count; its
Unicode Comment (0x6375) names nothing.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from packet_spec.limits import KIB, MIB
from packet_spec.names import escape_for_display

STORED: Final = 0
DEFLATED: Final = 8

_END: Final = struct.Struct("<4s4H2LH")
_END64_LOCATOR: Final = struct.Struct("<4sLQL")
_END64: Final = struct.Struct("<4sQ2H2L4Q")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_NO16: Final = 0xFFFF
_NO32: Final = 0xFFFFFFFF
_COMMENT_BYTES: Final = 64 * KIB
# Far above what ZIP_ENTRIES entries with long names and extra fields need.
_DIRECTORY_BYTES: Final = 16 * MIB
_ENCRYPTED: Final = 0x0041
_HAS_DESCRIPTOR: Final = 0x0008
_UTF8_NAME: Final = 0x0800
_SIZES64: Final = 0x0001
# Info-ZIP's Unicode Path: version, CRC-32 of the raw name, the name in UTF-8. Many unpackers prefer it.
_UNICODE_NAME: Final = 0x7075
_UNICODE_NAME_HEAD: Final = struct.Struct("<BL")
# Unix and Darwin: their upper attribute bits are a file mode.
_UNIX_CREATORS: Final = frozenset({3, 19})
# With and without its signature, with 32-bit and 64-bit sizes.
_DESCRIPTORS: Final = frozenset({12, 16, 20, 24})


class ZipStructureError(Exception):
    """The file is not a zip of the form read here; the text names what does not fit."""


class RandomAccess(Protocol):
    """A file that is read at any place."""

    @property
    def size(self) -> int:
        """Its size in bytes."""

    def read_at(self, offset: int, size: int) -> bytes:
        """Exactly ``size`` bytes at ``offset``."""


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """One entry: its name, where its packed bytes lie, and what they unpack to.

    ``name`` is None where ``raw_name`` is not in the encoding that holds for it, and where the entry states
    another name, or states one in a form that unpackers do not agree on. ``stated_names`` are those others.
    """

    raw_name: bytes
    stated_names: frozenset[bytes]
    name: str | None
    method: int
    is_encrypted: bool
    crc: int
    packed_size: int
    size: int
    data_offset: int
    unix_mode: int
    dos_attributes: int

    @property
    def shown_name(self) -> str:
        """The raw name for people and logs, and whatever other name is stated beside it."""
        shown, *others = map(escape_for_display, (self.raw_name, *sorted(self.stated_names)))
        return " / ".join([shown, *(other for other in others if other not in ("", shown))])


@dataclass(frozen=True, slots=True)
class _Listed:
    """An entry of the central directory, before its local header was looked at."""

    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed_size: int
    size: int
    offset: int
    creator: int
    attributes: int
    unicode_name: bytes | None


def read_entries(file: RandomAccess, most_entries: int) -> tuple[ZipEntry, ...]:
    """Every entry in the order in which their bytes lie. Raises ZipStructureError."""
    count, start, end = _find_directory(file)
    if count > most_entries:
        raise ZipStructureError("too many entries")
    listed = sorted(_read_directory(file, count, start, end), key=lambda entry: entry.offset)
    unstated = _unstated_encoding(listed)
    entries: list[ZipEntry] = []
    position = 0
    for index, entry in enumerate(listed):
        if entry.offset != position:
            raise ZipStructureError("entries overlap or leave gaps")
        following = listed[index + 1].offset if index + 1 < len(listed) else start
        data_offset, unicode_name = _check_local(file, entry, following)
        rest = following - (data_offset + entry.packed_size)
        if rest != 0 and not (entry.flags & _HAS_DESCRIPTOR and rest in _DESCRIPTORS):
            raise ZipStructureError("entries overlap or leave gaps")
        position = following
        entries.append(_entry(entry, data_offset, unstated, unicode_name))
    if position != start:
        raise ZipStructureError("bytes lie before the directory")
    return tuple(entries)


def raw_end(entry: ZipEntry, text: str) -> bytes:
    """The bytes of ``text``, with which the name ends, as they stand in the zip."""
    for encoding in ("utf-8", "gb18030"):
        raw = text.encode(encoding)
        if entry.raw_name.endswith(raw):
            return raw
    return text.encode()


def _unstated_encoding(listed: Sequence[_Listed]) -> str:
    """The encoding of names that state none. Old tools write GBK so, Apple's UTF-8: one archive, one tool.

    Many short names in GBK are valid UTF-8 too, but hardly ever all names of an archive.
    """
    names = [entry.raw_name for entry in listed if not entry.flags & _UTF8_NAME]
    return "gb18030" if any(_decoded(name, "utf-8") is None for name in names) else "utf-8"


def _decoded(name: bytes, encoding: str) -> str | None:
    try:
        return name.decode(encoding)
    except UnicodeDecodeError:
        return None


def _stated_name(listed: _Listed, fields: Sequence[bytes]) -> str | None:
    """The name that these Unicode Path fields give the entry: one text, and a reading of the raw name.

    Tools write the field beside a raw name in GBK: the text is the name then. Any other text, and a field of
    which unpackers make different things (version, checksum, encoding), would show people another name than
    the one that is checked here.
    """
    raw = listed.raw_name
    encodings = ("utf-8",) if listed.flags & _UTF8_NAME else ("utf-8", "gb18030")
    head = _UNICODE_NAME_HEAD.pack(1, zlib.crc32(raw))
    readings = {text: head + text.encode() for each in encodings if (text := _decoded(raw, each)) is not None}
    return next((text for text, field in readings.items() if all(each == field for each in fields)), None)


def _find_directory(file: RandomAccess) -> tuple[int, int, int]:
    """Number of entries, and where the central directory starts and ends."""
    tail_size = min(file.size, _END.size + _COMMENT_BYTES)
    tail = file.read_at(file.size - tail_size, tail_size)
    found = tail.rfind(b"PK\x05\x06")
    if found < 0 or len(tail) - found < _END.size:
        raise ZipStructureError("the end of the directory is missing")
    end = file.size - tail_size + found
    _, disk, first_disk, here, count, size, start, comment = _END.unpack_from(tail, found)
    if len(tail) - found != _END.size + comment:
        raise ZipStructureError("bytes follow the end of the directory")
    if (disk, first_disk, here) != (0, 0, count):
        raise ZipStructureError("the archive has several parts")
    if _has_locator64(file, end):
        short = (count, size, start)
        count, size, start, end = _read_end64(file, end)
        limits = (_NO16, _NO32, _NO32)
        wide = zip(short, limits, (count, size, start), strict=True)
        if any(stated not in (limit, found) for stated, limit, found in wide):
            raise ZipStructureError("the two ends of the directory differ")
    if size > _DIRECTORY_BYTES or start + size != end:
        raise ZipStructureError("the directory does not lie before its end")
    return count, start, end


def _has_locator64(file: RandomAccess, end: int) -> bool:
    locator_at = end - _END64_LOCATOR.size
    return locator_at >= 0 and file.read_at(locator_at, 4) == b"PK\x06\x07"


def _read_end64(file: RandomAccess, end: int) -> tuple[int, int, int, int]:
    locator_at = end - _END64_LOCATOR.size
    record_at = locator_at - _END64.size
    if record_at < 0:
        raise ZipStructureError("the end of the directory is missing")
    block = file.read_at(record_at, _END64.size + _END64_LOCATOR.size)
    signature, rest, _, _, disk, first_disk, here, count, size, start = _END64.unpack_from(block, 0)
    locator, locator_disk, stated_at, disks = _END64_LOCATOR.unpack_from(block, _END64.size)
    fits = (signature, locator, rest) == (b"PK\x06\x06", b"PK\x06\x07", _END64.size - 12)
    if not fits or stated_at != record_at:
        raise ZipStructureError("the 64-bit end of the directory is not where it should be")
    if (disk, first_disk, locator_disk, here) != (0, 0, 0, count) or disks != 1:
        raise ZipStructureError("the archive has several parts")
    return count, size, start, record_at


def _read_directory(file: RandomAccess, count: int, start: int, end: int) -> list[_Listed]:
    directory = file.read_at(start, end - start)
    entries: list[_Listed] = []
    position = 0
    for _ in range(count):
        if len(directory) - position < _CENTRAL.size:
            raise ZipStructureError("the directory ends early")
        (
            signature, made_by, _, flags, method, _, _, crc, packed, size,
            name_size, extra_size, comment_size, disk, _, attributes, offset,
        ) = _CENTRAL.unpack_from(directory, position)  # fmt: skip
        position += _CENTRAL.size
        name = directory[position : position + name_size]
        extra = directory[position + name_size : position + name_size + extra_size]
        position += name_size + extra_size + comment_size
        if signature != b"PK\x01\x02" or position > len(directory) or disk not in (0, _NO16):
            raise ZipStructureError("the directory is damaged")
        fields = _extra_fields(extra)
        size, packed, offset = _sizes64(fields, size, packed, offset)
        creator, unicode_name = made_by >> 8, fields.get(_UNICODE_NAME)
        entries.append(
            _Listed(name, flags, method, crc, packed, size, offset, creator, attributes, unicode_name)
        )
    if position != len(directory):
        raise ZipStructureError("the directory is longer than its entries")
    return entries


def _sizes64(fields: Mapping[int, bytes], *values: int) -> tuple[int, int, int]:
    """Size, packed size and offset, taken from the 64-bit extra field where the short fields say so."""
    wide = fields.get(_SIZES64, b"")
    numbers: list[int] = []
    for value in values:
        if value != _NO32:
            numbers.append(value)
            continue
        if len(wide) < 8:
            raise ZipStructureError("a 64-bit size is missing")
        numbers.append(int.from_bytes(wide[:8], "little"))
        wide = wide[8:]
    return numbers[0], numbers[1], numbers[2]


def _extra_fields(extra: bytes) -> dict[int, bytes]:
    """The extra fields that count, by kind. One that stands twice, or is cut, is read in several ways."""
    found: dict[int, bytes] = {}
    position = 0
    while len(extra) - position >= 4:
        kind, length = struct.unpack_from("<2H", extra, position)
        data = extra[position + 4 : position + 4 + length]
        position += 4 + length
        if len(data) != length or kind in found:
            raise ZipStructureError("the extra fields of an entry are damaged")
        if kind in (_SIZES64, _UNICODE_NAME):
            found[kind] = data
    return found


def _check_local(file: RandomAccess, entry: _Listed, following: int) -> tuple[int, bytes | None]:
    """Where the packed bytes begin, and a name stated there; the header must say what the directory says."""
    if following - entry.offset < _LOCAL.size:
        raise ZipStructureError("entries overlap or leave gaps")
    head = file.read_at(entry.offset, _LOCAL.size)
    signature, _, flags, method, _, _, crc, packed, size, name_size, extra_size = _LOCAL.unpack(head)
    data_offset = int(entry.offset + _LOCAL.size + name_size + extra_size)
    if signature != b"PK\x03\x04" or data_offset + entry.packed_size > following:
        raise ZipStructureError("an entry does not lie where the directory says")
    names = file.read_at(entry.offset + _LOCAL.size, name_size + extra_size)
    compared = _ENCRYPTED | _HAS_DESCRIPTOR | _UTF8_NAME
    stated = (names[:name_size], method, flags & compared)
    if stated != (entry.raw_name, entry.method, entry.flags & compared):
        raise ZipStructureError("an entry and the directory differ")
    fields = _extra_fields(names[name_size:])
    if not flags & _HAS_DESCRIPTOR:
        size, packed, _ = _sizes64(fields, size, packed, 0)
        if (crc, size, packed) != (entry.crc, entry.size, entry.packed_size):
            raise ZipStructureError("an entry and the directory differ")
    return data_offset, fields.get(_UNICODE_NAME)


def _entry(listed: _Listed, data_offset: int, unstated: str, local_name: bytes | None) -> ZipEntry:
    name = _decoded(listed.raw_name, "utf-8")
    if unstated != "utf-8" and not listed.flags & _UTF8_NAME:
        name = _decoded(listed.raw_name, unstated) or name
    stated = [field for field in (listed.unicode_name, local_name) if field is not None]
    if stated:
        name = _stated_name(listed, stated)
    return ZipEntry(
        raw_name=listed.raw_name,
        stated_names=frozenset(field[_UNICODE_NAME_HEAD.size :] for field in stated),
        name=name,
        method=listed.method,
        is_encrypted=bool(listed.flags & _ENCRYPTED),
        crc=listed.crc,
        packed_size=listed.packed_size,
        size=listed.size,
        data_offset=data_offset,
        unix_mode=listed.attributes >> 16 if listed.creator in _UNIX_CREATORS else 0,
        dos_attributes=listed.attributes & 0xFFFF,
    )
