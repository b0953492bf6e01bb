"""Whether the files of the program are still those from which this process was started.

Guarantees: an installation over a running node is noticed, also of the same version, and while it goes on.
Workers are fresh interpreters: they would run the new program for the old one, and what the two do not
understand of each other would look like the fault of a packet.

Leaves to others: what to do then (``pool`` gives no answers any more, ``cli.service`` ends the node). Known
limit: a single other file that was changed by hand is not noticed.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from exchanged.errors import ProgramReplacedError


class Program:
    """``files``: one of each package, which an installation replaces with all others."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._files = tuple(files)
        self._began = self._marks()

    def require_as_started(self) -> None:
        """Raises ProgramReplacedError when a file is another one now, or gone."""
        if self._marks() != self._began:
            raise ProgramReplacedError("the program was replaced while this node ran")

    def _marks(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(map(_mark, self._files))


def _mark(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
