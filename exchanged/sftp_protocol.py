"""SFTP version 3 as bytes: how requests are packed and answers are read.

Source: draft-ietf-secsh-filexfer-02 and the file PROTOCOL of OpenSSH for the extensions whose names
end in ``@openssh.com``. Guarantees: every field is checked against the end of its packet; what does
not fit raises ``TransportError`` and nothing is guessed. Pure: no channel, no clock, no disk.
"""

from __future__ import annotations

import stat
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from exchanged.errors import TransportError

PROTOCOL_VERSION: Final = 3
# OpenSSH limits a packet to 256 KiB; an answer that claims more is a broken or hostile server.
PACKET_BYTES: Final = 256 * 1024 + 1024
# Names in one answer: OpenSSH sends at most 100 at a time.
_NAMES: Final = 4_096
# No file system has longer ones; a packet has room for a quarter of a megabyte.
_NAME_BYTES: Final = 255
_EXTENSIONS: Final = 64


class Kind(IntEnum):
    """Packet types."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    WRITE = 6
    LSTAT = 7
    FSTAT = 8
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105
    EXTENDED = 200
    EXTENDED_REPLY = 201


class Status(IntEnum):
    """Status codes that we tell apart; a server may send others."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3
    FAILURE = 4
    OP_UNSUPPORTED = 8


class OpenFlag(IntEnum):
    """How a file is opened."""

    READ = 0x01
    WRITE = 0x02
    CREATE = 0x08
    EXCLUSIVE = 0x20


_ATTRIBUTE_SIZE: Final = 0x01
_ATTRIBUTE_OWNER: Final = 0x02
_ATTRIBUTE_MODE: Final = 0x04
_ATTRIBUTE_TIMES: Final = 0x08
_ATTRIBUTE_EXTENDED: Final = 0x80000000


@dataclass(frozen=True, slots=True)
class Attributes:
    """Size in bytes, mode and time stamp of a remote file; None where the server does not say."""

    size: int | None
    mode: int | None
    modified: float | None = None

    @property
    def is_plain_file(self) -> bool:
        """A regular file of known size."""
        return self.mode is not None and stat.S_ISREG(self.mode) and self.size is not None

    @property
    def is_fifo(self) -> bool:
        """A FIFO."""
        return self.mode is not None and stat.S_ISFIFO(self.mode)

    @property
    def is_folder(self) -> bool:
        """A folder."""
        return self.mode is not None and stat.S_ISDIR(self.mode)


@dataclass(frozen=True, slots=True)
class RemoteEntry:
    """One name in a remote folder, as the bytes that the server sent; empty where no file can have it."""

    name: bytes
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """What an unprivileged account may still use of a remote volume."""

    size_bytes: int
    files: int


class Reader:
    """Takes fields from one packet, from ``position`` on. Raises TransportError where it is too short."""

    def __init__(self, packet: bytes, position: int = 0) -> None:
        self._packet = packet
        self._position = position

    @property
    def rest_bytes(self) -> int:
        """How many bytes are left."""
        return len(self._packet) - self._position

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        if size > self.rest_bytes:
            raise malformed("a field reaches beyond its packet")
        start = self._position
        self._position = start + size
        return self._packet[start : self._position]

    def uint32(self) -> int:
        """A number of four bytes."""
        return int.from_bytes(self.take(4), "big")

    def uint64(self) -> int:
        """A number of eight bytes."""
        return int.from_bytes(self.take(8), "big")

    def string(self) -> bytes:
        """Bytes with their length before them."""
        return self.take(self.uint32())

    def attributes(self) -> Attributes:
        """File attributes; owner, access time and extensions are read over."""
        flags = self.uint32()
        size = self.uint64() if flags & _ATTRIBUTE_SIZE else None
        if flags & _ATTRIBUTE_OWNER:
            self.take(8)
        mode = self.uint32() if flags & _ATTRIBUTE_MODE else None
        modified = None
        if flags & _ATTRIBUTE_TIMES:
            self.uint32()
            modified = float(self.uint32())
        if flags & _ATTRIBUTE_EXTENDED:
            for _ in range(self._count(_EXTENSIONS)):
                self.string()
                self.string()
        return Attributes(size, mode, modified)

    def names(self) -> list[RemoteEntry]:
        """The body of a NAME answer; the long form of each name is read over.

        A name that is too long for any file is counted and not kept: who listens decides how much is kept.
        """
        entries = []
        for _ in range(self._count(_NAMES)):
            name = self.string()
            self.string()
            entries.append(RemoteEntry(name if len(name) <= _NAME_BYTES else b"", self.attributes()))
        return entries

    def extensions(self) -> dict[bytes, bytes]:
        """The pairs at the end of a VERSION answer."""
        pairs: dict[bytes, bytes] = {}
        while self.rest_bytes:
            if len(pairs) == _EXTENSIONS:
                raise malformed("too many extensions")
            name = self.string()
            pairs[name] = self.string()
        return pairs

    def free_space(self) -> FreeSpace:
        """The answer of statvfs@openssh.com."""
        _, fragment, _, _, free_blocks, files, _, free_files, *_ = (self.uint64() for _ in range(11))
        # File systems that allocate inodes as they go say 0 of 0.
        return FreeSpace(free_blocks * fragment, free_files if files else 2**32)

    def _count(self, limit: int) -> int:
        count = self.uint32()
        if count > limit:
            raise malformed("a count is beyond all reason")
        return count


def string(value: bytes) -> bytes:
    """Bytes with their length before them."""
    return struct.pack(">I", len(value)) + value


def request_head(kind: Kind, request: int, body_bytes: int) -> bytes:
    """The first nine bytes of a request: length, type and number."""
    return struct.pack(">IBI", 5 + body_bytes, kind, request)


def init_packet() -> bytes:
    """The first packet of a session."""
    return struct.pack(">IBI", 5, Kind.INIT, PROTOCOL_VERSION)


def new_file_attributes(mode: int) -> bytes:
    """Attributes of a file to be made: its mode alone."""
    return struct.pack(">II", _ATTRIBUTE_MODE, mode)


def no_attributes() -> bytes:
    """Attributes that say nothing."""
    return struct.pack(">I", 0)


def malformed(found: str) -> TransportError:
    """The error for an answer that is not SFTP version 3."""
    return TransportError("the SFTP server's answer cannot be read", found=found)
