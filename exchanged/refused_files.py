"""Batches that this node's directory speaks against: not read at every look, and not left for good.

Another directory can change it, and so can time alone: a neighbour whose clock is ahead signs with its next
key before that counts here. Nothing is answered meanwhile, so that its writer does not send it anew.

Guarantees: under the directory that refused it a file is read again after a minute, then after twice as long,
at last every eight minutes; under another one at once. Leaves to others: what is refused (``landing``).
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Final

from exchanged.link_context import LinkContext
from packet_spec.model import Edition

# Clocks may differ by five minutes (``[limits] clock_skew_seconds``) before anything is said about it.
_FIRST_SECONDS: Final = 60.0
_LAST_SECONDS: Final = 480.0


@dataclass(frozen=True, slots=True)
class _Refused:
    """Under which directory, until when that stands, and for how long it was to stand."""

    edition: Edition
    until: float
    wait: float


@dataclass(slots=True)
class RefusedFiles:
    """Those of one link, by their names. What is remembered is bounded by the files that lie there."""

    link: LinkContext
    _refused: dict[str, _Refused] = field(default_factory=dict)

    def note(self, name: str) -> bool:
        """The file was read, and does not count now. True: it was not among them before."""
        known, edition = self._refused.get(name), self.link.trust.edition
        wait = _FIRST_SECONDS
        if known is not None and known.edition == edition:
            wait = min(2 * known.wait, _LAST_SECONDS)
        self._refused[name] = _Refused(edition, self.link.clock.monotonic() + wait, wait)
        return known is None

    def is_refused(self, name: str) -> bool:
        """It need not be read at this look."""
        known = self._refused.get(name)
        if known is None or known.edition != self.link.trust.edition:
            return False
        return self.link.clock.monotonic() < known.until

    def forget_absent(self, files: Container[str]) -> None:
        """What lies there no more is forgotten."""
        self._refused = {name: known for name, known in self._refused.items() if name in files}

    def clear(self) -> None:
        """Look at all of them again."""
        self._refused.clear()
