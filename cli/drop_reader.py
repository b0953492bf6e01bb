"""Read a drop at the vendor's desk, on any system: folder, zip or lone XML.

Guarantees: the same drops are read and the same are refused as on a front-end (tests hold both readers
against the same drops); nothing is written or unpacked to disk. Leaves to others: what packet.xml says
(``packet_spec.check``). Known limit: at a desk nobody else writes, so what changes while it is read is not
noticed here; the front-end, which reads through one descriptor (C3), notices.
"""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from cli.frame import InputFileError
from packet_spec.errors import NameRefusedError
from packet_spec.findings import Finding
from packet_spec.limits import KIB, MIB, PACKET_XML_BYTES, PARTS, ZIP_BYTES, ZIP_ENTRIES, ZIP_RATIO
from packet_spec.names import escape_for_display, fold_name, readings, safe_component
from packet_spec.sentences import make_finding
from packet_spec.zip_format import DEFLATED, STORED, ZipEntry, ZipStructureError, raw_end, read_entries

PACKET_XML: Final = "packet.xml"

_BLOCK: Final = 256 * KIB
# packet.xml and litter beside the most that a packet may list.
_MOST_FILES: Final = PARTS + 16
# Below this a zip that unpacks to much more than itself is no bomb.
_HARMLESS_BYTES: Final = 16 * MIB
_REPARSE_POINT: Final = 0x0400
_LITTER: Final = frozenset({"thumbs.db", "desktop.ini", ".ds_store"})
_TEMPORARY: Final = (".tmp", ".part")
_FINDINGS: Final = (".findings.xml", ".findings.txt")

Blocks = Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class DropFile:
    """A file beside packet.xml: name in bytes, every reading of it, size in bytes, content in blocks.

    ``path`` is set where the file lies on the disk by itself.
    """

    raw_name: bytes
    names: tuple[str, ...]
    size: int
    blocks: Blocks
    path: Path | None = None

    @property
    def is_temporary(self) -> bool:
        """A name under which something is still being written."""
        return is_temporary_name(self.names[0])


@dataclass(frozen=True, slots=True)
class Drop:
    """One drop. ``packet_xml`` is None where there is none (yet); ``is_lone``: an XML without files."""

    packet_xml: bytes | None
    files: tuple[DropFile, ...] = ()
    is_lone: bool = False


class DropRefused(Exception):  # noqa: N818 - a verdict, not an error
    """The drop cannot be read as one; ``findings`` say why."""

    def __init__(self, *findings: Finding) -> None:
        super().__init__(", ".join(finding.code for finding in findings))
        self.findings = findings


def read_drop(path: Path) -> Drop:
    """The drop at ``path``. Raises DropRefused, and InputFileError when it cannot be read at all."""
    try:
        if path.is_dir():
            return _read_folder(path)
        if path.suffix.lower() == ".zip":
            return _read_zip(path)
        if path.suffix.lower() == ".xml":
            return Drop(_capped(path.stat().st_size, path.read_bytes), is_lone=True)
        if path.exists():
            raise DropRefused(make_finding("drop-kind-unknown", file=path.name))
    except OSError as error:
        raise _unreadable(path, error.strerror or "") from error
    raise _unreadable(path, os.strerror(2))


def blocks_of(path: Path) -> Iterator[bytes]:
    """A file in blocks. Raises InputFileError."""
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block
    except OSError as error:
        raise _unreadable(path, error.strerror or "") from error


def _unreadable(path: Path, why: str) -> InputFileError:
    return InputFileError("the drop cannot be read", where=str(path), found=why)


def _capped(size: int, read: Callable[[], bytes]) -> bytes:
    if size > PACKET_XML_BYTES:
        raise DropRefused(
            make_finding(
                "too-large", file=PACKET_XML, expected=f"{PACKET_XML_BYTES} bytes", found=f"{size} bytes"
            )
        )
    return read()


def is_litter(name: str) -> bool:
    """A name that intake passes over: hidden, or left by an operating system or editor."""
    return name.startswith((".", "~$")) or name.lower() in _LITTER


def is_temporary_name(name: str) -> bool:
    """A name under which something is still being written."""
    return name.lower().endswith(_TEMPORARY)


def is_findings_name(name: str) -> bool:
    """A name that a front-end gives to findings: no drop has it."""
    return name.lower().endswith(_FINDINGS)


# --- folders ------------------------------------------------------------------------------------


def _read_folder(path: Path) -> Drop:
    entries = sorted(entry for entry in path.iterdir() if not is_litter(entry.name))
    if len(entries) > _MOST_FILES:
        raise DropRefused(make_finding("drop-too-many-files", expected=str(PARTS)))
    for entry in entries:
        if not stat.S_ISREG(entry.lstat().st_mode):
            kind = "a folder" if entry.is_dir() and not entry.is_symlink() else "not a plain file"
            shown = f"{path.name}/{escape_for_display(os.fsencode(entry.name))}"
            raise DropRefused(make_finding("drop-not-plain", file=shown, found=kind))
    inside = next((entry for entry in entries if entry.name == PACKET_XML), None)
    if inside is None:
        return Drop(None)
    files = tuple(_file_of_folder(entry) for entry in entries if entry is not inside)
    return Drop(_capped(inside.stat().st_size, inside.read_bytes), files)


def _file_of_folder(entry: Path) -> DropFile:
    raw = os.fsencode(entry.name)
    return DropFile(raw, _readings(raw), entry.stat().st_size, lambda: blocks_of(entry), entry)


def _readings(raw: bytes) -> tuple[str, ...]:
    """A name as UTF-8 and as GB18030, where it can be read so; else with escapes."""
    return tuple(readings(raw)) or (escape_for_display(raw),)


# --- zips ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Zipped:
    """A file in a zip: its name without folder, the folder, its entry, and where the library finds it."""

    name: str
    folder: str
    raw: bytes
    entry: ZipEntry
    info: zipfile.ZipInfo


class _RandomAccess:
    """A file that is read at any place, for the structure of a zip."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self.size = size

    def read_at(self, offset: int, size: int) -> bytes:
        """Exactly ``size`` bytes; fewer mean a structure that lies."""
        self._file.seek(offset)
        data = self._file.read(size)
        if len(data) != size:
            raise ZipStructureError("the file ends early")
        return data


def _read_zip(path: Path) -> Drop:
    files = _zipped(path)
    folders = {file.folder for file in files}
    if len(folders) > 1:
        raise _refused(next(file for file in files if file.folder).entry)
    inside = next((file for file in files if file.name == PACKET_XML), None)
    if inside is None:
        raise DropRefused(make_finding("packet-xml-missing"))
    seen: set[str] = set()
    for file in files:
        if fold_name(file.name) in seen:
            raise DropRefused(make_finding("attachment-file-twice", found=file.name))
        seen.add(fold_name(file.name))
    data = _capped(inside.entry.size, lambda: b"".join(_unpacked(path, inside)))
    return Drop(data, tuple(_file_of_zip(path, file) for file in files if file is not inside))


def _zipped(path: Path) -> list[_Zipped]:
    """The plain files of a zip whose structure is sound and which is no bomb."""
    size = path.stat().st_size
    try:
        with path.open("rb") as opened:
            entries = read_entries(_RandomAccess(opened, size), ZIP_ENTRIES)
        for entry in entries:
            _name_of(entry)  # the library raises where a name is not in the encoding that its flag states
        with zipfile.ZipFile(path) as archive:
            infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
    except (ZipStructureError, zipfile.BadZipFile) as error:
        raise DropRefused(make_finding("zip-damaged", found=str(error))) from None
    total = sum(entry.size for entry in entries)
    if total > ZIP_BYTES:
        raise DropRefused(make_finding("zip-too-large", expected=f"{ZIP_BYTES // MIB} MiB"))
    if total > max(size * ZIP_RATIO, _HARMLESS_BYTES):
        raise DropRefused(make_finding("zip-too-large", expected=f"1:{ZIP_RATIO}"))
    pairs = zip(entries, infos, strict=True)
    return [file for entry, info in pairs if (file := _zipped_file(entry, info)) is not None]


def _zipped_file(entry: ZipEntry, info: zipfile.ZipInfo) -> _Zipped | None:
    """The file that an entry is; None for a folder and for litter."""
    name = _name_of(entry)
    *folders, last = name.replace("\\", "/").split("/")
    if folders and folders[0] == "__MACOSX":
        return None
    if len(folders) > 1 or any(_is_unsafe(folder) for folder in folders):
        raise _refused(entry)
    if not last:
        if entry.size or not folders:
            raise _refused(entry)
        return None
    if is_litter(last):
        return None
    kind = stat.S_IFMT(entry.unix_mode)
    if _is_unsafe(last) or kind not in {0, stat.S_IFREG} or entry.dos_attributes & _REPARSE_POINT:
        raise _refused(entry)
    if entry.is_encrypted or entry.method not in {STORED, DEFLATED}:
        raise DropRefused(make_finding("zip-protected", found=entry.shown_name))
    return _Zipped(last, folders[0] if folders else "", raw_end(entry, last), entry, info)


def _name_of(entry: ZipEntry) -> str:
    if entry.name is None:
        raise _refused(entry)
    return entry.name


def _is_unsafe(component: str) -> bool:
    try:
        safe_component(component)
    except NameRefusedError:
        return True
    return False


def _file_of_zip(path: Path, file: _Zipped) -> DropFile:
    return DropFile(file.raw, _readings(file.raw), file.entry.size, lambda: _unpacked(path, file))


def _unpacked(path: Path, file: _Zipped) -> Iterator[bytes]:
    """The content of one entry; size and checksum are right once the last block has passed."""
    size = 0
    try:
        with zipfile.ZipFile(path) as archive, archive.open(file.info) as content:
            while block := content.read(_BLOCK):
                size += len(block)
                yield block
    except (zipfile.BadZipFile, zlib.error, EOFError):
        raise DropRefused(make_finding("zip-damaged", found="an entry cannot be unpacked")) from None
    if size != file.entry.size:
        raise DropRefused(make_finding("zip-damaged", found="an entry does not match its checksum"))


def _refused(entry: ZipEntry) -> DropRefused:
    return DropRefused(make_finding("zip-entry-refused", found=entry.shown_name))
