"""The transfer core: an SFTP client with a window of requests, each of whose answers is awaited.

Why not the SFTP client of paramiko: its pipelined writes drop errors (a full disk is not noticed),
and its 32 KiB requests cost three times the processor time. Here many requests are under way at
once, every WRITE, fsync and CLOSE is acknowledged before a caller may rename, reads come back in
order, and memory is bounded by the window.

Guarantees: those of ``exchanged.sftp_session``, on which it stands. Left to others: what files mean.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Final

from exchanged.clock import SystemClock
from exchanged.errors import RemoteRefusedError, TransportFileError
from exchanged.sftp_pace import Pace
from exchanged.sftp_protocol import (
    Attributes,
    FreeSpace,
    Kind,
    OpenFlag,
    RemoteEntry,
    Status,
    malformed,
    new_file_attributes,
    no_attributes,
    string,
)
from exchanged.sftp_session import POSIX_RENAME, ByteChannel, SftpSession

# Bytes asked for and not yet answered: less than the SSH channel's own window of 16 MiB, so that
# the server never waits for us to read while we wait for it to take a request.
_READ_WINDOW_BYTES: Final = 8 * 1024 * 1024
_WRITE_WINDOW_BYTES: Final = 16 * 1024 * 1024
# One flush of a whole dossier at its end could outlast any time-out; a lost server forgets less, too.
_FLUSH_EVERY_BYTES: Final = 64 * 1024 * 1024
_HANDLE_BYTES: Final = 256
_DOTS: Final = frozenset({b".", b".."})
_FSYNC: Final = b"fsync@openssh.com"
_STATVFS: Final = b"statvfs@openssh.com"
_MONOTONIC: Final = SystemClock().monotonic


class SftpWindow(SftpSession):
    """One SFTP session on one channel. The constructor does the greeting (raises TransportError)."""

    def __init__(self, channel: ByteChannel, monotonic: Callable[[], float] = _MONOTONIC) -> None:
        self._reading = Pace(_READ_WINDOW_BYTES, monotonic)
        self._writing = Pace(_WRITE_WINDOW_BYTES, monotonic)
        super().__init__(channel)

    # --- names ---------------------------------------------------------------------------------

    def lstat(self, path: str) -> Attributes | None:
        """What ``path`` is, following no link; None if nothing is there."""
        request = self._submit(Kind.LSTAT, string(path.encode()))
        try:
            return self._attributes(request)
        except RemoteRefusedError as error:
            if error.code == Status.NO_SUCH_FILE:
                return None
            raise

    def list_folder(self, path: str, cap: int) -> tuple[list[RemoteEntry], bool]:
        """At most ``cap`` names of a folder, and whether there are more; ``.`` and ``..`` left out.

        A folder has each of the two once: a server that repeats them is told as one with more, and left.
        """
        handle = self.finish_open(self._submit(Kind.OPENDIR, string(path.encode())))
        entries: list[RemoteEntry] = []
        seen = 0
        # The second mostly says that this was all.
        asked = deque(self._submit(Kind.READDIR, string(handle)) for _ in range(2))
        try:
            # Every name counts, or a server could go on with one of them for ever.
            while len(entries) <= cap and seen <= cap + len(_DOTS):
                if not asked:
                    asked.append(self._submit(Kind.READDIR, string(handle)))
                packet = self._answer(asked.popleft())
                if packet[0] == Kind.STATUS and self._status(packet) == Status.EOF:
                    break
                reader = self._expect(Kind.NAME, packet)
                with self._parsing():
                    names = reader.names()
                    if not names:
                        raise malformed("an empty list of names")
                seen += len(names)
                entries += [entry for entry in names if entry.name not in _DOTS]
        finally:
            self._abandon(asked)
            self.close_quietly(handle)
        return entries[:cap], len(entries) > cap or seen > cap + len(_DOTS)

    def remove(self, path: str) -> bool:
        """Remove a file; whether there was one."""
        return self.finish_remove(self.start_remove(path))

    def start_remove(self, path: str) -> int:
        """Send the removal; ``finish_remove`` takes the answer."""
        return self._submit(Kind.REMOVE, string(path.encode()))

    def finish_remove(self, request: int) -> bool:
        """Whether there was a file to remove. Raises RemoteRefusedError for other refusals."""
        return self._finish(request, allow=Status.NO_SUCH_FILE) == Status.OK

    def rename(self, source: str, target: str) -> None:
        """Rename atomically, replacing ``target``."""
        body = string(POSIX_RENAME) + string(source.encode()) + string(target.encode())
        self._finish(self._submit(Kind.EXTENDED, body))

    def free_space(self, path: str) -> FreeSpace | None:
        """What is free on the volume of ``path``; None where the server does not tell."""
        if _STATVFS not in self._extensions:
            return None
        request = self._submit(Kind.EXTENDED, string(_STATVFS) + string(path.encode()))
        packet = self._answer(request)
        if packet[0] == Kind.STATUS:
            return None
        reader = self._expect(Kind.EXTENDED_REPLY, packet)
        with self._parsing():
            return reader.free_space()

    # --- reading -------------------------------------------------------------------------------

    def open_to_read(self, path: str) -> bytes:
        """A handle of an existing file."""
        return self.finish_open(self.start_open_to_read(path))

    def start_open_to_read(self, path: str) -> int:
        """Send the opening; ``finish_open`` takes the answer, which for a FIFO is the ring (C7)."""
        body = string(path.encode()) + struct.pack(">I", OpenFlag.READ) + no_attributes()
        return self._submit(Kind.OPEN, body)

    def finish_open(self, request: int) -> bytes:
        """The handle that the server gave. Raises RemoteRefusedError."""
        reader = self._expect(Kind.HANDLE, self._answer(request))
        with self._parsing():
            handle = reader.string()
            if not 0 < len(handle) <= _HANDLE_BYTES:
                raise malformed("a handle of impossible length")
        return handle

    def wait_open(self, request: int) -> bytes:
        """``finish_open`` without a time-out: a FIFO opens when somebody opens its other end."""
        self._channel.set_endless()
        try:
            return self.finish_open(request)
        finally:
            self._channel.set_limited()

    def fstat(self, handle: bytes) -> Attributes:
        """What an open file is."""
        return self._attributes(self._submit(Kind.FSTAT, string(handle)))

    def fstat_and_read(self, handle: bytes, length: int) -> tuple[Attributes, bytes]:
        """What an open file is, and its first bytes, asked for together: at most ``length``, or fewer."""
        # An empty file has no byte to answer with.
        length = max(1, min(length, self._reading.request_bytes(self.read_bytes)))
        looking = self._submit(Kind.FSTAT, string(handle))
        reading = self._submit_read(handle, 0, length)
        try:
            found = self._attributes(looking)
            with suppress(TransportFileError):
                return found, self._data(reading, length)
            # It ended before its first byte.
            return found, b""
        finally:
            self._abandon((looking, reading))

    def read_blocks(self, handle: bytes, offset: int, size: int) -> Iterator[bytes]:
        """The bytes from ``offset`` to ``size`` in order, with at most 8 MiB of requests under way.

        Raises TransportFileError when the file ends before ``size``.
        """
        pace = self._reading
        pace.begin()
        in_flight = 0
        under_way: deque[tuple[int, int, int]] = deque()
        position = offset
        try:
            while position < size or under_way:
                while position < size and (not under_way or in_flight < pace.window_bytes):
                    length = min(pace.request_bytes(self.read_bytes), size - position)
                    under_way.append((self._submit_read(handle, position, length), position, length))
                    position += length
                    in_flight += length
                request, start, length = under_way.popleft()
                block = self._data(request, length)
                in_flight -= length
                pace.answered(length)
                yield block
                # A server may answer with less than was asked for: fetch the rest before going on.
                while len(block) < length:
                    start, length = start + len(block), length - len(block)
                    block = self._data(self._submit_read(handle, start, length), length)
                    yield block
        finally:
            self._abandon(request for request, _, _ in under_way)

    # --- writing -------------------------------------------------------------------------------

    def start_open_new(self, path: str, mode: int) -> int:
        """Send the making of a file that must not exist; ``finish_open`` takes the answer."""
        flags = OpenFlag.WRITE | OpenFlag.CREATE | OpenFlag.EXCLUSIVE
        return self._submit(
            Kind.OPEN, string(path.encode()) + struct.pack(">I", flags) + new_file_attributes(mode)
        )

    def open_to_resume(self, path: str) -> bytes:
        """A handle of an existing file, to write on at any offset."""
        body = string(path.encode()) + struct.pack(">I", OpenFlag.WRITE) + no_attributes()
        return self.finish_open(self._submit(Kind.OPEN, body))

    def write_and_close(self, handle: bytes, offset: int, blocks: Iterable[bytes]) -> int:
        """Write ``blocks`` from ``offset`` on, flush, close; returns where the file then ends.

        When it returns, every single answer was OK. When it raises, the handle is closed or the
        window unusable. An error raised by ``blocks`` passes through.
        """
        pace = self._writing
        pace.begin()
        under_way: deque[tuple[int, int]] = deque()
        in_flight = 0
        unflushed = 0
        position = offset
        try:
            for piece in _pieces(blocks, lambda: pace.request_bytes(self.write_bytes)):
                while in_flight and in_flight + len(piece) > pace.window_bytes:
                    request, length = under_way.popleft()
                    in_flight -= length
                    self._finish(request)
                    pace.answered(length)
                body = string(handle) + struct.pack(">QI", position, len(piece))
                under_way.append((self._submit(Kind.WRITE, body, piece), len(piece)))
                in_flight += len(piece)
                position += len(piece)
                unflushed += len(piece)
                if unflushed >= _FLUSH_EVERY_BYTES:
                    under_way.extend((request, 0) for request in self._submit_flush(handle))
                    unflushed = 0
            under_way.extend((request, 0) for request in self._submit_flush(handle))
            close, handle = self._submit(Kind.CLOSE, string(handle)), b""
            under_way.append((close, 0))
            while under_way:
                self._finish(under_way.popleft()[0])
        finally:
            self._abandon(request for request, _ in under_way)
            if handle:
                self.close_quietly(handle)
        return position

    def _submit_flush(self, handle: bytes) -> list[int]:
        if _FSYNC not in self._extensions:
            return []
        return [self._submit(Kind.EXTENDED, string(_FSYNC) + string(handle))]

    # --- closing -------------------------------------------------------------------------------

    def start_close(self, handle: bytes) -> int:
        """Send the closing; ``finish_close`` takes the answer."""
        return self._submit(Kind.CLOSE, string(handle))

    def finish_close(self, request: int) -> None:
        """The server let go of the handle."""
        self._finish(request)

    def close_quietly(self, handle: bytes) -> None:
        """Close without awaiting the answer: for handles whose bytes do not matter any more."""
        if self._usable:
            self._abandon([self._submit(Kind.CLOSE, string(handle))])


def _pieces(blocks: Iterable[bytes], size: Callable[[], int]) -> Iterator[bytes]:
    """The same bytes in pieces of ``size()`` each, but for the last. Asked anew for each piece."""
    rest = bytearray()
    for block in blocks:
        if not rest and len(block) == size():
            yield block
            continue
        rest += block
        while len(rest) >= (length := size()):
            with memoryview(rest) as view:
                piece = view[:length].tobytes()
            del rest[:length]
            yield piece
    if rest:
        yield bytes(rest)
