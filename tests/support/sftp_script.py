"""An SFTP server in memory whose answers a test can bend: the other end of an ``SftpWindow``.

It speaks honest SFTP version 3 over one folder of files until told otherwise.
"""

from __future__ import annotations

import stat
import struct
from collections import deque
from collections.abc import Callable

from exchanged.errors import TransportError
from exchanged.sftp_protocol import Kind, Reader, Status, string

Answer = tuple[int, bytes]
# What a FIFO that nobody rings answers.
SILENT: Answer = (-1, b"")
EXTENSIONS = {
    b"posix-rename@openssh.com": b"1",
    b"fsync@openssh.com": b"1",
    b"limits@openssh.com": b"1",
    b"statvfs@openssh.com": b"2",
}


class ScriptedServer:
    """A ``ByteChannel``. ``bend`` may replace the answer to any request (None: leave it)."""

    def __init__(
        self,
        bend: Callable[[int, Reader], Answer | None] = lambda _kind, _reader: None,
        *,
        extensions: dict[bytes, bytes] | None = None,
        version: int = 3,
        in_step: bool = True,
    ) -> None:
        self.files: dict[bytes, bytearray] = {}
        self.requests: list[int] = []
        self.endless: list[bool] = []
        self.is_open = True
        self.free_bytes = 10**9
        self._bend = bend
        self._extensions = EXTENSIONS if extensions is None else extensions
        self._version = version
        self._in_step = in_step
        self._incoming = bytearray()
        self._answers: deque[bytes] = deque()
        self._handles: dict[bytes, bytes] = {}
        self._listed = False

    # --- the channel ---

    def send(self, data: bytes) -> None:
        if not self.is_open:
            raise TransportError("the scripted channel is closed")
        self._incoming += data
        while len(self._incoming) >= 4:
            length = int.from_bytes(self._incoming[:4], "big")
            if len(self._incoming) < 4 + length:
                return
            packet = bytes(self._incoming[4 : 4 + length])
            del self._incoming[: 4 + length]
            self._take(packet)

    def receive(self, size_bytes: int) -> bytes:
        if not self.is_open or not self._answers:
            raise TransportError("the scripted server says nothing more")
        # Out of step, the answer to the last request comes first.
        packet = self._answers.popleft() if self._in_step else self._answers.pop()
        if len(packet) > size_bytes:
            self._answers.appendleft(packet[size_bytes:])
        return packet[:size_bytes]

    def set_endless(self) -> None:
        self.endless.append(True)

    def set_limited(self) -> None:
        self.endless.append(False)

    def close(self) -> None:
        self.is_open = False

    # --- the server ---

    def answer_raw(self, packet: bytes) -> None:
        """Send these very bytes next."""
        self._answers.append(packet)

    def _take(self, packet: bytes) -> None:
        kind = packet[0]
        if kind == Kind.INIT:
            pairs = b"".join(string(name) + string(value) for name, value in self._extensions.items())
            self._send(bytes([Kind.VERSION]) + struct.pack(">I", self._version) + pairs)
            return
        self.requests.append(kind)
        answer = self._bend(kind, Reader(packet, 5)) or self._serve(kind, Reader(packet, 5))
        if answer == SILENT:
            return
        self._send(bytes([answer[0]]) + packet[1:5] + answer[1])

    def _send(self, packet: bytes) -> None:
        self._answers.append(struct.pack(">I", len(packet)) + packet)

    def _serve(self, kind: int, reader: Reader) -> Answer:  # noqa: PLR0911 - a table of verbs
        argument = reader.string()
        match kind:
            case Kind.OPEN:
                flags = reader.uint32()
                if argument not in self.files and not flags & 0x08:
                    return status(Status.NO_SUCH_FILE)
                if argument in self.files and flags & 0x20:
                    return status(Status.FAILURE)
                self.files.setdefault(argument, bytearray())
                return self._handle(argument)
            case Kind.OPENDIR:
                self._listed = False
                return self._handle(b"/")
            case Kind.READDIR:
                if self._listed:
                    return status(Status.EOF)
                self._listed = True
                return names([(b".", 0o40755, 0), *((n, 0o100640, len(c)) for n, c in self.files.items())])
            case Kind.READ:
                content = self.files[self._handles[argument]]
                offset, length = reader.uint64(), reader.uint32()
                block = bytes(content[offset : offset + length])
                return (Kind.DATA, string(block)) if block else status(Status.EOF)
            case Kind.WRITE:
                content = self.files[self._handles[argument]]
                offset, block = reader.uint64(), reader.string()
                content[offset : offset + len(block)] = block
                return status(Status.OK)
            case Kind.LSTAT | Kind.FSTAT:
                found = self.files.get(self._handles.get(argument, argument))
                if found is None:
                    return status(Status.NO_SUCH_FILE)
                return Kind.ATTRS, attributes(stat.S_IFREG | 0o640, len(found))
            case Kind.REMOVE:
                gone = self.files.pop(argument, None)
                return status(Status.OK if gone is not None else Status.NO_SUCH_FILE)
            case Kind.CLOSE:
                del self._handles[argument]
                return status(Status.OK)
            case Kind.EXTENDED:
                return self._extended(argument, reader)
        return status(Status.OP_UNSUPPORTED)

    def _extended(self, name: bytes, reader: Reader) -> Answer:
        match name:
            case b"posix-rename@openssh.com":
                source, target = reader.string(), reader.string()
                if source not in self.files:
                    return status(Status.NO_SUCH_FILE)
                self.files[target] = self.files.pop(source)
                return status(Status.OK)
            case b"limits@openssh.com":
                return Kind.EXTENDED_REPLY, struct.pack(">QQQQ", 262144, 261120, 261120, 0)
            case b"statvfs@openssh.com":
                numbers = (4096, 1, 0, 0, self.free_bytes, 100, 0, 50, 0, 0, 255)
                return Kind.EXTENDED_REPLY, struct.pack(">11Q", *numbers)
        return status(Status.OK)

    def _handle(self, path: bytes) -> Answer:
        handle = b"handle %d" % len(self._handles)
        self._handles[handle] = path
        return Kind.HANDLE, string(handle)

    @property
    def open_handles(self) -> int:
        """How many handles were opened and not closed."""
        return len(self._handles)


def status(code: int, text: bytes = b"") -> Answer:
    """A STATUS answer."""
    return Kind.STATUS, struct.pack(">I", code) + string(text) + string(b"")


def attributes(mode: int, size: int) -> bytes:
    """Size, owner, mode and times, as OpenSSH sends them."""
    return struct.pack(">IQIIIII", 0x0F, size, 0, 0, mode, 0, 0)


def names(entries: list[tuple[bytes, int, int]]) -> Answer:
    """A NAME answer of (name, mode, size)."""
    body = struct.pack(">I", len(entries))
    for name, mode, size in entries:
        body += string(name) + string(b"long form") + attributes(mode, size)
    return Kind.NAME, body
