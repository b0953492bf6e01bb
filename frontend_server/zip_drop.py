"""A zip drop, read strictly and without unpacking it anywhere but where its files go (domain: zip, paths).

Guarantees: entries are plain files with plain names at the root or in one single top folder; names
written by old Windows tools (GBK without the UTF-8 flag, back-slashes) are read; every entry is streamed
from the one descriptor with its size, its CRC and the end of its data checked; sums and ratios are
capped before the first byte is unpacked.

Leaves to others: which files must be there (``completeness``). Known limit: a name is kept as the bytes
that stand in the zip, without its folder; which reading of them was meant, the list in packet.xml says.
"""

from __future__ import annotations

import hashlib
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from frontend_server.drops import DropRefusedError, Member, OpenFile, check_packet_xml_size
from frontend_server.outbox import PACKET_XML, Observation, is_litter
from packet_spec.errors import NameRefusedError
from packet_spec.limits import KIB, MIB, ZIP_BYTES, ZIP_ENTRIES, ZIP_RATIO
from packet_spec.names import fold_name, safe_component
from packet_spec.sentences import make_finding
from packet_spec.zip_format import DEFLATED, STORED, ZipEntry, ZipStructureError, raw_end, read_entries

_BLOCK: Final = 256 * KIB
# Small archives of repetitive text may pass any ratio; below this a bomb is no bomb.
_HARMLESS_BYTES: Final = 16 * MIB
_REPARSE_POINT: Final = 0x0400


@dataclass(frozen=True, slots=True)
class _File:
    """A file in the zip: its name without folder, as bytes and as text, and its entry."""

    name: bytes
    text: str
    folder: str
    entry: ZipEntry


class ZipSource:
    """A zip drop. Raises DropRefusedError (``cut`` where it may not be whole yet) and DropChangedError."""

    def __init__(self, outbox: int, observation: Observation) -> None:
        self._file = OpenFile(outbox, observation.files[0])
        try:
            files = _read_files(self._file)
            self._packet_xml = next(file for file in files if file.name == PACKET_XML)
            self._files = tuple(file for file in files if file is not self._packet_xml)
        except BaseException:
            self.close()
            raise

    @property
    def members(self) -> tuple[Member, ...]:
        """Every file but packet.xml, in the order of the zip."""
        return tuple(Member(file.name, file.entry.size) for file in self._files)

    @property
    def size(self) -> int:
        """The size of the zip itself, in bytes."""
        return self._file.size

    def digest(self) -> str:
        """The SHA-256 of the zip itself, read through the same descriptor."""
        hasher = hashlib.sha256()
        for block in self._file.blocks():
            hasher.update(block)
        return hasher.hexdigest()

    def packet_xml(self) -> bytes:
        """The bytes of packet.xml."""
        check_packet_xml_size(self._packet_xml.entry.size)
        return b"".join(self._unpack(self._packet_xml))

    def blocks(self, index: int) -> Iterator[bytes]:
        """The bytes of one file."""
        return self._unpack(self._files[index])

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _unpack(self, file: _File) -> Iterator[bytes]:
        entry = file.entry
        crc, size = 0, 0
        try:
            for block in _unpacked(self._file, entry):
                size += len(block)
                crc = zlib.crc32(block, crc)
                if size > entry.size:
                    break
                yield block
        except zlib.error:
            raise _damaged("an entry cannot be unpacked") from None
        if size != entry.size or crc != entry.crc:
            raise _damaged("an entry does not match its checksum")
        self._file.require_untouched()


def _read_files(file: OpenFile) -> tuple[_File, ...]:
    try:
        entries = read_entries(file, ZIP_ENTRIES)
    except ZipStructureError as error:
        file.require_untouched()
        raise _damaged(str(error)) from None
    _require_harmless(entries, file.size)
    files = [each for entry in entries if (each := _file_of(entry)) is not None]
    folders = {each.folder for each in files}
    if len(folders) > 1:
        inside = next(each for each in files if each.folder)
        raise _refused(inside.entry)
    if not any(each.name == PACKET_XML for each in files):
        raise DropRefusedError(make_finding("packet-xml-missing"))
    _require_no_twins(files)
    return tuple(files)


def _file_of(entry: ZipEntry) -> _File | None:
    """The file that an entry is, or None for a folder and for litter. Raises DropRefusedError."""
    if entry.name is None:
        raise _refused(entry)
    *folders, last = entry.name.replace("\\", "/").split("/")
    if folders and folders[0] == "__MACOSX":
        return None
    if len(folders) > 1 or any(_is_unsafe(folder) for folder in folders):
        raise _refused(entry)
    if not last:
        if entry.size or not folders:
            raise _refused(entry)
        return None
    raw = raw_end(entry, last)
    if is_litter(raw) and last not in (".", ".."):
        return None
    kind = stat.S_IFMT(entry.unix_mode)
    if _is_unsafe(last) or kind not in (0, stat.S_IFREG) or entry.dos_attributes & _REPARSE_POINT:
        raise _refused(entry)
    if entry.is_encrypted or entry.method not in (STORED, DEFLATED):
        raise DropRefusedError(make_finding("zip-protected", found=entry.shown_name))
    return _File(raw, last, folders[0] if folders else "", entry)


def _is_unsafe(component: str) -> bool:
    try:
        safe_component(component)
    except NameRefusedError:
        return True
    return False


def _require_harmless(entries: tuple[ZipEntry, ...], zip_size: int) -> None:
    total = sum(entry.size for entry in entries)
    if total > ZIP_BYTES:
        raise DropRefusedError(make_finding("zip-too-large", expected=f"{ZIP_BYTES // MIB} MiB"))
    if total > max(zip_size * ZIP_RATIO, _HARMLESS_BYTES):
        raise DropRefusedError(make_finding("zip-too-large", expected=f"1:{ZIP_RATIO}"))


def _require_no_twins(files: list[_File]) -> None:
    seen: set[str] = set()
    for file in files:
        key = fold_name(file.text)
        if key in seen:
            raise DropRefusedError(make_finding("attachment-file-twice", found=file.text))
        seen.add(key)


def _unpacked(file: OpenFile, entry: ZipEntry) -> Iterator[bytes]:
    end = entry.data_offset + entry.packed_size
    if entry.method == STORED:
        if entry.packed_size != entry.size:
            raise _damaged("a stored entry has two sizes")
        for offset in range(entry.data_offset, end, _BLOCK):
            yield file.read_at(offset, min(_BLOCK, end - offset))
        return
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    for offset in range(entry.data_offset, end, _BLOCK):
        packed = file.read_at(offset, min(_BLOCK, end - offset))
        while packed:
            # Never more than a block at once, however much is packed into a few bytes.
            if block := inflater.decompress(packed, _BLOCK):
                yield block
            packed = inflater.unconsumed_tail
            if inflater.unused_data:
                raise _damaged("bytes follow the data of an entry")
    while not inflater.eof:
        block = inflater.decompress(b"", _BLOCK)
        if not block:
            raise _damaged("an entry ends early")
        yield block


def _refused(entry: ZipEntry) -> DropRefusedError:
    return DropRefusedError(make_finding("zip-entry-refused", found=entry.shown_name))


def _damaged(what: str) -> DropRefusedError:
    return DropRefusedError(make_finding("zip-damaged", found=what), cut=True)
