"""What the checks of documents speak of: the bytes that they read, and what they found.

Guarantees: a document is read at any place, in bounded pieces, and never beyond its end; a failure of the
file below it is remembered, whatever a library makes of it, because it says nothing about the document.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from packet_spec.errors import ValidatorError
from packet_spec.limits import KIB

BLOCK_BYTES: Final = 256 * KIB

Scratch = Callable[[], BinaryIO]
"""Gives an empty file for an unpacked member, private and gone when it is closed."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a document: a finding code, and what the finding shows.

    ``inside`` is the name of the member that it is about, empty for the document itself.
    """

    code: str
    expected: str = ""
    found: str = ""
    inside: str = ""
    line: int | None = None


class FaultError(Exception):
    """The check of a document ends with this fault. Never leaves ``packet_spec.documents``."""

    def __init__(self, code: str, *, expected: str = "", found: str = "", line: int | None = None) -> None:
        super().__init__(code)
        self.fault = Fault(code, expected, found, line=line)


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a package: name with forward slashes, size in bytes, SHA-256; pages where it has such."""

    name: str
    size: int
    sha256: str
    pages: int | None = None


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One line of an index of documents (卷内文件目录): what lies where, and its SHA-256 in hexadecimal.

    ``file`` is the name in the package, ``package`` the listed name of the package where several could be
    meant. ``pages`` is None where a document has none, such as a video.
    """

    number: int
    document_type: str
    title: str
    file: str
    volume: str
    pages: int | None
    size: int
    sha256: str
    package: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """What a document turned out to hold. ``pages`` is None where its format counts none.

    ``members`` is what a package holds, its own index left out; ``index`` what an index lists; both are None
    for everything else.
    """

    pages: int | None = None
    faults: tuple[Fault, ...] = ()
    members: tuple[Member, ...] | None = None
    index: tuple[IndexEntry, ...] | None = None


class Source:
    """``size`` bytes of a binary file from ``start`` on."""

    def __init__(self, file: BinaryIO, size: int, start: int = 0) -> None:
        self._file = file
        self._start = start
        self.size = size
        self.trouble = ""

    def read_at(self, offset: int, size: int) -> bytes:
        """Exactly ``size`` bytes at ``offset``; both within the document.

        Raises ValidatorError when the file cannot be read or is shorter than it was said to be.
        """
        pieces: list[bytes] = []
        left = size
        try:
            self._file.seek(self._start + offset)
            while left > 0 and (block := self._file.read(left)):
                pieces.append(block)
                left -= len(block)
        except OSError as error:
            self.trouble = error.strerror or type(error).__name__
        else:
            if left:
                self.trouble = "the file is shorter than it was"
        if self.trouble:
            self.require_sound()
        return b"".join(pieces)

    def head(self, size: int) -> bytes:
        """The first bytes, at most ``size``."""
        return self.read_at(0, min(size, self.size))

    def tail(self, size: int) -> bytes:
        """The last bytes, at most ``size``."""
        size = min(size, self.size)
        return self.read_at(self.size - size, size)

    def blocks(self) -> Iterator[bytes]:
        """The whole document in blocks."""
        for offset in range(0, self.size, BLOCK_BYTES):
            yield self.read_at(offset, min(BLOCK_BYTES, self.size - offset))

    def part(self, offset: int, size: int) -> Source:
        """A range of it as a source of its own."""
        return Source(self._file, size, self._start + offset)

    def stream(self) -> io.BufferedReader:
        """The document as a file for a library. It has no descriptor, so nothing reads past its end."""
        return io.BufferedReader(_Stream(self), BLOCK_BYTES)

    def require_sound(self) -> None:
        """The file below never failed, also where a library swallowed it. Raises ValidatorError."""
        if self.trouble:
            raise ValidatorError("a document could not be read here", found=self.trouble)


class _Stream(io.RawIOBase):
    """A source as a raw file."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._source.size}[whence]
        if start + offset < 0:
            raise ValueError("a position before the start")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: memoryview | bytearray) -> int:  # type: ignore[override]
        size = max(0, min(len(buffer), self._source.size - self._position))
        buffer[:size] = self._source.read_at(self._position, size) if size else b""
        self._position += size
        return size
