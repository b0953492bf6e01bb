"""A mailbox that is a local folder: the serving side of an SFTP link, gap devices, shares, media.

Guarantees: the contract of ``exchanged.transport``; a mailbox whose direction folders are missing
is an error and never an empty listing; files of the other side are copied through one descriptor
after the checks of C3. The mailbox is a foreign volume, whatever it lies on: its failures take
down this link only. Fetched files go to the spool, whose failures stop the process.

Left to others: making the folders. Known limits: a share that hangs blocks the calling thread; what is there
of a blob that is fetched is hashed again at the beginning of each turn, outside of its time.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from exchanged.bell import Bell
from exchanged.blob_turn import Turn
from exchanged.clock import SystemClock
from exchanged.durable import DurableFiles, Volume, blocks_of, temporary_path
from exchanged.errors import ForeignVolumeError, MailboxUnusableError, NoSpaceError, TransportError
from exchanged.jail import Jail
from exchanged.mailbox import (
    SCAN_NAMES,
    Direction,
    MailboxKind,
    StrangersTold,
    open_foreign,
    require_known,
    scan_directory,
)
from exchanged.transport import Fetched, Listing, Source

_MONOTONIC: Final = SystemClock().monotonic


class FolderTransport:
    """The ``Transport`` of one local mailbox folder with ``up/`` and ``down/`` in it.

    ``outgoing`` is the direction that this side writes: ``down`` when it serves, ``up`` when it
    stands on the dialling side of a folder link. ``durable`` belongs to the volume that takes
    fetched files. ``peer_uid`` is the expected owner of incoming files, None for any. With a ``jail``
    the owner is its account's, and every listing begins with a look at the jail (C2). ``monotonic`` measures
    the turns of blobs.
    """

    def __init__(
        self,
        mailbox: Path,
        *,
        outgoing: Direction | Literal["up", "down"],
        durable: DurableFiles,
        peer_uid: int | None = None,
        bell: Bell | None = None,
        jail: Jail | None = None,
        scan_names: int = SCAN_NAMES,
        monotonic: Callable[[], float] = _MONOTONIC,
    ) -> None:
        self._mailbox = mailbox
        self._outgoing = Direction(outgoing)
        self._spool_files = durable
        self._mailbox_files = durable.for_volume(Volume.FOREIGN)
        self._peer_uid = peer_uid
        self._bell = bell
        self._jail = jail
        self._scan_names = scan_names
        self._monotonic = monotonic
        self._strangers = StrangersTold()

    def list_names(self) -> Listing:
        """The incoming direction; files of another owner than the peer are strangers.

        Raises JailError when the jail is not sound, TransportError when the folder is missing or unreadable.
        """
        if self._jail is not None:
            self._peer_uid = self._jail.require()
        folder = self._folder(self._outgoing.opposite)
        listing = scan_directory(folder, self._scan_names, expected_uid=self._peer_uid)
        self._strangers.look(str(folder), listing)
        return listing

    def list_own(self) -> Listing:
        """What still lies in the outgoing direction. Raises TransportError likewise."""
        return scan_directory(self._folder(self._outgoing), self._scan_names)

    def fetch(self, name: str, target: Path, *, limit_bytes: int) -> Fetched:
        """Copy an incoming file to ``target``, flushed; a blob resumes what ``target`` holds, in turns.

        Raises TransportFileError for what is missing, no plain file of the peer, or too large.
        """
        known = require_known(name)
        descriptor = open_foreign(
            self._folder(self._outgoing.opposite), known.name, expected_uid=self._peer_uid
        )
        try:
            if known.kind is not MailboxKind.BLOB:
                flush = known.kind is not MailboxKind.ACKNOWLEDGEMENT
                return self._spool_files.copy_descriptor(
                    descriptor, target, limit_bytes=limit_bytes, flush=flush
                )
            size = os.fstat(descriptor).st_size
            offset = resume_offset(target, size)
            turn = Turn(blocks_of(descriptor, offset), self._monotonic)
            copied = self._spool_files.copy_blocks(
                target, turn.blocks(), limit_bytes=limit_bytes, offset=offset
            )
            return replace(copied, whole=not (turn.is_over and copied.size < size))
        finally:
            os.close(descriptor)

    def put(self, name: str, source: Source) -> bool:
        """Make ``source`` visible as ``name``; a blob resumes a partial of an earlier put, in turns.

        Raises TransportError, NoSpaceError when the volume is full; then no new file is visible
        and an older one of that name is untouched.
        """
        known = require_known(name)
        final = self._folder(self._outgoing) / known.name
        with _as_transport_error():
            if known.kind is MailboxKind.BLOB:
                return self._put_blob(final, source)
            self._mailbox_files.write_file(final, _exactly(source))
        return True

    def _put_blob(self, final: Path, source: Source) -> bool:
        """The next of its bytes. False: its turn was over first."""
        partial = temporary_path(final)
        offset = resume_offset(partial, source.size)
        turn = Turn(source.blocks(offset), self._monotonic)
        try:
            end = self._mailbox_files.extend(partial, turn.blocks(), limit_bytes=source.size, offset=offset)
        except (NoSpaceError, ForeignVolumeError):
            # The room is needed, and what a failing volume kept cannot be built on.
            with suppress(ForeignVolumeError):
                self._mailbox_files.unlink(partial)
            raise
        if turn.is_over and end < source.size:
            return False
        if end != source.size:
            self._mailbox_files.unlink(partial)
            raise _other_size(source.size, end)
        self._mailbox_files.replace(partial, final)
        return True

    def remove_own(self, name: str) -> None:
        """Remove a file of this side; missing is fine, a missing mailbox is TransportError."""
        path = self._folder(self._outgoing) / require_known(name).name
        with _as_transport_error():
            self._mailbox_files.unlink(path)

    def discard_partial(self, name: str) -> None:
        """Remove what an interrupted put of ``name`` left; missing is fine."""
        path = self._folder(self._outgoing) / require_known(name).name
        with _as_transport_error():
            self._mailbox_files.unlink(temporary_path(path))

    def ring(self) -> bool:
        """Ring the bell if this side has one; False when nobody waits."""
        return self._bell is not None and self._bell.ring()

    def close(self) -> None:
        """Nothing is held open."""

    def _folder(self, direction: Direction) -> Path:
        path = self._mailbox / direction.value
        try:
            mode = path.lstat().st_mode
        except OSError as error:
            raise MailboxUnusableError(
                "the mailbox is not there", where=str(path), found=error.strerror or ""
            ) from error
        if not stat.S_ISDIR(mode):
            raise MailboxUnusableError("the mailbox is not a folder", where=str(path), expected="a folder")
        return path


def resume_offset(partial: Path, size: int) -> int:
    """How many bytes of ``partial`` an interrupted copy of ``size`` bytes can build on, 0 for none.

    A partial that is no plain file or longer than the whole is begun anew.
    """
    try:
        found = partial.lstat()
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) and found.st_size <= size else 0


def _exactly(source: Source) -> Iterator[bytes]:
    """All blocks of ``source``. Raises TransportError when they are not as many bytes as it says."""
    size = 0
    for block in source.blocks():
        size += len(block)
        if size > source.size:
            break
        yield block
    if size != source.size:
        raise _other_size(source.size, size)


def _other_size(stated: int, found: int) -> TransportError:
    return TransportError(
        "the bytes to put do not match their stated size",
        expected=f"{stated} bytes",
        found=f"{found} bytes",
    )


@contextmanager
def _as_transport_error() -> Iterator[None]:
    """The mailbox is a foreign volume; the port speaks of transports."""
    try:
        yield
    except ForeignVolumeError as error:
        raise MailboxUnusableError(
            "the mailbox cannot be used", where=error.where, found=error.found
        ) from error
