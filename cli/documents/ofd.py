"""OFD, the national fixed-layout format (GB/T 33190-2016): a zip of XML that names its fonts.

Entries are stored, not deflated, and dated by the document, so the bytes do not depend on the machine.
Known limits: no embedded font (readers take the Song face of the system), no electronic seal
(GB/T 38540), and scanned pages are left to PDF: ``scans`` of the context are refused.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from cli.documents.context import MARK, DocumentContext
from cli.documents.layout import (
    MM_PER_POINT,
    PAGE_HEIGHT_MM,
    PAGE_WIDTH_MM,
    Line,
    Page,
    advance_em,
    paginate,
    text_width_mm,
)
from cli.documents.package import PackageEntry, pack
from packet_spec.errors import FormatError

OFD_NAMESPACE: Final = "http://www.ofdspec.org/2016"
_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_FONT_ID: Final = 1


class _Identifiers:
    """Counts the identifiers, which are unique in the whole document; ``last`` is its MaxUnitID."""

    def __init__(self) -> None:
        self.last = _FONT_ID

    def take(self) -> str:
        self.last += 1
        return str(self.last)


def render_ofd(context: DocumentContext) -> tuple[bytes, int]:
    """The file of ``context`` and its number of pages. Raises FormatError when scans are asked for."""
    if context.scans:
        raise FormatError("scanned pages are written as PDF only", found=f"scans={context.scans}")
    pages = paginate(context)
    identifiers = _Identifiers()
    references: list[str] = []
    contents: list[PackageEntry] = []
    for index, page in enumerate(pages):
        location = f"Pages/Page_{index}/Content.xml"
        references.append(_tag("Page", ID=identifiers.take(), BaseLoc=location))
        contents.append(PackageEntry(f"Doc_0/{location}", _content(page, identifiers)))
    entries = (
        PackageEntry("OFD.xml", _root(context)),
        PackageEntry("Doc_0/Document.xml", _document(references, identifiers.last)),
        PackageEntry("Doc_0/PublicRes.xml", _resources()),
        *contents,
    )
    return pack(entries, context.issued_on), len(pages)


def _root(context: DocumentContext) -> bytes:
    name = f"{context.document_type}\n{context.number}\n{context.title}\n{context.seed}"
    information = _tag(
        "DocInfo",
        _tag("DocID", hashlib.sha256(name.encode()).hexdigest()[:32]),
        _tag("Title", escape(context.title)),
        _tag("Author", escape(context.issuer)),
        _tag("Subject", escape(MARK)),
        _tag("CreationDate", context.issued_on.isoformat()),
        _tag("Creator", "exchanged"),
    )
    body = _tag("DocBody", information, _tag("DocRoot", "Doc_0/Document.xml"))
    return _file("OFD", body, Version="1.0", DocType="OFD")


def _document(references: list[str], last: int) -> bytes:
    box = _tag("PhysicalBox", f"0 0 {PAGE_WIDTH_MM:g} {PAGE_HEIGHT_MM:g}")
    common = _tag(
        "CommonData",
        _tag("MaxUnitID", str(last)),
        _tag("PageArea", box),
        _tag("PublicRes", "PublicRes.xml"),
    )
    return _file("Document", common, _tag("Pages", *references))


def _resources() -> bytes:
    font = _tag("Font", ID=str(_FONT_ID), FontName="宋体", FamilyName="宋体")
    return _file("Res", _tag("Fonts", font), BaseLoc="Res")


def _content(page: Page, identifiers: _Identifiers) -> bytes:
    layer_id = identifiers.take()
    objects = [_text_object(line, identifiers.take()) for line in page.lines]
    return _file("Page", _tag("Content", _tag("Layer", *objects, ID=layer_id, Type="Body")))


def _text_object(line: Line, identifier: str) -> str:
    size = line.points * MM_PER_POINT
    width = text_width_mm(line.text, line.points)
    # The box is a little higher than the letters, so that no reader cuts their feet off.
    boundary = f"{line.x_mm:.3f} {line.y_mm - size:.3f} {width:.3f} {size * 1.3:.3f}"
    placing = {"X": "0", "Y": f"{size:.3f}"}
    if len(line.text) > 1:
        steps = (advance_em(before) * size for before, _ in pairwise(line.text))
        placing["DeltaX"] = " ".join(f"{step:.3f}" for step in steps)
    colour = _tag("FillColor", Value="204 0 0") if line.red else ""
    code = _tag("TextCode", escape(line.text), **placing)
    attributes = {"ID": identifier, "Boundary": boundary, "Font": str(_FONT_ID), "Size": f"{size:.3f}"}
    return _tag("TextObject", colour, code, **attributes)


def _tag(name: str, /, *content: str, **attributes: str) -> str:
    written = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
    inside = "".join(content)
    return f"<ofd:{name}{written}>{inside}</ofd:{name}>" if inside else f"<ofd:{name}{written}/>"


def _file(name: str, /, *content: str, **attributes: str) -> bytes:
    return (_DECLARATION + _tag(name, *content, **{"xmlns:ofd": OFD_NAMESPACE}, **attributes) + "\n").encode()
