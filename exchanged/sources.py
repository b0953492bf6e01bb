"""What a link puts into a mailbox, as a ``transport.Source``: readable again and from any offset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from exchanged.blobs import BlobStore
from exchanged.ranges import RangeReader


@dataclass(frozen=True, slots=True)
class BlobSource:
    """A stored blob."""

    store: BlobStore
    digest: str
    generation: int
    size: int

    def blocks(self, offset: int = 0) -> Iterator[bytes]:
        """The bytes from ``offset`` on."""
        return self.store.blocks(self.digest, self.generation, offset)


@dataclass(frozen=True, slots=True)
class FileSource:
    """A whole file of ours."""

    path: Path
    size: int

    def blocks(self, offset: int = 0) -> Iterator[bytes]:
        """The bytes from ``offset`` on."""
        with RangeReader(self.path, offset, self.size - offset) as reader:
            yield from reader.blocks()


@dataclass(frozen=True, slots=True)
class BytesSource:
    """Bytes at hand."""

    data: bytes

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return len(self.data)

    def blocks(self, offset: int = 0) -> Iterator[bytes]:
        """The bytes from ``offset`` on."""
        yield self.data[offset:]
