"""How much may be under way on a line at once: what it carries in a few seconds, found out while it works.

On a slow line megabytes under way are minutes: whatever is asked next, a listing or a small packet, waits
behind them. On a fast or far one a few kilobytes are nothing. So the window grows while a whole window is
answered within ``_QUICK_SECONDS`` and shrinks when it takes longer than ``_SLOW_SECONDS``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_FIRST_BYTES: Final = 256 * 1024
_LEAST_BYTES: Final = 64 * 1024
_LEAST_REQUEST_BYTES: Final = 32 * 1024
_QUICK_SECONDS: Final = 2.0
_SLOW_SECONDS: Final = 4.0


class Pace:
    """The window of one direction, at most ``most_bytes``. ``monotonic`` gives seconds."""

    def __init__(self, most_bytes: int, monotonic: Callable[[], float]) -> None:
        self.window_bytes = min(_FIRST_BYTES, most_bytes)
        self._most_bytes = most_bytes
        self._monotonic = monotonic
        self._answered = 0
        self._since = 0.0

    def begin(self) -> None:
        """A transfer begins: the time before it says nothing of the line."""
        self._answered, self._since = 0, self._monotonic()

    def request_bytes(self, most: int) -> int:
        """How large one request should be, at most ``most``: several fit into the window."""
        return min(most, max(_LEAST_REQUEST_BYTES, self.window_bytes // 2))

    def answered(self, size: int) -> None:
        """So many bytes were answered."""
        self._answered += size
        if self._answered < self.window_bytes:
            return
        now = self._monotonic()
        took = now - self._since
        if took < _QUICK_SECONDS:
            self.window_bytes = min(self.window_bytes * 2, self._most_bytes)
        elif took > _SLOW_SECONDS:
            self.window_bytes = max(self.window_bytes // 2, _LEAST_BYTES)
        self._answered, self._since = 0, now
