"""The chart of the bench: one bar for each figure, as a share of its goal, with a line where the goal is.

A bar that passes the line has reached its goal, in whichever direction the goal lies: for what shall be
small the share is goal / found. Plain SVG that needs nothing else, readable on light and on dark ground.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from bench.report import goal_text, number
from bench.result import Check, Result, Row

_WIDTH: Final = 760
_LABELS: Final = 300
_LINE: Final = 20
_TOP: Final = 54
# Shares beyond this end in an arrow.
_MOST: Final = 3.0
_UNIT: Final = (_WIDTH - _LABELS - 180) / _MOST
_STYLE: Final = """\
text { font: 12px sans-serif; fill: #222 } .row { font-weight: bold } .soft { fill: #666 }
.met { fill: #2a7f5f } .short { fill: #b8402a } .off { fill: #888 }
.goal { stroke: #222; stroke-dasharray: 4 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #eee } .soft { fill: #aaa } .met { fill: #5cc49a } .short { fill: #e8836e }
  .off { fill: #999 } .goal { stroke: #eee }
}"""


def chart(rows: Sequence[Row], results: Mapping[str, Result], caption: str) -> str:
    """One SVG document; every row that has a result is in it, with its verdict."""
    parts: list[str] = []
    line = _TOP
    for row in rows:
        result = results.get(row.name)
        if result is None:
            continue
        parts.append(_text(8, line, row.name, "row"))
        parts.append(_text(_WIDTH - 8, line, result.verdict, "soft", anchor="end"))
        line += _LINE
        for check in result.checks:
            parts += _bar(line, check, is_off=any(each.is_off for each in result.references))
            line += _LINE
        line += 6
    goal = _LABELS + _UNIT
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {line + 8}" role="img">',
        f"<title>{escape(caption)}</title><style>{_STYLE}</style>",
        _text(8, 18, caption, "row"),
        _text(8, 36, "Bars are shares of the goal; beyond the dashed line it is reached.", "soft"),
        f'<line class="goal" x1="{goal:.0f}" x2="{goal:.0f}" y1="{_TOP - 10}" y2="{line}"/>',
    ]
    return "\n".join([*head, *parts, "</svg>"]) + "\n"


def _bar(line: int, check: Check, *, is_off: bool) -> list[str]:
    share = max(0.0, check.share)
    length = min(share, _MOST) * _UNIT
    kind = "off" if is_off else "met" if check.holds else "short"
    more = " →" if share > _MOST else ""
    told = f"{number(check.found)} {check.unit} ({goal_text(check)}){more}"
    return [
        _text(_LABELS - 8, line, check.what, "", anchor="end"),
        f'<rect class="{kind}" x="{_LABELS}" y="{line - 10}" width="{max(length, 1):.1f}" height="12"/>',
        # Behind the goal's line, never across it.
        _text(_LABELS + max(length, _UNIT) + 6, line, told, "soft"),
    ]


def _text(x: float, y: float, text: str, kind: str, *, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(text)}</text>'
