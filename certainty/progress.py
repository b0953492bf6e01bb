"""How far a long run is, for whoever waits at a terminal or reads a log afterwards."""

from __future__ import annotations

import sys
import time
from typing import Final

_REFRESH_SECONDS: Final = 0.5


class Progress:
    """One line that is written over on a terminal; elsewhere one line per shard."""

    def __init__(self, label: str, *, shows_steps: bool = True) -> None:
        self._label = label
        self._began = self._shown = time.monotonic()
        self._is_terminal = sys.stderr.isatty() and shows_steps

    def __call__(self, done: int, total: int, what: str) -> None:
        """Show it, not too often."""
        now = time.monotonic()
        if not self._is_terminal or (now - self._shown < _REFRESH_SECONDS and done != total):
            return
        self._shown = now
        text = f"{self._label}: {done:,}/{total:,} {what}, {now - self._began:.0f} s"
        print(f"\r\033[K{text[:79]}", end="", file=sys.stderr, flush=True)

    def end(self, text: str) -> None:
        """The last word about it."""
        lead = "\r\033[K" if self._is_terminal else ""
        print(f"{lead}{self._label}: {text}", file=sys.stderr, flush=True)
