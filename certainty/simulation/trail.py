"""The trail of one run: everything that happened, in order, and one digest over it."""

from __future__ import annotations

import hashlib


class Trail:
    """Lines of one run. Without ``keeps`` only the digest and the last lines stay in memory."""

    def __init__(self, *, keeps: bool) -> None:
        self.lines: list[str] = []
        self.count = 0
        self._keeps = keeps
        self._hash = hashlib.sha256()

    def add(self, now: float, who: str, what: str) -> None:
        """``who`` did ``what`` at that second of the virtual time."""
        line = f"{now:10.3f} {who:<13} {what}"
        self.count += 1
        self._hash.update(line.encode("utf-8", "surrogateescape") + b"\n")
        if self._keeps:
            self.lines.append(line)

    @property
    def digest(self) -> str:
        """One value for the whole run: equal exactly when the runs were."""
        return self._hash.hexdigest()
