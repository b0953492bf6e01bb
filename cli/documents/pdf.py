"""PDF with Chinese text that any reader shows, written by reportlab where the layout places each line.

The font is the predefined STSong-Light of the Adobe-GB1 collection (ISO 32000-1, 9.7.5.2): no font file is
needed, readers substitute their own Song face. Every character is written in UTF-16, also private-use ones
and those beyond the basic plane. Known limits: a character that Adobe-GB1 lacks (most of extension B,
private use) shows as a blank or a box, and only readers that take the codes for Unicode, as pypdf and
PDFium do, extract it; scans are compressed, so their bytes follow the version of zlib.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from cli.documents.context import MARK, DocumentContext, noise
from cli.documents.layout import (
    MM_PER_POINT,
    PAGE_HEIGHT_MM,
    PAGE_WIDTH_MM,
    Line,
    paginate,
    text_width_mm,
)

if TYPE_CHECKING:
    from reportlab.pdfgen.canvas import Canvas

_WIDTH_POINTS: Final = PAGE_WIDTH_MM / MM_PER_POINT
_HEIGHT_POINTS: Final = PAGE_HEIGHT_MM / MM_PER_POINT
_FONT: Final = "STSong-Light"
# The first version with the encoding UniGB-UTF16-H.
_VERSION: Final = (1, 5)
# A4 at 90 dots per inch, one grey byte each.
_SCAN_COLUMNS: Final = 744
_SCAN_ROWS: Final = 1052
# Paper is light: the upper quarter of the grey scale, so that text over it stays readable.
_PAPER: Final = bytes(192 + value // 4 for value in range(256))


def render_pdf(context: DocumentContext) -> tuple[bytes, int]:
    """The file of ``context`` and its number of pages. Same context, same bytes."""
    pages = paginate(context)
    target = io.BytesIO()
    canvas = _new_canvas(target, context)
    for page in pages:
        if page.scan is not None:
            _draw_scan(canvas, noise(context.seed, page.scan, _SCAN_COLUMNS * _SCAN_ROWS))
        for line in page.lines:
            _draw_line(canvas, line)
        canvas.showPage()
    canvas.save()
    return target.getvalue(), len(pages)


def _new_canvas(target: io.BytesIO, context: DocumentContext) -> Canvas:
    from reportlab.pdfbase import pdfmetrics  # noqa: PLC0415 - only a PDF waits for the library
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont  # noqa: PLC0415 - likewise
    from reportlab.pdfgen.canvas import Canvas  # noqa: PLC0415 - likewise

    font = UnicodeCIDFont(_FONT)
    # The codes are UTF-16 but the library calls them UCS-2: readers then take half of a rare character for
    # another one, and lose the middle dot of names.
    font.encodingName = "UniGB-UTF16-H"
    pdfmetrics.registerFont(font)
    canvas = Canvas(
        target,
        pagesize=(_WIDTH_POINTS, _HEIGHT_POINTS),
        pageCompression=0,
        invariant=1,
        pdfVersion=_VERSION,
        initialFontName=_FONT,
        lang="zh-CN",
    )
    canvas.setTitle(context.title)
    canvas.setAuthor(context.issuer)
    canvas.setSubject(MARK)
    canvas.setCreator("exchanged")
    canvas.setDateFormatter(lambda *_: f"D:{context.issued_on:%Y%m%d}000000+08'00'")
    return canvas


def _draw_line(canvas: Canvas, line: Line) -> None:
    text = canvas.beginText(line.x_mm / MM_PER_POINT, (PAGE_HEIGHT_MM - line.y_mm) / MM_PER_POINT)
    text.setFont(_FONT, line.points)
    text.setFillColorRGB(0.8 if line.red else 0, 0, 0)
    # The font's Latin letters are not half an em wide; the line is, as the layout has reckoned.
    planned = text_width_mm(line.text, line.points) / MM_PER_POINT
    text.setHorizScale(100 * planned / canvas.stringWidth(line.text, _FONT, line.points))
    text.textOut(line.text)
    canvas.drawText(text)


def _draw_scan(canvas: Canvas, pixels: bytes) -> None:
    from reportlab import rl_config  # noqa: PLC0415 - only a PDF waits for the library
    from reportlab.lib.utils import ImageReader  # noqa: PLC0415 - likewise

    # Pictures as text in base 85 would be a quarter larger and take most of the time.
    rl_config.useA85 = 0
    # A grey map (PGM) is a picture file that is all pixels.
    head = f"P5 {_SCAN_COLUMNS} {_SCAN_ROWS} 255\n".encode()
    picture = ImageReader(io.BytesIO(head + pixels.translate(_PAPER)))
    canvas.drawImage(picture, 0, 0, _WIDTH_POINTS, _HEIGHT_POINTS)
