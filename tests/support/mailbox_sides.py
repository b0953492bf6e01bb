"""Each transport with the mailbox behind it as the other side sees it: for the contract of transports."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from exchanged.durable import DurableFiles, Volume
from exchanged.folder_transport import FolderTransport
from exchanged.mailbox import Direction
from exchanged.sftp_connection import SftpConnection
from exchanged.sftp_transport import SftpTransport
from exchanged.transport import Transport
from tests.support.sftp_server import SftpServer
from tests.support.transports import MemoryMailbox, MemoryTransport, digest_of

BATCH = "00000001-0123456789abcdef.batch"
CONTENT = b"a batch" * 50_000
BLOB_CONTENT = bytes(range(256)) * 4_000
BLOB = f"{digest_of(BLOB_CONTENT)}.blob"
SPOOL = DurableFiles(Volume.OWN)
LIMIT = 64 * 1024 * 1024


class Side(ABC):
    """A transport under test, and the mailbox behind it as the other side sees it."""

    transport: Transport

    @abstractmethod
    def sees(self) -> dict[str, bytes]:
        """What lies in the outgoing direction, temporary names included."""

    @abstractmethod
    def leaves(self, name: str, content: bytes) -> None:
        """Put a file into the incoming direction."""

    @abstractmethod
    def left_behind(self, name: str, content: bytes) -> None:
        """Put a file into the outgoing direction, as an earlier attempt would have."""

    @abstractmethod
    def vanish(self) -> None:
        """Take the mailbox away, as a lost mount does."""

    @abstractmethod
    def with_scan_of(self, names: int) -> Transport:
        """A transport that reads at most so many names."""


class MemorySide(Side):
    def __init__(self) -> None:
        self.mailbox = MemoryMailbox()
        self.transport = self.with_scan_of(1_000)

    def sees(self) -> dict[str, bytes]:
        return dict(self.mailbox.files[Direction.UP])

    def leaves(self, name: str, content: bytes) -> None:
        self.mailbox.files[Direction.DOWN][name] = content

    def left_behind(self, name: str, content: bytes) -> None:
        self.mailbox.files[Direction.UP][name] = content

    def vanish(self) -> None:
        self.mailbox.is_there = False

    def with_scan_of(self, names: int) -> Transport:
        return MemoryTransport(self.mailbox, outgoing=Direction.UP, durable=SPOOL, scan_names=names)


class DiskSide(Side):
    """A mailbox in the file system, reached in any way."""

    def __init__(self, mailbox: Path, outgoing: Direction) -> None:
        self.mailbox = mailbox
        self.outgoing = mailbox / outgoing.value
        self.incoming = mailbox / outgoing.opposite.value

    def sees(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.outgoing.iterdir()}

    def leaves(self, name: str, content: bytes) -> None:
        (self.incoming / name).write_bytes(content)

    def left_behind(self, name: str, content: bytes) -> None:
        (self.outgoing / name).write_bytes(content)

    def vanish(self) -> None:
        shutil.rmtree(self.mailbox)

    @abstractmethod
    def with_clock(self, monotonic: Callable[[], float]) -> Transport:
        """A transport that measures the turns of blobs by this."""


class FolderSide(DiskSide):
    def __init__(self, mailbox: Path, outgoing: Direction) -> None:
        super().__init__(mailbox, outgoing)
        self._direction = outgoing
        self.transport = self.with_scan_of(1_000)

    def with_clock(self, monotonic: Callable[[], float]) -> Transport:
        return FolderTransport(self.mailbox, outgoing=self._direction, durable=SPOOL, monotonic=monotonic)

    def with_scan_of(self, names: int) -> Transport:
        return FolderTransport(self.mailbox, outgoing=self._direction, durable=SPOOL, scan_names=names)


class SftpSide(DiskSide):
    def __init__(self, server: SftpServer, connection: SftpConnection) -> None:
        super().__init__(server.mailbox, Direction.UP)
        self._connection = connection
        self.transport = self.with_scan_of(1_000)

    def with_clock(self, monotonic: Callable[[], float]) -> Transport:
        return SftpTransport(self._connection, SPOOL, monotonic=monotonic)

    def with_scan_of(self, names: int) -> Transport:
        return SftpTransport(self._connection, SPOOL, scan_names=names)
