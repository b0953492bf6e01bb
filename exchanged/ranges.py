"""Ranges of spool files: where a packet's bytes lie, and how they are read. Knows no ledger.

Worker processes read packets through this module and nothing else of the engine.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from exchanged.errors import VolumeDamagedError
from exchanged.exhausted import exhausted

_BLOCK: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class SpoolRange:
    """Where bytes lie in the spool: a file (by number and name), an offset and a length in bytes.

    ``digest`` is the SHA-256 that they had when they were flushed; empty where nobody kept it.
    """

    spool: int
    name: str
    start: int
    length: int
    digest: str = ""


class RangeReader:
    """A sequential reader of one range of one file; ``read`` never goes past the range's end.

    Raises VolumeDamagedError for a file that cannot be read, and FileOperationError without a free handle.
    """

    def __init__(self, path: Path, start: int, length: int) -> None:
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise exhausted(error, path.name) or VolumeDamagedError(
                "a spool file that the ledger names cannot be opened", where=path.name
            ) from error
        self._file.seek(start)
        self._left = length
        self._name = path.name

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; fewer only at the end of the range or of the file."""
        buffer = io.BytesIO()
        want = min(size, self._left)
        while want > 0:
            try:
                block = self._file.read(min(want, _BLOCK))
            except OSError as error:
                raise exhausted(error, self._name) or VolumeDamagedError(
                    "a spool file cannot be read", where=self._name
                ) from error
            if not block:
                break
            buffer.write(block)
            want -= len(block)
            self._left -= len(block)
        return buffer.getvalue()

    def blocks(self) -> Iterator[bytes]:
        """The rest of the range in blocks."""
        while block := self.read(_BLOCK):
            yield block

    def skip(self, size: int) -> None:
        """Leave out ``size`` bytes of the range."""
        step = min(size, self._left)
        self._file.seek(step, io.SEEK_CUR)
        self._left -= step

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
