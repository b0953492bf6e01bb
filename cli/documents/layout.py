"""Lines on A4 pages, shared by the PDF and the OFD writer: where each line of text stands, in millimetres.

Han characters are reckoned one em wide and ASCII half an em, and each writer makes its lines that wide.
Known limit: one font and no tables; a line never starts with closing punctuation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cli.documents.context import MARK, DocumentContext

PAGE_WIDTH_MM: Final = 210.0
PAGE_HEIGHT_MM: Final = 297.0
MM_PER_POINT: Final = 25.4 / 72
_MARGIN_MM: Final = 25.0
_FIRST_LINE_MM: Final = 36.0
_LAST_LINE_MM: Final = 268.0
_LINE_STEP_MM: Final = 8.0
_BODY_POINTS: Final = 12.0
_TITLE_POINTS: Final = 20.0
_SMALL_POINTS: Final = 9.0
_CLOSING: Final = "，。、；：！？）》」』”’〕,.;:!?)"
_SCAN_MM: Final = 60.0


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text: baseline start ``x_mm`` from the left and ``y_mm`` from the top."""

    text: str
    x_mm: float
    y_mm: float
    points: float
    red: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A page of lines; ``scan`` is the number of the scanned picture behind them, or None."""

    lines: tuple[Line, ...]
    scan: int | None = None


def advance_em(character: str) -> float:
    """The width of ``character`` in em: half for ASCII, one for everything else."""
    return 0.5 if " " <= character <= "~" else 1.0


def text_width_mm(text: str, points: float) -> float:
    """The width of ``text`` set in ``points``."""
    return sum(map(advance_em, text)) * points * MM_PER_POINT


def wrap(text: str, width_mm: float, points: float) -> list[str]:
    """``text`` in lines no wider than ``width_mm``; closing punctuation may hang over the edge."""
    lines: list[str] = []
    line = ""
    used = 0.0
    for character in text:
        advance = advance_em(character) * points * MM_PER_POINT
        if line and used + advance > width_mm and character not in _CLOSING:
            lines.append(line)
            line, used = "", 0.0
        line += character
        used += advance
    lines.append(line)
    return lines


def paginate(context: DocumentContext) -> tuple[Page, ...]:
    """All pages of ``context``: title, numbers, parties, text, then annex and scanned pages as asked."""
    columns = _split(_flow(context))
    for annex in range(1, context.pages - len(columns) + 1):
        columns.append([Line(f"附页 {annex}（无正文）", _MARGIN_MM, _FIRST_LINE_MM, _BODY_POINTS)])
    total = len(columns) + context.scans
    pages = [Page((*column, *_frame(number, total))) for number, column in enumerate(columns, 1)]
    for scan in range(context.scans):
        caption = Line(f"{context.title}（扫描件第 {scan + 1} 页）", _MARGIN_MM, _SCAN_MM, _BODY_POINTS)
        pages.append(Page((caption, *_frame(len(columns) + scan + 1, total)), scan=scan))
    return tuple(pages)


def _flow(context: DocumentContext) -> list[tuple[str, float, str]]:
    """Every line in order as (text, points, alignment)."""
    width = PAGE_WIDTH_MM - 2 * _MARGIN_MM
    flow: list[tuple[str, float, str]] = [(context.issuer, 14.0, "centre")]
    flow += [(line, _TITLE_POINTS, "centre") for line in wrap(context.title, width, _TITLE_POINTS)]
    flow.append((context.number, _BODY_POINTS, "right"))
    facts = [f"案件名称：{context.case_name}", *context.case_numbers]
    facts += [f"当事人：{party}" for party in context.parties]
    facts.append(f"主送：{context.addressee}")
    indented = ["　　" + paragraph for paragraph in context.paragraphs]
    listed = [
        f"{entry.number}. {entry.document_type} {entry.title}，{entry.pages} 页，{entry.file}"
        for entry in context.entries
    ]
    for text in (*facts, "", *indented, *listed, ""):
        flow += [(line, _BODY_POINTS, "left") for line in wrap(text, width, _BODY_POINTS)]
    flow.append((context.issuer, _BODY_POINTS, "right"))
    day = context.issued_on
    flow.append((f"{day.year}年{day.month}月{day.day}日", _BODY_POINTS, "right"))
    return flow


def _split(flow: list[tuple[str, float, str]]) -> list[list[Line]]:
    columns: list[list[Line]] = [[]]
    y = _FIRST_LINE_MM
    for text, points, alignment in flow:
        if y > _LAST_LINE_MM:
            columns.append([])
            y = _FIRST_LINE_MM
        if text:
            columns[-1].append(Line(text, _start(text, points, alignment), y, points))
        y += _LINE_STEP_MM * max(1.0, points / 14)
    return columns


def _start(text: str, points: float, alignment: str) -> float:
    room = PAGE_WIDTH_MM - 2 * _MARGIN_MM - text_width_mm(text, points)
    return _MARGIN_MM + max(0.0, room) * {"left": 0.0, "centre": 0.5, "right": 1.0}[alignment]


def _frame(number: int, total: int) -> tuple[Line, ...]:
    """The mark on top and the page number at the bottom, on every page."""
    footer = f"第 {number} 页 共 {total} 页"
    return (
        Line(MARK, _start(MARK, _BODY_POINTS, "right"), 20.0, _BODY_POINTS, red=True),
        Line(footer, _start(footer, _SMALL_POINTS, "centre"), 283.0, _SMALL_POINTS),
    )
