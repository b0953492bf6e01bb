"""Help pages in a language without spaces: lines are broken by width, where Chinese may be broken.

Guarantees: a page is printable on every terminal: what its encoding lacks is shown as an escape.
English pages are those of the command-line library.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Final

import click

from cli.locale import ENGLISH, language
from cli.render import display_width, encodable

# No line begins with these, and none ends with those (the usual rules of Chinese typesetting).
_NEVER_FIRST: Final = frozenset("，。；：、！？）》”’…")
_NEVER_LAST: Final = frozenset("（《“‘")


class Formatter(click.HelpFormatter):
    """Measures and breaks Chinese text as it is shown."""

    def write_text(self, text: str) -> None:
        """A text of paragraphs; one that begins with a line of backspace keeps its lines."""
        if language() == ENGLISH:
            super().write_text(text)
            return
        indent = " " * self.current_indent
        shown = []
        for paragraph in text.expandtabs().split("\n\n"):
            lines = paragraph.strip("\n").split("\n")
            keeps = lines[0].strip() == "\b"
            kept = lines[1:] if keeps else broken(" ".join(lines), self.width - len(indent))
            shown.append("\n".join(indent + line for line in kept))
        self.write("\n\n".join(shown) + "\n")

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Terms and what they mean, in two columns."""
        if language() == ENGLISH:
            super().write_dl(list(rows), col_max, col_spacing)
            return
        pairs = list(rows)
        first = min(max((display_width(term) for term, _said in pairs), default=0), col_max) + col_spacing
        indent = " " * self.current_indent
        for term, said in pairs:
            lines = broken(said, max(self.width - first - 2, 10)) if said else [""]
            if display_width(term) > first - col_spacing:
                self.write(f"{indent}{term}\n")
            else:
                self.write(f"{indent}{term}{' ' * (first - display_width(term))}{lines.pop(0)}\n")
            for line in lines:
                self.write(f"{indent}{' ' * first}{line}\n")


class HelpContext(click.Context):
    """A call whose help is broken and printable as above."""

    formatter_class = Formatter

    def get_help(self) -> str:
        """The page, with escapes for what standard output cannot show."""
        return encodable(super().get_help(), sys.stdout)

    def get_usage(self) -> str:
        """The usage line, likewise for standard error."""
        return encodable(super().get_usage(), sys.stderr)


def broken(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` columns: broken at spaces and beside wide characters."""
    lines, line = [], ""
    for piece in _pieces(text):
        if line and display_width(line + piece.rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        line += piece if line else piece.lstrip()
    return [*lines, line.rstrip()] if line.strip() or not lines else lines


def _pieces(text: str) -> list[str]:
    """What is not broken inside: a word with the space after it, a wide character with its punctuation."""
    pieces: list[str] = []
    for character in text:
        before = pieces[-1] if pieces else ""
        joins = character in _NEVER_FIRST or (before and before[-1] in _NEVER_LAST)
        if not before or (not joins and _breaks(before[-1], character)):
            pieces.append(character)
        else:
            pieces[-1] += character
    return pieces


def _breaks(left: str, right: str) -> bool:
    if right == " ":
        return False
    return left == " " or display_width(left) == 2 or display_width(right) == 2


