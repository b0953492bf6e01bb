"""A file that grows by appending, on one kind of volume: the writing half of ``exchanged.durable``.

Guarantees and failures are those of that module. Leaves to others: what the file is called in the end.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from exchanged.errors import FileOperationError
from exchanged.volume import Block, VolumeAccess

# A large file is handed to the disk in portions of this size while it grows.
_BEGIN_BYTES: Final = 8 * 1024 * 1024


class Folders(Protocol):
    """What makes the names in a folder durable."""

    def sync_dir(self, path: Path) -> bool:
        """As ``DurableFiles.sync_dir``."""


class DurableWriter:
    """A file that grows by appending. After any failure it only closes: begin another file.

    What was flushed before a failure stays valid; bytes after it are to be ignored. Used by one
    thread at a time. ``close`` does not flush.
    """

    def __init__(
        self, files: Folders, access: VolumeAccess, path: Path, descriptor: int, offset: int = 0
    ) -> None:
        self.path = path
        self._files = files
        self._access = access
        self._descriptor = descriptor
        self._offset = self._begun = offset
        self._name_is_durable = False
        self._failed = False

    @property
    def offset(self) -> int:
        """Where the next block will stand: the bytes appended so far."""
        return self._offset

    def append(self, block: Block) -> int:
        """Append; returns the offset at which ``block`` stands. Durable only after ``flush``.

        Raises NoSpaceError, VolumeDamagedError or ForeignVolumeError, and FileOperationError when
        the writer failed before.
        """
        position = self._offset
        self._access.crash.point("durable:before-write:append")
        self.write(block)
        self._access.crash.point("durable:after-write:append")
        return position

    def write(self, block: Block) -> None:
        """Append without crash points, for copying loops. Raises as ``append``."""
        self._check()
        rest = memoryview(block)
        try:
            while rest:
                rest = rest[self._access.kernel.write(self._descriptor, rest) :]
        except OSError as error:
            self._failed = True
            raise self._access.failure(error, "write", self.path) from error
        self._offset += len(block)
        if self._offset - self._begun >= _BEGIN_BYTES:
            # So the disk works while the next bytes come, and the flush at the end waits for little.
            self._begun = self._offset
            self.begin_flush()

    def flush(self) -> None:
        """Fsync; the first time also the folder, so that the name is durable. Raises as ``append``."""
        self.sync("flush")
        if not self._name_is_durable:
            self._files.sync_dir(self.path.parent)
            self._name_is_durable = True

    def sync(self, operation: str) -> None:
        """Fsync the file alone, for a file that gets its name later. Raises as ``append``."""
        self._check()
        self._failed = True
        with self._access.step("fsync", operation, self.path):
            self._access.kernel.fsync(self._descriptor)
        self._failed = False

    def begin_flush(self) -> None:
        """Let the kernel begin to write what a later ``sync`` waits for. A hint: nothing fails here."""
        if self._descriptor >= 0:
            self._access.kernel.begin_flush(self._descriptor)

    def close(self) -> None:
        """Let go of the descriptor; again is fine."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            # An error of close(2) says nothing that the fsync did not say before.
            with suppress(OSError):
                os.close(descriptor)

    def _check(self) -> None:
        if self._failed or self._descriptor < 0:
            raise FileOperationError("a writer was used after it failed or closed", where=str(self.path))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
