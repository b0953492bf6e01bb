"""A mailbox on an SFTP server: the dialling side of a link. Writes ``up/``, reads ``down/``.

Guarantees: the contract of ``exchanged.transport``. A file grows as ``.<name>.part``; only after
every write, the flush and the closing were acknowledged is it renamed, atomically, to its name. A
blob resumes its partial file by size; everything else begins anew in a new file. Nothing is opened
for reading on the server before it was seen to be a plain file, in the last listing or by itself, so a
FIFO cannot hold the session. Requests that need nothing of each other's answers go together.

Connections stay open while they work. One that broke fails the operation under way with
``TransportError`` and is made anew by the next. Left to others: when to try again
(``exchanged.retry``), and whether the bytes are right (digests and signatures). Known limits: one
operation at a time, so large blobs want a transport of their own beside the one for batches; SFTP
cannot sync the server's folder after the rename, which is one more reason why only the
acknowledgement is custody (C5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from exchanged.blob_turn import Turn
from exchanged.clock import SystemClock
from exchanged.durable import DurableFiles
from exchanged.errors import MailboxFullError, RemoteRefusedError, TransportError, TransportFileError
from exchanged.folder_transport import resume_offset
from exchanged.mailbox import (
    SCAN_NAMES,
    Direction,
    MailboxKind,
    StrangersTold,
    classify,
    growing_name,
    partial_name,
    require_known,
    sort_files,
)
from exchanged.sftp_connection import SftpConnection, SftpSettings
from exchanged.sftp_protocol import Attributes, RemoteEntry, Status
from exchanged.sftp_window import SftpWindow
from exchanged.transport import Fetched, Listing, MailboxFile, Source

_MODE: Final = 0o640
# A volume needs a little more than the bytes of a file.
_SLACK_BYTES: Final = 64 * 1024
_MONOTONIC: Final = SystemClock().monotonic


class SftpTransport:
    """The ``Transport`` of one mailbox on an SFTP server.

    Given settings, it has a connection of its own; given an ``SftpConnection``, it shares that one
    and leaves closing it to its owner. ``durable`` belongs to the volume that takes fetched files.
    ``monotonic`` measures the turns of blobs.
    """

    def __init__(
        self,
        server: SftpSettings | SftpConnection,
        durable: DurableFiles,
        *,
        scan_names: int = SCAN_NAMES,
        monotonic: Callable[[], float] = _MONOTONIC,
    ) -> None:
        self._owns_connection = isinstance(server, SftpSettings)
        self._connection = SftpConnection(server) if isinstance(server, SftpSettings) else server
        self._durable = durable
        self._scan_names = scan_names
        self._monotonic = monotonic
        self._strangers = StrangersTold()
        self._window: SftpWindow | None = None
        # Name -> size of what the last listing of down/ showed and nobody has fetched since.
        self._listed: dict[str, int] = {}

    def list_names(self) -> Listing:
        """The incoming direction ``down/``. Raises TransportError."""
        self._listed.clear()
        listing = self._list(Direction.DOWN)
        self._listed.update((file.name, file.size) for file in listing.files)
        self._strangers.look(f"{self._connection.settings.host}:{self._path(Direction.DOWN)}", listing)
        return listing

    def list_own(self) -> Listing:
        """The outgoing direction ``up/``. Raises TransportError."""
        return self._list(Direction.UP)

    def fetch(self, name: str, target: Path, *, limit_bytes: int) -> Fetched:
        """Copy ``down/<name>`` to ``target``, flushed; a blob resumes what ``target`` holds, in turns.

        Raises TransportFileError for what is missing, no plain file, or over ``limit_bytes``.
        """
        known = require_known(name)
        path = self._path(Direction.DOWN, name)
        with self._session() as window, _refused_file():
            # Looked at before it is opened: opening a FIFO would block the session (C7). A plain file of the
            # last listing was looked at just now.
            size = self._listed.pop(name, None)
            if size is None:
                size = self._check(window.lstat(path), limit_bytes)
            handle = window.open_to_read(path)
            try:
                # Looked at again: an acknowledgement may have been replaced in between.
                if known.kind is not MailboxKind.BLOB:
                    found, first = window.fstat_and_read(handle, size)
                    blocks = _all(window, handle, first, self._check(found, limit_bytes))
                    flush = known.kind is not MailboxKind.ACKNOWLEDGEMENT
                    return self._durable.copy_blocks(target, blocks, limit_bytes=limit_bytes, flush=flush)
                size = self._check(window.fstat(handle), limit_bytes)
                offset = resume_offset(target, size)
                blocks = window.read_blocks(handle, offset, size)
                turn = Turn(blocks, self._monotonic)
                copied = self._durable.copy_blocks(
                    target, turn.blocks(), limit_bytes=limit_bytes, offset=offset
                )
                return replace(copied, whole=not (turn.is_over and copied.size < size))
            finally:
                window.close_quietly(handle)

    def put(self, name: str, source: Source) -> bool:
        """Make ``source`` visible as ``up/<name>``; a blob resumes a partial of an earlier put, in turns.

        Raises MailboxFullError when the server's volume is full, TransportError otherwise; then no new
        file is visible and an older one of that name is untouched.
        """
        known = require_known(name)
        partial = self._path(Direction.UP, partial_name(name))
        with self._session() as window:
            try:
                if known.kind is MailboxKind.BLOB:
                    handle, offset = _resume(window, partial, source.size)
                else:
                    handle, offset = _begin(window, partial), 0
                turn = Turn(source.blocks(offset), self._monotonic)
                whole = turn.blocks() if known.kind is MailboxKind.BLOB else source.blocks(offset)
                end = window.write_and_close(handle, offset, whole)
            except RemoteRefusedError as error:
                # After a refused write the partial may have a hole: it cannot be built on.
                with suppress(TransportError):
                    window.remove(partial)
                raise self._told_by_volume(window, error, source.size) from error
            if turn.is_over and end < source.size:
                return False
            if end != source.size:
                window.remove(partial)
                raise TransportError(
                    "the bytes to put do not match their stated size",
                    expected=f"{source.size} bytes",
                    found=f"{end} bytes",
                )
            window.rename(partial, self._path(Direction.UP, name))
        return True

    def remove_own(self, name: str) -> None:
        """Remove ``up/<name>``; missing is fine, a missing mailbox is TransportError."""
        self._remove(require_known(name).name)

    def discard_partial(self, name: str) -> None:
        """Remove what an interrupted put of ``name`` left in ``up/``; missing is fine."""
        self._remove(partial_name(require_known(name).name))

    def ring(self) -> bool:
        """The bell belongs to the serving side: always False (C7)."""
        return False

    def close(self) -> None:
        """End the session, and the connection if it is this transport's own.

        May be called from another thread to break off what is under way with TransportError.
        """
        window = self._window
        if window is not None:
            window.close()
        if self._owns_connection:
            self._connection.close()

    def _list(self, direction: Direction) -> Listing:
        with self._session() as window:
            entries, truncated = window.list_folder(self._path(direction), self._scan_names)
        files = [file for file in map(_known_file, entries) if file is not None]
        growing = sorted(filter(None, map(_growing_file, entries)))
        return Listing(sort_files(files), len(entries) - len(files), truncated, growing=tuple(growing))

    def _remove(self, name: str) -> None:
        with self._session() as window:
            if window.remove(self._path(Direction.UP, name)):
                return
            # Missing is fine only in a mailbox that is there.
            folder = window.lstat(self._path(Direction.UP))
            if folder is None or not folder.is_folder:
                raise TransportError("the mailbox is not there", where=self._path(Direction.UP))

    def _check(self, found: Attributes | None, limit_bytes: int) -> int:
        """The size of a plain file that is not too large."""
        if found is None:
            raise TransportFileError("a file cannot be opened", found="missing")
        if not found.is_plain_file or found.size is None:
            raise TransportFileError("not a plain file", expected="a plain file", found="something else")
        if found.size > limit_bytes:
            raise TransportFileError(
                "a file is larger than it may be",
                expected=f"at most {limit_bytes} bytes",
                found=f"{found.size} bytes",
            )
        return found.size

    def _told_by_volume(self, window: SftpWindow, error: RemoteRefusedError, size: int) -> TransportError:
        """SFTP version 3 says only "Failure" when a disk is full: ask the volume."""
        if error.code != Status.FAILURE:
            return error
        with suppress(TransportError):
            free = window.free_space(self._path(Direction.UP))
            if free is not None and (free.files == 0 or free.size_bytes < size + _SLACK_BYTES):
                return MailboxFullError(
                    "the server's volume is full",
                    where=self._connection.settings.host,
                    expected=f"room for {size} bytes",
                    found=f"{free.size_bytes} bytes, {free.files} files",
                )
        return error

    def _path(self, direction: Direction, name: str = "") -> str:
        mailbox = self._connection.settings.mailbox.rstrip("/")
        folder = f"{mailbox}/{direction.value}"
        return f"{folder}/{name}" if name else folder

    @contextmanager
    def _session(self) -> Iterator[SftpWindow]:
        """A usable session; what breaks in it is closed, so that the next use begins anew."""
        window = self._window
        if window is None or not window.usable:
            window = self._window = self._connection.open_window()
        try:
            yield window
        finally:
            if not window.usable:
                self._listed.clear()
                # Whether only the session or the whole connection broke cannot be told from here.
                self._window = None
                window.close()
                self._connection.drop()


@contextmanager
def _refused_file() -> Iterator[None]:
    """A refusal while fetching speaks of this one file."""
    try:
        yield
    except RemoteRefusedError as error:
        raise TransportFileError("a file cannot be read", found=error.found) from error


def _begin(window: SftpWindow, partial: str) -> bytes:
    """A new file, even where an old partial lies: a late write of a lost session must not reach it."""
    removal = window.start_remove(partial)
    opening = window.start_open_new(partial, _MODE)
    # What could not be removed refuses the opening as well, and that answer is the one to tell.
    with suppress(RemoteRefusedError):
        window.finish_remove(removal)
    return window.finish_open(opening)


def _all(window: SftpWindow, handle: bytes, first: bytes, size: int) -> Iterator[bytes]:
    """The ``size`` bytes of an open file whose first ones were read."""
    if first[:size]:
        yield first[:size]
    yield from window.read_blocks(handle, len(first[:size]), size)


def _resume(window: SftpWindow, partial: str, size: int) -> tuple[bytes, int]:
    found = window.lstat(partial)
    if found is None or not found.is_plain_file or found.size is None or not 0 < found.size <= size:
        return _begin(window, partial), 0
    return window.open_to_resume(partial), found.size


def _growing_file(entry: RemoteEntry) -> str:
    """What grows under this name, or empty."""
    return growing_name(entry.name.decode("ascii", "replace")) if entry.attributes.is_plain_file else ""


def _known_file(entry: RemoteEntry) -> MailboxFile | None:
    try:
        name = entry.name.decode("ascii")
    except UnicodeDecodeError:
        return None
    found = entry.attributes
    if classify(name) is None or not found.is_plain_file or found.size is None:
        return None
    return MailboxFile(name, found.size, found.modified)
