"""The packets of one SFTP session: requests sent, answers matched to them, nonsense noticed.

Guarantees: every failure is a ``TransportError``; after a broken channel or a malformed answer the session is
unusable and says so (``usable``), after a refusal (``RemoteRefusedError``) it goes on. Requests may be sent
without awaiting the answers before; a server answers when it likes. Left to others: what is asked for
(``exchanged.sftp_window``), the channel (``exchanged.sftp_connection``). Used by one thread at a time. Known
limit: only OpenSSH's way of atomic rename is spoken; a server without ``posix-rename@openssh.com`` is refused
at the start.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from exchanged.errors import RemoteRefusedError, TransportError, TransportFileError
from exchanged.sftp_protocol import (
    PACKET_BYTES,
    PROTOCOL_VERSION,
    Attributes,
    Kind,
    Reader,
    Status,
    init_packet,
    malformed,
    request_head,
    string,
)

# Requests of the largest size that OpenSSH takes, and what holds without limits@openssh.com.
LARGEST_REQUEST_BYTES: Final = 255 * 1024
_SAFE_REQUEST_BYTES: Final = 32 * 1024
_RECEIVE_BYTES: Final = 256 * 1024
POSIX_RENAME: Final = b"posix-rename@openssh.com"
_LIMITS: Final = b"limits@openssh.com"
_UNSAFE: Final = re.compile(r"[^ -~]")
_SHOWN_BYTES: Final = 100
# Where a packet's own fields begin, behind its type and the number of its request.
_BODY: Final = 5


class ByteChannel(Protocol):
    """A two-way stream of bytes whose every failure is a TransportError."""

    @property
    def is_open(self) -> bool:
        """False once either side closed it."""

    def send(self, data: bytes) -> None:
        """Send all. Raises TransportError, also when nothing moves for the channel's time-out."""

    def receive(self, size_bytes: int) -> bytes:
        """At least one byte, at most ``size_bytes``. Raises TransportError at the end and as above."""

    def set_endless(self) -> None:
        """Receive without a time-out from now on."""

    def set_limited(self) -> None:
        """Receive with the channel's time-out again."""

    def close(self) -> None:
        """Let go; again is fine."""


class SftpSession:
    """One SFTP session on one channel. The constructor does the greeting (raises TransportError)."""

    def __init__(self, channel: ByteChannel) -> None:
        self._channel = channel
        self._received = bytearray()
        self._request = 0
        self._waiting: dict[int, bool] = {}
        self._answers: dict[int, bytes] = {}
        self._usable = True
        self.read_bytes = _SAFE_REQUEST_BYTES
        self.write_bytes = _SAFE_REQUEST_BYTES
        self._extensions = self._greet()
        if POSIX_RENAME not in self._extensions:
            self.close()
            raise TransportError(
                "the SFTP server cannot replace a file atomically",
                expected="posix-rename@openssh.com",
                found="not offered",
                hint="the serving side must run OpenSSH internal-sftp",
            )
        if _LIMITS in self._extensions:
            self._ask_limits()

    @property
    def usable(self) -> bool:
        """False once the channel broke or the server spoke nonsense: open another one."""
        return self._usable and self._channel.is_open

    def close(self) -> None:
        """Let go of the channel; again is fine."""
        self._usable = False
        self._channel.close()

    def _greet(self) -> dict[bytes, bytes]:
        self._send(init_packet())
        reader = self._expect(Kind.VERSION, self._receive_packet(), position=1)
        with self._parsing():
            version = reader.uint32()
            if version != PROTOCOL_VERSION:
                raise malformed(f"protocol version {version}")
            return reader.extensions()

    def _ask_limits(self) -> None:
        packet = self._answer(self._submit(Kind.EXTENDED, string(_LIMITS)))
        reader = self._expect(Kind.EXTENDED_REPLY, packet)
        with self._parsing():
            _, read_bytes, write_bytes = reader.uint64(), reader.uint64(), reader.uint64()
        # Zero means that the server sets no limit of its own.
        self.read_bytes = min(read_bytes or LARGEST_REQUEST_BYTES, LARGEST_REQUEST_BYTES)
        self.write_bytes = min(write_bytes or LARGEST_REQUEST_BYTES, LARGEST_REQUEST_BYTES)

    def _submit(self, kind: Kind, body: bytes, tail: bytes = b"") -> int:
        self._request = (self._request + 1) & 0xFFFFFFFF
        self._send(request_head(kind, self._request, len(body) + len(tail)) + body + tail)
        self._waiting[self._request] = True
        return self._request

    def _submit_read(self, handle: bytes, offset: int, length: int) -> int:
        return self._submit(Kind.READ, string(handle) + struct.pack(">QI", offset, length))

    def _answer(self, request: int) -> bytes:
        """The packet that answers ``request``; answers to others that come before it are kept."""
        while request not in self._answers:
            packet = self._receive_packet()
            number = int.from_bytes(packet[1:5], "big")
            wanted = self._waiting.pop(number, None)
            if wanted is None:
                raise self._broken(malformed("an answer that nobody asked for"))
            if wanted:
                self._answers[number] = packet
        return self._answers.pop(request)

    def _abandon(self, requests: Iterable[int]) -> None:
        """The answers to these do not matter any more: drop them when they come."""
        for request in requests:
            if self._answers.pop(request, None) is None and request in self._waiting:
                self._waiting[request] = False

    def _attributes(self, request: int) -> Attributes:
        reader = self._expect(Kind.ATTRS, self._answer(request))
        with self._parsing():
            return reader.attributes()

    def _data(self, request: int, length: int) -> bytes:
        packet = self._answer(request)
        if packet[0] == Kind.STATUS and self._status(packet) == Status.EOF:
            raise TransportFileError("a file ended before its stated size")
        reader = self._expect(Kind.DATA, packet)
        with self._parsing():
            block = reader.string()
            if not 0 < len(block) <= length:
                raise malformed("a block of impossible length")
        return block

    def _finish(self, request: int, allow: Status = Status.OK) -> int:
        """The status that answers ``request``: OK or ``allow``. Raises RemoteRefusedError for others."""
        packet = self._answer(request)
        if packet[0] != Kind.STATUS:
            raise self._broken(malformed(f"packet type {packet[0]} instead of a status"))
        code = self._status(packet)
        if code not in {Status.OK, allow}:
            raise self._refusal(packet)
        return code

    def _status(self, packet: bytes) -> int:
        with self._parsing():
            return Reader(packet, _BODY).uint32()

    def _refusal(self, packet: bytes) -> TransportError:
        code = self._status(packet)
        if code == Status.OK:
            return self._broken(malformed("a success where an answer was asked for"))
        # Servers may leave the text out; it is outside text, so only plain characters of it are shown.
        text = packet[_BODY + 8 : _BODY + 8 + _SHOWN_BYTES].decode("ascii", "replace")
        reader = Reader(packet, _BODY + 4)
        if reader.rest_bytes >= 4:
            text = text[: reader.uint32()]
        return RemoteRefusedError(
            "the server refuses an operation", code=code, found=_UNSAFE.sub("?", text) or f"status {code}"
        )

    def _expect(self, kind: Kind, packet: bytes, position: int = _BODY) -> Reader:
        if packet[0] == kind:
            return Reader(packet, position)
        if packet[0] == Kind.STATUS and position == _BODY:
            raise self._refusal(packet)
        raise self._broken(malformed(f"packet type {packet[0]} instead of {kind.value}"))

    def _receive_packet(self) -> bytes:
        """The next packet without its length: type, number, body. At least five bytes."""
        length = int.from_bytes(self._take(4), "big")
        if not _BODY <= length <= PACKET_BYTES:
            raise self._broken(malformed(f"a packet of {length} bytes"))
        return self._take(length)

    def _take(self, size: int) -> bytes:
        received = self._received
        while len(received) < size:
            try:
                received += self._channel.receive(_RECEIVE_BYTES)
            except TransportError:
                self._usable = False
                raise
        with memoryview(received) as view:
            taken = view[:size].tobytes()
        del received[:size]
        return taken

    def _send(self, packet: bytes) -> None:
        if not self._usable:
            raise TransportError("the SFTP session is over")
        try:
            self._channel.send(packet)
        except TransportError:
            self._usable = False
            raise

    @contextmanager
    def _parsing(self) -> Iterator[None]:
        """A malformed answer breaks the session: what follows it cannot be trusted to be in step."""
        try:
            yield
        except TransportError as error:
            raise self._broken(error) from None

    def _broken(self, error: TransportError) -> TransportError:
        self._usable = False
        return error
