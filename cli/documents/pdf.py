"""PDF 1.7 with Chinese text that any reader shows and can extract (ISO 32000-1).

The font is the predefined STSong-Light of the Adobe-GB1 collection (9.7.5.2): no font file is needed,
readers substitute their own Song face, and a ToUnicode map makes the text extractable everywhere.
Streams are not compressed, so the bytes do not depend on the machine's zlib. Known limits: one font;
the 20-odd kilobytes of a page are not what a scanner would write, ``scans`` are.
"""

from __future__ import annotations

import hashlib
from typing import Final

from cli.documents.context import MARK, DocumentContext, noise
from cli.documents.layout import MM_PER_POINT, PAGE_HEIGHT_MM, Line, Page, paginate

_WIDTH_POINTS: Final = 595
_HEIGHT_POINTS: Final = 842
# A4 at 90 dots per inch, one grey byte each: 0.75 MiB.
_SCAN_COLUMNS: Final = 744
_SCAN_ROWS: Final = 1052
# Paper is light: the upper quarter of the grey scale, so that text over it stays readable.
_PAPER: Final = bytes(192 + value // 4 for value in range(256))
# Fixed objects: 1 catalogue, 2 pages, 3 font, 4 descendant, 5 descriptor, 6 ToUnicode, 7 information.
_FIRST_PAGE_OBJECT: Final = 8
_FONT: Final = (
    b"<< /Type /Font /Subtype /Type0 /BaseFont /STSong-Light-UniGB-UTF16-H /Encoding /UniGB-UTF16-H "
    b"/DescendantFonts [4 0 R] /ToUnicode 6 0 R >>"
)
# Adobe-GB1: CIDs 1 to 95 are ASCII; they are declared half an em wide, as the layout sets them.
_DESCENDANT: Final = (
    b"<< /Type /Font /Subtype /CIDFontType0 /BaseFont /STSong-Light /FontDescriptor 5 0 R "
    b"/CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 5 >> /DW 1000 /W [1 95 500] >>"
)
_DESCRIPTOR: Final = (
    b"<< /Type /FontDescriptor /FontName /STSong-Light /Flags 6 /FontBBox [-25 -254 1000 880] "
    b"/ItalicAngle 0 /Ascent 752 /Descent -271 /CapHeight 737 /StemV 58 >>"
)


def render_pdf(context: DocumentContext) -> tuple[bytes, int]:
    """The file of ``context`` and its number of pages. Same context, same bytes."""
    pages = paginate(context)
    objects: list[bytes] = []
    kids: list[int] = []
    for page in pages:
        number = _FIRST_PAGE_OBJECT + len(objects)
        kids.append(number)
        objects += _page_objects(page, number, context.seed)
    fixed = [
        b"<< /Type /Catalog /Pages 2 0 R /Lang (zh-CN) >>",
        f"<< /Type /Pages /Count {len(kids)} /Kids [{' '.join(f'{kid} 0 R' for kid in kids)}] >>".encode(),
        *_font_objects({character for page in pages for line in page.lines for character in line.text}),
        _information(context),
    ]
    return _assemble([*fixed, *objects]), len(pages)


def _page_objects(page: Page, number: int, seed: str) -> list[bytes]:
    """The page dictionary as object ``number``, its content, and its picture if it has one."""
    picture = f"/XObject << /Scan {number + 2} 0 R >> " if page.scan is not None else ""
    dictionary = (
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {_WIDTH_POINTS} {_HEIGHT_POINTS}] "
        f"/Resources << /Font << /F1 3 0 R >> {picture}>> /Contents {number + 1} 0 R >>"
    ).encode()
    operators = []
    if page.scan is not None:
        operators.append(f"q {_WIDTH_POINTS} 0 0 {_HEIGHT_POINTS} 0 0 cm /Scan Do Q")
    operators += [_show(line) for line in page.lines]
    objects = [dictionary, _stream("", "\n".join(operators).encode())]
    if page.scan is not None:
        pixels = noise(seed, page.scan, _SCAN_COLUMNS * _SCAN_ROWS).translate(_PAPER)
        entries = (
            f"/Type /XObject /Subtype /Image /Width {_SCAN_COLUMNS} /Height {_SCAN_ROWS} "
            "/ColorSpace /DeviceGray /BitsPerComponent 8 "
        )
        objects.append(_stream(entries, pixels))
    return objects


def _show(line: Line) -> str:
    x = line.x_mm / MM_PER_POINT
    y = (PAGE_HEIGHT_MM - line.y_mm) / MM_PER_POINT
    colour = "0.8 0 0" if line.red else "0 0 0"
    text = line.text.encode("utf-16-be").hex().upper()
    return f"BT {colour} rg /F1 {line.points:g} Tf 1 0 0 1 {x:.2f} {y:.2f} Tm <{text}> Tj ET"


def _font_objects(characters: set[str]) -> list[bytes]:
    return [
        _FONT,
        _DESCENDANT,
        _DESCRIPTOR,
        _stream("", _to_unicode(characters)),
    ]


def _to_unicode(characters: set[str]) -> bytes:
    """The ToUnicode map (9.10.3): each code of the encoding to itself, in blocks of 100 at most."""
    codes = [character.encode("utf-16-be").hex().upper() for character in sorted(characters)]
    lines = [
        "/CIDInit /ProcSet findresource begin",
        "12 dict begin",
        "begincmap",
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def",
        "/CMapName /Adobe-Identity-UCS def",
        "/CMapType 2 def",
        "3 begincodespacerange",
        "<0000> <D7FF>",
        "<D800DC00> <DBFFDFFF>",
        "<E000> <FFFF>",
        "endcodespacerange",
    ]
    for start in range(0, len(codes), 100):
        block = codes[start : start + 100]
        lines += [f"{len(block)} beginbfchar", *(f"<{code}> <{code}>" for code in block), "endbfchar"]
    lines += ["endcmap", "CMapName currentdict /CMap defineresource pop", "end", "end"]
    return "\n".join(lines).encode()


def _information(context: DocumentContext) -> bytes:
    stamp = f"D:{context.issued_on:%Y%m%d}000000+08'00'"
    return (
        f"<< /Title {_text(context.title)} /Author {_text(context.issuer)} /Subject {_text(MARK)} "
        f"/Creator (exchanged) /CreationDate ({stamp}) >>"
    ).encode()


def _text(value: str) -> str:
    return f"<FEFF{value.encode('utf-16-be').hex().upper()}>"


def _stream(entries: str, data: bytes) -> bytes:
    return f"<< {entries}/Length {len(data)} >>\nstream\n".encode() + data + b"\nendstream"


def _assemble(objects: list[bytes]) -> bytes:
    """Number the objects from 1 and write header, cross-reference table and trailer."""
    # The second line's high bytes tell transfer programs that the file is binary (7.5.2).
    body = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n".encode() + content + b"\nendobj\n"
    identity = hashlib.sha256(body).hexdigest()[:32].upper()
    table = len(body)
    body += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    body += "".join(f"{offset:010d} 00000 n \n" for offset in offsets).encode()
    body += (
        f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R /Info 7 0 R "
        f"/ID [<{identity}> <{identity}>] >>\nstartxref\n{table}\n%%EOF\n"
    ).encode()
    return bytes(body)
