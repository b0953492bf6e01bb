"""The formats that documents may have, each with its check, and what holds for all of them.

Guarantees: an empty file and a program are refused in every format; a file of another format is named as
what it looks like; nothing but a package has an archive hung on to its end, so no program reads a
second file out of it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from packet_spec.documents.declared import HEAD_BYTES, program_in, sniff
from packet_spec.documents.image import check_jpg, check_tif
from packet_spec.documents.ofd import check_ofd
from packet_spec.documents.pdf import check_pdf
from packet_spec.documents.text import check_csv, check_xml
from packet_spec.documents.values import Content, Fault, FaultError, Source
from packet_spec.documents.video import check_mkv, check_mp4
from packet_spec.limits import KIB

# Format -> what it must look like at its first bytes (empty: anything that its check accepts), and its check.
CHECKS: Final[Mapping[str, tuple[str, Callable[[Source], Content]]]] = MappingProxyType(
    {
        "pdf": ("pdf", check_pdf),
        "ofd": ("zip", check_ofd),
        "jpg": ("jpg", check_jpg),
        "tif": ("tif", check_tif),
        "mp4": ("mp4", check_mp4),
        "mkv": ("mkv", check_mkv),
        "xml": ("", check_xml),
        "csv": ("", check_csv),
    }
)
ZIP: Final = "zip"
_PACKAGES: Final = frozenset({"ofd", ZIP})
_END: Final = struct.Struct("<4s4H2LH")
_END_MARK: Final = b"PK\x05\x06"
_COMMENT_BYTES: Final = 64 * KIB


def check_content(source: Source, document_format: str) -> Content:
    """What a document of that format holds; its faults stand in it. Raises ValidatorError."""
    looks_like, check = CHECKS[document_format]
    try:
        require_beginning(source, document_format, looks_like)
        _require_no_archive(source, document_format)
        return check(source)
    except FaultError as error:
        return Content(faults=(error.fault,))


def require_beginning(source: Source, document_format: str, looks_like: str) -> None:
    """Not empty, no program, and of the declared format at first sight. Raises FaultError."""
    if not source.size:
        raise FaultError("document-empty")
    head = source.head(HEAD_BYTES)
    if program := program_in(head):
        raise FaultError("document-executable", found=program)
    if looks_like and (found := sniff(head)) != looks_like:
        raise FaultError("document-format-differs", expected=document_format, found=found)


def _require_no_archive(source: Source, document_format: str) -> None:
    """No zip ends where the document ends: unpackers look there and nowhere else."""
    if document_format in _PACKAGES:
        return
    tail = source.tail(_END.size + _COMMENT_BYTES)
    place = tail.find(_END_MARK)
    while place >= 0:
        rest = len(tail) - place - _END.size
        # A mark alone happens by chance in any file; with a comment that fills the rest exactly it does not.
        if rest >= 0 and _END.unpack_from(tail, place)[7] == rest:
            raise FaultError("document-disguised", expected=document_format, found=ZIP)
        place = tail.find(_END_MARK, place + 1)


def faults_inside(content: Content, name: str) -> tuple[Fault, ...]:
    """The faults of a member, told of the package."""
    return tuple(
        Fault(fault.code, fault.expected, fault.found, f"{name}/{fault.inside}".rstrip("/"), fault.line)
        for fault in content.faults
    )
