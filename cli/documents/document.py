"""One door to all formats: choose the format of a document type and write the file.

The catalogue says which formats a document type may have, the preferred one first. Guarantees a file of
exactly that format, with its size, digest and pages. ``tif``, ``mkv`` and ``csv`` are never the only
format of a type, so nothing here writes them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cli.documents.context import DocumentContext
from cli.documents.dossier import render_dossier, render_index
from cli.documents.jpg import render_jpg
from cli.documents.mp4 import Target, write_mp4
from cli.documents.ofd import render_ofd
from cli.documents.pdf import render_pdf
from cli.documents.xmldoc import render_xml
from exchanged.errors import ForeignVolumeError
from packet_spec.documents.check import INDEX_TYPE
from packet_spec.errors import CatalogueError

Progress = Callable[[int], None]


class DocumentFormat(StrEnum):
    """The formats that can be written, by their file extension."""

    PDF = "pdf"
    OFD = "ofd"
    JPG = "jpg"
    MP4 = "mp4"
    XML = "xml"
    ZIP = "zip"


@dataclass(frozen=True, slots=True)
class WrittenDocument:
    """What lies on the disk now. ``pages`` is None where a format has none."""

    format: DocumentFormat
    size: int
    sha256: str
    pages: int | None


def choose_format(formats: Sequence[str], wanted: DocumentFormat | None = None) -> DocumentFormat:
    """``wanted`` if the catalogue allows it, else the first of ``formats`` that can be written.

    Raises CatalogueError when ``wanted`` is not among ``formats``, or none of them can be written.
    """
    if wanted is not None:
        if wanted not in formats:
            raise CatalogueError(
                "the document type does not come in this format", expected=", ".join(formats), found=wanted
            )
        return wanted
    for name in formats:
        if name in set(DocumentFormat):
            return DocumentFormat(name)
    raise CatalogueError(
        "no format of the document type can be written",
        expected=", ".join(DocumentFormat),
        found=", ".join(formats),
    )


def write_document(
    path: Path,
    context: DocumentContext,
    document_format: DocumentFormat,
    *,
    size_bytes: int = 0,
    progress: Progress | None = None,
) -> WrittenDocument:
    """Write the new file ``path`` and say what it holds.

    ``size_bytes`` is the least size of an MP4 and means nothing to the other formats. ``progress`` gets the
    number of bytes of each block written. Raises ForeignVolumeError when the disk refuses, and also
    when ``path`` exists: nothing is ever overwritten.
    """
    try:
        with path.open("xb") as file:
            return render_document(file, context, document_format, size_bytes=size_bytes, progress=progress)
    except OSError as error:
        raise ForeignVolumeError(
            "a document cannot be written", where=path.name, found=error.strerror or type(error).__name__
        ) from error


def render_document(
    file: Target,
    context: DocumentContext,
    document_format: DocumentFormat,
    *,
    size_bytes: int = 0,
    progress: Progress | None = None,
) -> WrittenDocument:
    """The same into an open ``file``, which may be an entry of a zip. What ``file`` raises passes."""
    target = _HashingTarget(file, progress)
    pages: int | None = None
    match document_format:
        case DocumentFormat.PDF:
            data, pages = render_pdf(context)
            target.write(data)
        case DocumentFormat.OFD:
            data, pages = render_ofd(context)
            target.write(data)
        case DocumentFormat.JPG:
            target.write(render_jpg(context))
        case DocumentFormat.XML:
            is_index = context.document_type == INDEX_TYPE
            target.write(render_index(context, context.entries) if is_index else render_xml(context))
        case DocumentFormat.ZIP:
            target.write(render_dossier(context))
        case DocumentFormat.MP4:
            write_mp4(target, context, size_bytes)
    return WrittenDocument(document_format, target.size, target.digest.hexdigest(), pages)


class _HashingTarget:
    """A file that counts and hashes what goes into it."""

    def __init__(self, file: Target, progress: Progress | None) -> None:
        self._file = file
        self._progress = progress
        self.size = 0
        self.digest = hashlib.sha256()

    def write(self, data: bytes, /) -> None:
        """Pass one block on."""
        self._file.write(data)
        self.digest.update(data)
        self.size += len(data)
        if self._progress:
            self._progress(len(data))
