"""Markdown of the generated pages of docs/: a page, a table, a cell. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_MARK: Final = "<!-- Generated: ./run docs writes this page anew from {source}. Changes belong there. -->"


def page(title: str, source: str, *parts: str) -> str:
    """A whole page of ``parts``; ``source`` says in words where its content is defined."""
    head = [f"# {title}", _MARK.format(source=source)]
    return "\n\n".join([*head, *(part.strip("\n") for part in parts)]) + "\n"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; what a cell holds is text with code in back-ticks."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def plain(text: str) -> str:
    """Text in one line, of which only back-ticks mean something to Markdown."""
    pieces = " ".join(text.replace("``", "`").split()).split("`")
    pieces[::2] = [piece.replace("&", "&amp;").replace("<", "&lt;") for piece in pieces[::2]]
    return "`".join(pieces)


def _cell(text: str) -> str:
    return plain(text).replace("|", "\\|")
