"""A drop as case software leaves it: a folder, a zip or a lone XML file, visible only when it is whole.

Everything is written under ``<name>.tmp`` beside its place and renamed at the end, so the target may be
a live outbox: the intake passes temporary names by (domain catalogue, 2.5). A failure leaves nothing
behind. This is the vendor's side of the folder, on any system including Windows, so nothing here is
synced to the disk and nothing of ``exchanged.durable`` (which needs a POSIX kernel) is used.

Known limit: two writers of one name at one time are not kept apart.
"""

from __future__ import annotations

import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Final

from cli.documents.document import Progress, WrittenDocument, render_document, write_document
from cli.fiction.packet_xml import DropEncoding, packet_xml
from cli.fiction.request import Drop, PlannedDocument
from exchanged.errors import ForeignVolumeError, NameTakenError
from packet_spec.errors import CatalogueError, NameRefusedError
from packet_spec.model import Attachment
from packet_spec.names import safe_component

_PACKET_XML: Final = "packet.xml"
_TEMPORARY: Final = ".tmp"
_UTF8_FLAG: Final = 0x800
# Room for the extension and ``.tmp`` below the 255 bytes of a file name.
_NAME_BYTES: Final = 200


class DropFormat(StrEnum):
    """The three forms of a drop (docs/packet-format.md, the drop)."""

    FOLDER = "folder"
    ZIP = "zip"
    XML = "xml"


class LoneXmlError(CatalogueError):
    """A lone XML file was asked for, and the packet has documents."""

    reference = "lone-xml-with-documents"
    hint = "use --format folder or --format zip"


def write_drop(
    drop: Drop,
    out: Path,
    *,
    drop_format: DropFormat = DropFormat.FOLDER,
    encoding: DropEncoding = DropEncoding.UTF_8,
    progress: Progress | None = None,
) -> Path:
    """Write ``drop`` into the existing folder ``out`` and give the path of what now lies there.

    ``progress`` gets the number of bytes of each block of a document. Raises NameRefusedError for a name that
    is no plain file name, NameTakenError when the drop is already there, LoneXmlError for a lone XML with
    documents, SchemaError for text that XML cannot carry, ForeignVolumeError when the disk refuses.
    """
    _refuse_name(drop.name)
    if drop_format is DropFormat.XML and drop.documents:
        raise LoneXmlError(
            "a lone XML file cannot carry documents",
            where=drop.name,
            expected="no documents",
            found=", ".join(document.document_type for document in drop.documents),
        )
    suffix = "" if drop_format is DropFormat.FOLDER else f".{drop_format}"
    target = out / (drop.name + suffix)
    write: Callable[[Path, Drop, DropEncoding, Progress | None], None] = {
        DropFormat.FOLDER: _write_folder,
        DropFormat.ZIP: _write_zip,
        DropFormat.XML: _write_xml,
    }[drop_format]
    with _appearing(target) as temporary:
        write(temporary, drop, encoding, progress)
    return target


@contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """A temporary path that becomes ``target`` if all goes well, and vanishes if not."""
    temporary = target.with_name(target.name + _TEMPORARY)
    try:
        if target.exists():
            raise NameTakenError("a drop of this name is already there", where=target.name)
        _remove(temporary)
        yield temporary
        _share(temporary)
        temporary.rename(target)
    except OSError as error:
        raise ForeignVolumeError(
            "the drop cannot be written", where=target.name, found=error.strerror or type(error).__name__
        ) from error
    finally:
        with suppress(OSError):
            _remove(temporary)


def _share(temporary: Path) -> None:
    """In a folder that a group shares (2770), let the group read and move what was made, whatever the umask.

    The daemon is a member of that group; a drop's folder that it may not write to it could not put away.
    """
    shared = temporary.parent.stat().st_mode
    if shared & stat.S_ISGID and shared & stat.S_IWGRP:
        for path in (temporary, *(temporary.iterdir() if temporary.is_dir() else ())):
            path.chmod(path.stat().st_mode & 0o7777 | (0o070 if path.is_dir() else 0o060))


def _remove(temporary: Path) -> None:
    """Take away what an interrupted run left; a missing path is fine."""
    if temporary.is_dir():
        shutil.rmtree(temporary, ignore_errors=True)
    else:
        temporary.unlink(missing_ok=True)


def _refuse_name(name: str) -> None:
    """A safe file name that is short enough to be extended, and that no intake takes for a temporary one."""
    if safe_component(name).endswith((_TEMPORARY, ".part")) or len(name.encode()) > _NAME_BYTES:
        raise NameRefusedError(
            "the drop's name cannot be used",
            expected=f"at most {_NAME_BYTES} bytes, not ending in {_TEMPORARY} or .part",
            found=name,
        )


def _write_folder(folder: Path, drop: Drop, encoding: DropEncoding, progress: Progress | None) -> None:
    folder.mkdir()
    attachments = []
    for document in drop.documents:
        written = write_document(
            folder / document.file,
            document.context,
            document.format,
            size_bytes=document.size_bytes,
            progress=progress,
        )
        attachments.append(_attachment(document, written))
    (folder / _PACKET_XML).write_bytes(packet_xml(drop, attachments, encoding))


def _write_xml(path: Path, drop: Drop, encoding: DropEncoding, _progress: Progress | None) -> None:
    path.write_bytes(packet_xml(drop, (), encoding))


def _write_zip(path: Path, drop: Drop, encoding: DropEncoding, progress: Progress | None) -> None:
    attachments = []
    # Stored: the documents do not compress, and the bytes stay the same on every machine.
    with zipfile.ZipFile(path, "x", zipfile.ZIP_STORED) as archive:
        for document in drop.documents:
            # A video may pass 4 GiB, which has to be known when the entry begins.
            with archive.open(_entry(document.file, drop, encoding), "w", force_zip64=True) as file:
                written = render_document(
                    file, document.context, document.format, size_bytes=document.size_bytes, progress=progress
                )
            attachments.append(_attachment(document, written))
        data = packet_xml(drop, attachments, encoding)
        archive.writestr(_entry(_PACKET_XML, drop, encoding), data)


def _entry(name: str, drop: Drop, encoding: DropEncoding) -> zipfile.ZipInfo:
    made = drop.envelope.created_at
    # A zip knows no year before 1980.
    stamp = (max(made.year, 1980), made.month, made.day, made.hour, made.minute, made.second)
    if encoding is DropEncoding.UTF_8:
        return zipfile.ZipInfo(name, stamp)
    entry = _OldWindowsEntry(name, stamp)
    entry.codec = encoding
    return entry


class _OldWindowsEntry(zipfile.ZipInfo):
    """An entry as old Chinese Windows tools wrote it: the name in GBK, and no flag that says so."""

    codec: str = DropEncoding.GBK

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - zipfile asks for it under this name
        return self.filename.encode(self.codec), self.flag_bits & ~_UTF8_FLAG


def _attachment(document: PlannedDocument, written: WrittenDocument) -> Attachment:
    return Attachment(
        file=document.file,
        document_type=document.document_type,
        size=written.size,
        sha256=written.sha256,
        title=document.context.title,
        pages=written.pages,
        document_number=document.context.number,
        document_date=document.context.issued_on,
        volume=document.volume,
    )
