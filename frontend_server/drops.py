"""Read a drop: its packet.xml and the files beside it, each through one descriptor (C3).

Guarantees: a file is opened once, without following and without blocking, and must be the plain file
that was observed; what is read is whole and was not touched between first and last byte, or
``DropChangedError`` is raised. Sizes are capped before bytes are held in memory. What merely cannot be opened
or read now is a ``ForeignVolumeError``: it says nothing about the drop.

Leaves to others: zip drops (``zip_drop``, behind the same ``DropSource``), what the files must be
(``completeness``), where copies go (``copying``). Known limit: a change that leaves size, mtime and
ctime alone is not seen here; it shows in the digests that packet.xml lists.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from exchanged.errors import ForeignVolumeError, TransportFileError
from exchanged.mailbox import open_foreign
from frontend_server.outbox import PACKET_XML, Observation, SeenFile
from packet_spec.errors import ExchangeError
from packet_spec.findings import Finding
from packet_spec.limits import KIB, PACKET_XML_BYTES
from packet_spec.travelling import travels_by_values
from packet_spec.xml_findings import xml_finding

_BLOCK: Final = 1024 * KIB
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# So the system answers where something else lies under a name by now, or nothing.
_CHANGED: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})


class DropChangedError(ExchangeError):
    """The files of a drop changed or went away while they were read: look again later."""

    reference = "drop-changed"
    temporary = True


class DropRefusedError(ExchangeError):
    """The drop as a whole cannot be taken; ``findings`` say why. ``cut``: it may just not be whole yet."""

    reference = "drop-refused"

    def __init__(self, *findings: Finding, cut: bool = False) -> None:
        super().__init__("a drop is refused", found=", ".join(finding.code for finding in findings))
        self.findings = findings
        self.cut = cut


@travels_by_values
@dataclass(frozen=True, slots=True)
class Member:
    """A file beside packet.xml: its name as the case software wrote it, and its size in bytes."""

    name: bytes
    size: int


class DropSource(Protocol):
    """The content of one drop. Each member is read at most once."""

    @property
    def members(self) -> tuple[Member, ...]:
        """Every file beside packet.xml, in the order of the container."""

    def packet_xml(self) -> bytes:
        """The bytes of packet.xml. Raises DropChangedError, DropRefusedError, ForeignVolumeError."""

    def blocks(self, index: int) -> Iterator[bytes]:
        """The bytes of ``members[index]``. Raises as ``packet_xml``, at the latest after the last block."""

    def close(self) -> None:
        """Let go of every descriptor."""


class OpenFile:
    """One plain file behind its one descriptor.

    Raises DropChangedError when it is not the one seen, ForeignVolumeError when it cannot be opened.
    """

    def __init__(self, folder: int, seen: SeenFile) -> None:
        self.size = seen.size
        try:
            self._descriptor = open_foreign(folder, os.fsdecode(seen.name))
        except TransportFileError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno not in _CHANGED:
                raise ForeignVolumeError("a file of a drop cannot be opened", found=error.found) from error
            raise DropChangedError("a file of a drop is no longer what it was", found=error.found) from error
        try:
            self._before = _look_at(self._descriptor)
            if _numbers(self._before) != (seen.device, seen.inode, seen.size, seen.mtime):
                raise DropChangedError("a file of a drop is no longer the one that was seen")
        except BaseException:
            self.close()
            raise

    def read_at(self, offset: int, size: int) -> bytes:
        """Exactly ``size`` bytes at ``offset``. Raises DropChangedError when there are fewer."""
        pieces: list[bytes] = []
        while size > 0:
            try:
                block = os.pread(self._descriptor, min(size, _BLOCK), offset)
            except OSError as error:
                raise ForeignVolumeError("a drop cannot be read", found=error.strerror or "") from error
            if not block:
                raise DropChangedError("a file of a drop became shorter while it was read")
            pieces.append(block)
            offset += len(block)
            size -= len(block)
        return b"".join(pieces)

    def blocks(self) -> Iterator[bytes]:
        """The whole file; after the last block it must be untouched."""
        for offset in range(0, self.size, _BLOCK):
            yield self.read_at(offset, min(_BLOCK, self.size - offset))
        self.require_untouched()

    def require_untouched(self) -> None:
        """Nothing was written since it was opened. Raises DropChangedError."""
        after = _look_at(self._descriptor)
        if (*_numbers(after), after.st_ctime_ns) != (*_numbers(self._before), self._before.st_ctime_ns):
            raise DropChangedError("a file of a drop was written while it was read")

    def close(self) -> None:
        """Let go of the descriptor; again is fine."""
        descriptor, self._descriptor = self._descriptor, -1
        _close(descriptor)


class FolderSource:
    """A folder drop: ``packet.xml`` and the listed files beside it."""

    def __init__(self, outbox: int, observation: Observation) -> None:
        packet_xml = observation.file(PACKET_XML)
        if packet_xml is None:
            raise DropChangedError("packet.xml is gone")
        self._packet_xml = packet_xml
        self._files = tuple(file for file in observation.files if file.name != PACKET_XML)
        try:
            self._folder = os.open(observation.name, _FOLDER, dir_fd=outbox)
        except OSError as error:
            if error.errno not in _CHANGED:
                raise ForeignVolumeError("a drop cannot be opened", found=error.strerror or "") from error
            raise DropChangedError("a drop is no longer a folder", found=error.strerror or "") from error
        try:
            found = _look_at(self._folder)
            if (found.st_dev, found.st_ino) != (observation.device, observation.inode):
                raise DropChangedError("a drop is another folder now")
        except BaseException:
            self.close()
            raise

    @property
    def members(self) -> tuple[Member, ...]:
        """Every file of the folder but packet.xml, sorted by name."""
        return tuple(Member(file.name, file.size) for file in self._files)

    def packet_xml(self) -> bytes:
        """The bytes of packet.xml."""
        return _read_capped(self._folder, self._packet_xml)

    def blocks(self, index: int) -> Iterator[bytes]:
        """The bytes of one file."""
        file = OpenFile(self._folder, self._files[index])
        try:
            yield from file.blocks()
        finally:
            file.close()

    def close(self) -> None:
        """Let go of the folder."""
        descriptor, self._folder = self._folder, -1
        _close(descriptor)


class LoneXmlSource:
    """A lone XML: a packet without attachments, or a disposition."""

    members: tuple[Member, ...] = ()

    def __init__(self, outbox: int, observation: Observation) -> None:
        self._outbox = outbox
        self._file = observation.files[0]

    def packet_xml(self) -> bytes:
        """The bytes of the file."""
        return _read_capped(self._outbox, self._file)

    def blocks(self, index: int) -> Iterator[bytes]:
        """There are no members."""
        raise IndexError(index)

    def close(self) -> None:
        """Nothing is held open."""


def check_packet_xml_size(size: int) -> None:
    """Refuse a packet.xml that is too large before it is read. Raises DropRefusedError."""
    if size > PACKET_XML_BYTES:
        raise DropRefusedError(
            xml_finding("too-large", expected=f"{PACKET_XML_BYTES} bytes", found=f"{size} bytes")
        )


def _read_capped(folder: int, seen: SeenFile) -> bytes:
    check_packet_xml_size(seen.size)
    file = OpenFile(folder, seen)
    try:
        return b"".join(file.blocks())
    finally:
        file.close()


def _look_at(descriptor: int) -> os.stat_result:
    try:
        return os.fstat(descriptor)
    except OSError as error:
        # A share that went away answers like this even for what is open.
        raise ForeignVolumeError("a drop cannot be looked at", found=error.strerror or "") from error


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        # Only read from: what a lost share says on closing changes nothing.
        with suppress(OSError):
            os.close(descriptor)


def _numbers(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
