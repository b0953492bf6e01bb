"""The transport port: what a link needs of whatever carries files between two mailboxes.

The contract, proved by the same tests against every transport (tests/contract):

* ``put`` makes a file visible whole or not at all, under its final name, replacing an older file
  of that name atomically; when it returns, the content was flushed as far as the medium can.
  Calling it again with the same bytes is harmless. A blob put resumes a partial upload.
* ``list_names`` gives names and sizes of what lies in the other direction, capped; temporary
  names and names of no known pattern are left out and counted in ``Listing.strangers``.
* A transport gives a blob turns of ``TURN_SECONDS``: ``put`` then returns False, ``fetch`` something that is
  not ``whole``, and the next call goes on where this one stopped, so that other files may pass in between. In
  each turn it comes further.
* ``fetch`` copies one file into a local file through one descriptor (C3), hashing while copying.
* ``remove_own`` removes a file that this side put. A missing file is not an error.
* Every failure is a ``TransportError`` (or a subclass); no foreign exception leaves a transport.
  Only what is wrong with the local volume that takes a fetched file keeps its own name:
  ``VolumeDamagedError`` and ``FileOperationError``.

Transport success is never custody: only a signed acknowledgement is (C5).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

TURN_SECONDS: Final = 10.0
"""How long a blob has a link for itself. Short enough that what is small passes a slow line within a minute,
long enough that what each turn costs (a flush, and reading again what is there) does not matter."""


@dataclass(frozen=True, slots=True)
class MailboxFile:
    """A file in a mailbox: its name and its size in bytes.

    ``modified`` is the medium's time stamp, good only for telling a replaced file from an old one: its
    clock and its steps are the medium's own. None where the medium does not say. ``identity``, where the
    medium has one, is another text for every other file and for every change of it; otherwise empty.
    """

    name: str
    size: int
    modified: float | None = None
    identity: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """What lies in the incoming direction: files of known patterns, and how many strangers.

    ``foreign`` of the strangers bear a known name but belong to somebody else than the peer. ``growing`` are
    known names whose temporary file lies there: strangers too.
    """

    files: tuple[MailboxFile, ...]
    strangers: int = 0
    truncated: bool = False
    foreign: int = 0
    growing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file copied out of a mailbox: its size and the SHA-256 of the copied bytes.

    ``whole`` is False for a blob whose turn was over: these are its first bytes, flushed.
    """

    size: int
    digest: str
    whole: bool = True


class Source(Protocol):
    """Bytes to put, readable more than once (a retry starts again or at an offset)."""

    @property
    def size(self) -> int:
        """How many bytes there are."""

    def blocks(self, offset: int = 0) -> Iterator[bytes]:
        """The bytes from ``offset`` on, in blocks of any length."""


class Transport(Protocol):
    """One link's way to its mailbox. Used by one thread at a time."""

    def list_names(self) -> Listing:
        """The incoming direction. Raises TransportError when it cannot be read."""

    def list_own(self) -> Listing:
        """What still lies in the outgoing direction, including this side's own files only.

        What an interrupted ``put`` left is ``growing`` there.
        """

    def fetch(self, name: str, target: Path, *, limit_bytes: int) -> Fetched:
        """Copy the incoming file ``name`` to the new file ``target``, flushed to disk.

        An acknowledgement, which is read at once and thrown away, is not flushed.

        A partial ``target`` of an earlier attempt is resumed for blobs and replaced otherwise.
        Raises TransportFileError when the file is missing, no plain file, or over ``limit_bytes``.
        """

    def put(self, name: str, source: Source) -> bool:
        """Make ``source`` visible as ``name`` in the outgoing direction, whole or not at all.

        False: the turn of this blob was over; put it again to go on.
        """

    def remove_own(self, name: str) -> None:
        """Remove ``name`` from the outgoing direction; a missing file is fine."""

    def discard_partial(self, name: str) -> None:
        """Remove what an interrupted ``put`` of ``name`` left under its temporary name.

        The next put then starts at zero: needed after the receiver found a wrong digest (C8).
        Nothing there is fine.
        """

    def ring(self) -> bool:
        """Wake a waiting peer if this side owns the bell (C7). False: nobody was waiting."""

    def close(self) -> None:
        """Let go of connections. The transport may be used again afterwards."""
