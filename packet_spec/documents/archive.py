"""A zip container, whole: every entry lies where the directory says, unpacks, and matches its checksum.

Guarantees: one directory and no gaps (``zip_format``), safe and different names, plain files only, no
encryption; sums and ratios are capped before the first byte is unpacked, and what is unpacked passes in
blocks. Names are read as UTF-8, else as GB18030, with back-slashes as separators (domain catalogue, 2.5).
"""

from __future__ import annotations

import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from packet_spec.documents.values import BLOCK_BYTES, FaultError, Source
from packet_spec.errors import NameRefusedError
from packet_spec.limits import (
    DOCUMENT_ENTRIES,
    DOCUMENT_ENTRY_NAME_BYTES,
    DOCUMENT_HARMLESS_BYTES,
    DOCUMENT_RATIO,
    MIB,
    ZIP_BYTES,
)
from packet_spec.names import fold_name, safe_component
from packet_spec.zip_format import DEFLATED, STORED, ZipEntry, ZipStructureError, read_entries

_REPARSE_POINT: Final = 0x0400


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """A file in the container; ``name`` has forward slashes and no leading one."""

    name: str
    entry: ZipEntry


def read_archive(source: Source) -> tuple[ArchiveFile, ...]:
    """Every file in it, folders left out. Raises FaultError."""
    try:
        entries = read_entries(source, DOCUMENT_ENTRIES)
    except ZipStructureError as error:
        raise FaultError("document-unreadable", expected="zip", found=str(error)) from None
    total = sum(entry.size for entry in entries)
    most = min(ZIP_BYTES, max(source.size * DOCUMENT_RATIO, DOCUMENT_HARMLESS_BYTES))
    if total > most:
        raise FaultError(
            "document-unpacks-too-large", expected=f"{most // MIB} MiB", found=f"{total // MIB} MiB"
        )
    files: list[ArchiveFile] = []
    seen: set[str] = set()
    for entry in entries:
        name = _name_of(entry)
        key = fold_name(name.rstrip("/"))
        if key in seen:
            raise FaultError("document-entry-refused", found=name)
        seen.add(key)
        if not name.endswith("/"):
            files.append(ArchiveFile(name, entry))
        elif entry.size or entry.packed_size:
            raise FaultError("document-entry-refused", found=name)
    return tuple(files)


def unpack(source: Source, file: ArchiveFile) -> Iterator[bytes]:
    """The bytes of one file in blocks; after the last one size and checksum have been compared."""
    entry = file.entry
    crc, size = 0, 0
    try:
        for block in _unpacked(source, file):
            size += len(block)
            crc = zlib.crc32(block, crc)
            if size > entry.size:
                break
            yield block
    except zlib.error:
        raise _damaged(file) from None
    if size != entry.size or crc != entry.crc:
        raise _damaged(file)


def read_whole(source: Source, file: ArchiveFile, limit_bytes: int) -> bytes:
    """One file as a whole. Raises FaultError also when it is over ``limit_bytes``."""
    if file.entry.size > limit_bytes:
        found = f"{file.name}: {file.entry.size} bytes"
        raise FaultError("document-too-large", expected=f"{limit_bytes} bytes", found=found)
    return b"".join(unpack(source, file))


def stored_part(source: Source, file: ArchiveFile) -> Source | None:
    """A file that is stored as it is, as a source in place; None for one that must be unpacked."""
    if file.entry.method != STORED:
        return None
    return source.part(file.entry.data_offset, file.entry.size)


def _name_of(entry: ZipEntry) -> str:
    """The safe name of an entry, with a final slash for a folder. Raises FaultError."""
    shown = entry.shown_name
    if entry.is_encrypted or entry.method not in (STORED, DEFLATED):
        raise FaultError("document-encrypted", found=shown)
    if entry.method == STORED and entry.packed_size != entry.size:
        raise FaultError("document-unreadable", expected="zip", found=shown)
    if entry.name is None:
        raise FaultError("document-entry-refused", found=shown)
    name = entry.name.replace("\\", "/")
    kind = stat.S_IFMT(entry.unix_mode)
    wanted = (0, stat.S_IFDIR) if name.endswith("/") else (0, stat.S_IFREG)
    is_plain = kind in wanted and not entry.dos_attributes & _REPARSE_POINT
    if not is_plain or len(name.encode()) > DOCUMENT_ENTRY_NAME_BYTES:
        raise FaultError("document-entry-refused", found=shown)
    for component in name.removesuffix("/").split("/"):
        try:
            safe_component(component)
        except NameRefusedError:
            raise FaultError("document-entry-refused", found=shown) from None
    return name


def _unpacked(source: Source, file: ArchiveFile) -> Iterator[bytes]:
    entry = file.entry
    end = entry.data_offset + entry.packed_size
    inflater = None if entry.method == STORED else zlib.decompressobj(-zlib.MAX_WBITS)
    for offset in range(entry.data_offset, end, BLOCK_BYTES):
        packed = source.read_at(offset, min(BLOCK_BYTES, end - offset))
        if inflater is None:
            yield packed
            continue
        while packed:
            # Never more than a block at once, however much is packed into a few bytes.
            if block := inflater.decompress(packed, BLOCK_BYTES):
                yield block
            packed = inflater.unconsumed_tail
            if inflater.unused_data:
                raise _damaged(file)
    while inflater is not None and not inflater.eof:
        block = inflater.decompress(b"", BLOCK_BYTES)
        if not block:
            raise _damaged(file)
        yield block


def _damaged(file: ArchiveFile) -> FaultError:
    return FaultError("document-unreadable", expected="zip", found=file.name)
