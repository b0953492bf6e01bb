"""Files in a mailbox that were read and gave nothing new: many of them slow down the reading of strangers.

What was read in vain is remembered by its name, and whoever writes into a mailbox gives its files other names
at no cost: each of them, copied and flushed again, would take our volume from all other links (I9).

Guarantees: what an honest neighbour needs, a few damaged files or some that nobody here can read yet, is read
at once; after many in a row in one mailbox nothing that is new there is read before a pause is over, which
doubles up to eight minutes. Each good file makes up for one. Leaves to others: which files give something
(``landing``, ``published``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from exchanged.clock import Clock

FREE: Final = 64
FIRST_SECONDS: Final = 1.0
LAST_SECONDS: Final = 480.0


@dataclass(slots=True)
class VainReading:
    """Of one link."""

    clock: Clock
    _count: int = 0
    _wait: float = FIRST_SECONDS
    _until: float = 0.0

    def note(self) -> None:
        """A file was read, and gave nothing new."""
        self._count += 1
        if self._count > FREE and not self.rests():
            self._until = self.clock.monotonic() + self._wait
            self._wait = min(2 * self._wait, LAST_SECONDS)

    def note_good(self) -> None:
        """A file was what it says."""
        self._count = max(0, self._count - 1)
        if not self._count:
            self._wait = FIRST_SECONDS

    def rests(self) -> bool:
        """Nothing that was not read before is read now."""
        return self.clock.monotonic() < self._until

    def clear(self) -> None:
        """Read everything: an operator decided whom this link believes."""
        self._count, self._wait, self._until = 0, FIRST_SECONDS, 0.0
