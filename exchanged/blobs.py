"""Blobs on disk: ``<sha256>.<generation>``, stored once, read by whoever refers to them (C8 to C10).

The ledger says which generations live; this module holds the files. A blob is verified whole before
it gets its name, and gets its name before the ledger names it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from exchanged.durable import DurableFiles
from exchanged.folder_transport import resume_offset
from exchanged.places import INCOMING_FOLDER
from exchanged.ranges import RangeReader
from exchanged.transport import Fetched

_DIGEST: Final = re.compile("[0-9a-f]{64}")


class BlobStore:
    """The folder of stored blobs of one node and the partial files on their way in."""

    def __init__(self, folder: Path, files: DurableFiles) -> None:
        self.folder = folder
        self.incoming = folder / INCOMING_FOLDER
        self._files = files

    def prepare(self) -> None:
        """Make the folders."""
        self._files.make_dir(self.folder, mode=0o700)
        self._files.make_dir(self.incoming, mode=0o700)

    def path(self, digest: str, generation: int) -> Path:
        """Where that generation of a blob lies."""
        return self.folder / f"{digest}.{generation}"

    def take_in(
        self, digest: str, generation: int | None, size: int, fetch: Callable[[Path], Fetched], label: str
    ) -> bool | None:
        """Fetch a blob of ``size`` bytes into a partial file, verify it whole, give it its name.

        ``generation`` None: it is stored already, and is read whole for the title alone.
        ``label`` keeps two links' partial files apart. False when the bytes are others, or another
        number of them: the partial is removed and the next attempt starts at zero (C8). None when its turn
        was over first: the partial stays, and the next call goes on.
        """
        partial = self.incoming / f"{digest}.{label}"
        fetched = fetch(partial)
        if not fetched.whole:
            return None
        if (fetched.digest, fetched.size) != (digest, size):
            self._files.unlink(partial)
            return False
        if generation is None:
            self._files.unlink(partial)
        else:
            self._files.replace(partial, self.path(digest, generation))
        return True

    def adopt(self, partial: Path, digest: str, generation: int) -> None:
        """A verified, flushed private file in ``incoming`` becomes the blob."""
        self._files.replace(partial, self.path(digest, generation))

    def size(self, digest: str, generation: int) -> int | None:
        """The size in bytes of the stored file, or None when it is not there."""
        try:
            return self.path(digest, generation).stat().st_size
        except FileNotFoundError:
            return None

    def blocks(self, digest: str, generation: int, offset: int = 0) -> Iterator[bytes]:
        """The blob's bytes from ``offset`` on. Raises VolumeDamagedError when the file is gone."""
        path = self.path(digest, generation)
        size = self.size(digest, generation) or 0
        with RangeReader(path, offset, max(size - offset, 0)) as reader:
            yield from reader.blocks()

    def remove(self, digest: str, generation: int) -> None:
        """Unlink a generation that the ledger no longer names."""
        self._files.unlink(self.path(digest, generation))

    def partials(self) -> dict[tuple[str, str], Path]:
        """What came so far of blobs that are on their way: (digest, label) -> file."""
        found = {}
        for entry in self.incoming.iterdir():
            digest, _, label = entry.name.partition(".")
            if _DIGEST.fullmatch(digest) and entry.is_file():
                found[digest, label] = entry
        return found

    def partial_size(self, digest: str, label: str, size: int) -> int:
        """How many bytes of a blob of ``size`` came so far with that label, and can be built on."""
        return resume_offset(self.incoming / f"{digest}.{label}", size)

    def remove_partial(self, partial: Path) -> None:
        """Nobody waits for the rest of it."""
        self._files.unlink(partial)

    def files_on_disk(self) -> dict[tuple[str, int], int]:
        """Every stored file: (digest, generation) -> size in bytes."""
        found: dict[tuple[str, int], int] = {}
        for entry in self.folder.iterdir():
            digest, _, generation = entry.name.partition(".")
            if entry.is_file() and generation.isdigit():
                found[digest, int(generation)] = entry.stat().st_size
        return found
