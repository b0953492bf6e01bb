"""OFD (GB/T 33190-2016): a whole zip container, its root document, and every page that it lists.

Guarantees: each entry unpacks and matches its checksum; ``OFD.xml`` and the documents that it names are
well-formed XML without DOCTYPE; each page that they list is there; nothing inside is a program.

Known limits: pages are not drawn; electronic seals (GB/T 38540) are not verified; an encrypted OFD
(GM/T 0099) has an encrypted root and is refused as unreadable.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Final

from packet_spec.documents.archive import ArchiveFile, read_archive, read_whole, unpack
from packet_spec.documents.declared import HEAD_BYTES, program_in, runs_by_name
from packet_spec.documents.values import Content, FaultError, Source
from packet_spec.errors import XmlRefusedError
from packet_spec.limits import DOCUMENT_XML_ATTRIBUTES, DOCUMENT_XML_BYTES, DOCUMENT_XML_DEPTH
from packet_spec.xml import Element, attribute, children, local_name, parse_document, text

_ROOT: Final = "OFD.xml"


def check_ofd(source: Source) -> Content:
    """Raises FaultError."""
    files = {file.name: file for file in read_archive(source)}
    if _ROOT not in files:
        raise FaultError("document-unreadable", expected=_ROOT, found="no OFD.xml")
    for file in files.values():
        _check_entry(source, file)
    root = _parse(source, files, _ROOT)
    bodies = children(root, "DocBody")
    if local_name(root) != "OFD" or not bodies:
        raise FaultError("document-unreadable", expected="OFD/DocBody", found=_ROOT)
    pages = sum(_pages(source, files, text(body, "DocRoot").strip()) for body in bodies)
    if not pages:
        raise FaultError("document-unreadable", expected="ofd", found="no page")
    return Content(pages=pages)


def _check_entry(source: Source, file: ArchiveFile) -> None:
    head = b""
    for block in unpack(source, file):
        head = head or block[:HEAD_BYTES]
    if runs_by_name(file.name) or program_in(head):
        raise FaultError("document-executable", found=file.name)


def _pages(source: Source, files: Mapping[str, ArchiveFile], place: str) -> int:
    name = _resolve("", place)
    document = _parse(source, files, name)
    found = [page for pages in children(document, "Pages") for page in children(pages, "Page")]
    for page in found:
        content = _resolve(posixpath.dirname(name), attribute(page, "BaseLoc").strip())
        if content not in files:
            raise FaultError("document-unreadable", expected=content, found="no such page")
    return len(found)


def _resolve(folder: str, place: str) -> str:
    """A location (ST_Loc): from the root with a leading slash, else from ``folder``."""
    return posixpath.normpath(place if place.startswith("/") else posixpath.join(folder, place)).lstrip("/")


def _parse(source: Source, files: Mapping[str, ArchiveFile], name: str) -> Element:
    file = files.get(name)
    if file is None:
        raise FaultError("document-unreadable", expected=name or _ROOT, found="no such file")
    data = read_whole(source, file, DOCUMENT_XML_BYTES)
    try:
        return parse_document(
            data,
            limit_bytes=DOCUMENT_XML_BYTES,
            depth=DOCUMENT_XML_DEPTH,
            attributes=DOCUMENT_XML_ATTRIBUTES,
        )
    except XmlRefusedError as error:
        raise FaultError("document-unreadable", expected="XML", found=f"{name}: {error.code}") from None
