"""Where the demo is told: lines for the reader, and on a terminal one moving line about what is under way.

Guarantees: lines go to standard output and progress to standard error, so either can be piped away; where
standard error is no terminal, progress becomes a few plain lines. Printing may raise BrokenPipeError.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from cli.demo.timeline import WIDTH
from cli.render import display_width, say
from exchanged.clock import Clock

_BAR: Final = 24
# Often enough to move, seldom enough not to cost.
_REDRAW_SECONDS: Final = 0.1
_PLAIN_STEPS: Final = 4


class Telling(StrEnum):
    """Whether the timeline is printed while it happens, or only JSON at the end."""

    LINES = "lines"
    SILENT = "silent"


class Show:
    """Tells a run. Used by one thread."""

    def __init__(self, telling: Telling, clock: Clock) -> None:
        self._telling = telling
        self._clock = clock
        self._moves = sys.stderr.isatty()
        self._drawn = ""
        self._drawn_at = 0.0
        self._steps: dict[str, int] = {}

    def lines(self, lines: Iterable[str]) -> None:
        """Print lines for the reader at once."""
        self.clear()
        if self._telling is Telling.LINES:
            for line in lines:
                say(line)
            sys.stdout.flush()

    def note(self, text: str) -> None:
        """Say what is under way: on a terminal until the next line, elsewhere not at all."""
        if self._moves:
            self._draw(text)

    def bar(self, label: str, share: float) -> None:
        """Show how far a long thing is; ``share`` is from 0 to 1."""
        share = min(max(share, 0.0), 1.0)
        if self._moves:
            full = round(share * _BAR)
            self._draw(f"{label} [{'#' * full}{'-' * (_BAR - full)}] {share:4.0%}")
            return
        step = int(share * _PLAIN_STEPS)
        if step > self._steps.get(label, 0):
            self._steps[label] = step
            print(f"{label}: {step / _PLAIN_STEPS:.0%}", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the moving line away."""
        if self._drawn:
            print(f"\r{' ' * display_width(self._drawn)}\r", end="", file=sys.stderr, flush=True)
            self._drawn = ""

    def _draw(self, text: str) -> None:
        now = self._clock.monotonic()
        if self._drawn and now - self._drawn_at < _REDRAW_SECONDS:
            return
        while display_width(text) >= WIDTH:
            text = text[:-1]
        padding = " " * max(0, display_width(self._drawn) - display_width(text))
        print(f"\r{text}{padding}", end="", file=sys.stderr, flush=True)
        self._drawn, self._drawn_at = text, now
