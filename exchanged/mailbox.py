"""The mailbox of a link: its two directions, the names of its files, and how they are opened.

Guarantees: a name is accepted only if it matches one of four exact patterns; a scan reads a capped
number of names, does not recurse, follows nothing and takes plain files with one link only (C2);
a file is opened once, without following and without blocking, and what is not a plain file of the
expected owner is refused by what it is (C3). Since patterns allow only ASCII letters, digits, dots
and hyphens, a name that passes ``classify`` cannot leave its folder.

Left to others: what the files hold, and who put them there (signatures say that). Known limit: the
folder itself is trusted; in production it stands in a jail that its user cannot rename (C2).
"""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from exchanged.config_values import LinkSide
from exchanged.errors import MailboxUnusableError, TransportFileError
from exchanged.log import event_line
from exchanged.transport import Listing, MailboxFile
from packet_spec.model import NO_EDITION, Edition

ACKNOWLEDGEMENT_NAME: Final = "ack.batch"
BELL_NAME: Final = "bell"
# Names read in one scan: twice what an honest backlog is let grow to (``blob_room``), and a flood costs a
# second at most (C2).
SCAN_NAMES: Final = 20_000

# Batches are numbered from 1: what bears none is a stranger, whoever put it there.
_BATCH: Final = re.compile(r"(?!0{8})([0-9]{8})-[0-9a-f]{16}\.batch")
_BLOB: Final = re.compile(r"([0-9a-f]{64})\.blob")
_DIRECTORY: Final = re.compile(r"directory-(?:([1-9][0-9]{0,17})-)?(0|[1-9][0-9]{0,17})\.xml")
_PACK: Final = re.compile(r"([0-9a-f]{64})\.pack")
# Temporary names of uploads under way, and of a few torn ones, are strangers too and nothing to tell.
_GROWING: Final = 8
# A writer replaces a file in microseconds; who replaces it five times in a row means to disturb.
_REPLACED: Final = 5
_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY

_KINDS_OF_FILE: Final = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)


class Direction(StrEnum):
    """One direction of a mailbox: ``up`` from the dialler to the server, ``down`` the other way."""

    UP = "up"
    DOWN = "down"

    @property
    def opposite(self) -> Direction:
        """The other direction."""
        return Direction.DOWN if self is Direction.UP else Direction.UP


DIRECTIONS: Final = (Direction.UP, Direction.DOWN)


def written_by(side: LinkSide) -> Direction:
    """The direction that this side of a link writes; it reads the opposite one."""
    return Direction.DOWN if side is LinkSide.SERVE else Direction.UP


class MailboxKind(StrEnum):
    """What a mailbox file is, by its name; in the order in which a reader takes them (C8, C24)."""

    DIRECTORY = "directory"
    PACK = "pack"
    ACKNOWLEDGEMENT = "acknowledgement"
    BLOB = "blob"
    BATCH = "batch"


_ORDER: Final = {kind: position for position, kind in enumerate(MailboxKind)}


@dataclass(frozen=True, slots=True)
class MailboxName:
    """A known name: ``number`` of a batch, ``edition`` of a directory, ``digest`` of blob or pack."""

    name: str
    kind: MailboxKind
    number: int = 0
    digest: str = ""
    edition: Edition = NO_EDITION


def classify(name: str) -> MailboxName | None:
    """What ``name`` says, or None for a stranger (temporary names included)."""
    if name == ACKNOWLEDGEMENT_NAME:
        return MailboxName(name, MailboxKind.ACKNOWLEDGEMENT)
    if match := _BATCH.fullmatch(name):
        return MailboxName(name, MailboxKind.BATCH, number=int(match[1]))
    if match := _BLOB.fullmatch(name):
        return MailboxName(name, MailboxKind.BLOB, digest=match[1])
    if match := _DIRECTORY.fullmatch(name):
        return MailboxName(name, MailboxKind.DIRECTORY, edition=Edition(int(match[1] or "1"), int(match[2])))
    if match := _PACK.fullmatch(name):
        return MailboxName(name, MailboxKind.PACK, digest=match[1])
    return None


def batch_name(number: int, random: bytes) -> str:
    """The name of batch ``number`` (1 to 99,999,999) with 8 random bytes. Raises ValueError."""
    return _known(f"{number:08d}-{random.hex()}.batch")


def blob_name(digest: str) -> str:
    """The name of the blob with this SHA-256 in hex. Raises ValueError."""
    return _known(f"{digest}.blob")


def directory_name(edition: Edition) -> str:
    """The name of the directory of that edition. Raises ValueError."""
    return _known(f"directory-{edition}.xml")


def pack_name(digest: str) -> str:
    """The name of the pack with this SHA-256 in hex. Raises ValueError."""
    return _known(f"{digest}.pack")


def partial_name(name: str) -> str:
    """Under which name ``name`` grows before it is whole."""
    return f".{name}.part"


def growing_name(name: str) -> str:
    """What grows under this temporary name; empty for any other name."""
    whole = name.removeprefix(".").removesuffix(".part")
    return whole if name == partial_name(whole) and classify(whole) is not None else ""


def require_known(name: str) -> MailboxName:
    """``classify``, raising TransportFileError for a stranger: nothing else becomes a path here."""
    known = classify(name)
    if known is None:
        raise TransportFileError("a name is no mailbox name")
    return known


def sort_files(files: Iterable[MailboxFile]) -> tuple[MailboxFile, ...]:
    """Known files in reading order: directories, acknowledgement, blobs, then batches by number."""

    def order(file: MailboxFile) -> tuple[int, Edition, int, str]:
        known = require_known(file.name)
        return _ORDER[known.kind], known.edition, known.number, file.name

    return tuple(sorted(files, key=order))


def scan_directory(path: Path, cap: int = SCAN_NAMES, *, expected_uid: int | None = None) -> Listing:
    """One direction: known plain files with one link, in reading order; everything else is counted.

    ``expected_uid`` None means any owner. At most ``cap`` names are read; then ``truncated`` is set. What
    grows there under a temporary name is told too.
    Raises MailboxUnusableError when the folder is missing, no folder, or cannot be read: a vanished mailbox
    is never an empty one.
    """
    files: list[MailboxFile] = []
    growing: list[str] = []
    strangers = foreign = 0
    seen = 0
    truncated = False
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if seen == cap:
                    truncated = True
                    break
                seen += 1
                found = _known_file(entry)
                if found is None:
                    strangers += 1
                    if (whole := growing_name(entry.name)) and entry.is_file(follow_symlinks=False):
                        growing.append(whole)
                elif expected_uid is not None and found.st_uid != expected_uid:
                    foreign += 1
                else:
                    # Every writer replaces by a rename: another file, or one changed in place, differs here.
                    identity = f"{found.st_ino} {found.st_ctime_ns}"
                    files.append(MailboxFile(entry.name, found.st_size, found.st_mtime, identity))
    except OSError as error:
        raise MailboxUnusableError(
            "the mailbox folder cannot be read", where=str(path), found=error.strerror or ""
        ) from error
    return Listing(sort_files(files), strangers + foreign, truncated, foreign, tuple(sorted(growing)))


@dataclass(slots=True)
class StrangersTold:
    """What lies in one direction and is not taken is told once, until it is gone (C2)."""

    _is_told: bool = False

    def look(self, where: str, listing: Listing) -> None:
        """Tell of this listing what is odd in it."""
        is_odd = listing.truncated or listing.foreign > 0 or listing.strangers > _GROWING
        if is_odd and not self._is_told:
            event_line(
                "mailbox-strangers",
                level=logging.WARNING,
                where=where,
                strangers=listing.strangers,
                foreign=listing.foreign,
                truncated=listing.truncated,
            )
        self._is_told = is_odd


def open_foreign(folder: Path | int, name: str, *, expected_uid: int | None = None) -> int:
    """Open what others wrote, to be copied through this one descriptor (C3). The caller closes it.

    ``folder`` is a path or an open folder's descriptor; ``expected_uid`` None means any owner.
    A file that is replaced while it is opened is opened again. Raises TransportFileError naming what
    is there when it is missing or not a plain file with one link and the expected owner.
    """
    try:
        with _Folder(folder) as descriptor:
            for _ in range(_REPLACED):
                file = _open_once(descriptor, name, expected_uid)
                if file is not None:
                    return file
    except OSError as error:
        raise TransportFileError("a file cannot be opened", found=error.strerror or "") from error
    raise TransportFileError("a file is replaced again and again while it is opened")


def _open_once(folder: int, name: str, expected_uid: int | None) -> int | None:
    """The opened file, or None when its name was given to another file in that very moment."""
    # Looking first names what it is, and opening a device could already do something.
    _check(os.stat(name, dir_fd=folder, follow_symlinks=False), expected_uid)
    file = os.open(name, _OPEN, dir_fd=folder)
    try:
        found = os.fstat(file)
        if found.st_nlink:
            _check(found, expected_uid)
            return file
    except BaseException:
        os.close(file)
        raise
    os.close(file)
    return None


class _Folder:
    """A folder's descriptor for the time of a block; a given descriptor stays open."""

    def __init__(self, folder: Path | int) -> None:
        self._folder = folder
        self._opened = -1

    def __enter__(self) -> int:
        if isinstance(self._folder, int):
            return self._folder
        self._opened = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return self._opened

    def __exit__(self, *_: object) -> None:
        if self._opened >= 0:
            os.close(self._opened)


def special_kind(mode: int) -> str:
    """What a file of that mode is, in words, if it is no regular file; else empty."""
    return next((name for is_kind, name in _KINDS_OF_FILE if is_kind(mode)), "")


def _check(found: os.stat_result, expected_uid: int | None) -> None:
    kind = special_kind(found.st_mode)
    if kind:
        raise TransportFileError("not a plain file", expected="a plain file", found=kind)
    if found.st_nlink != 1:
        raise TransportFileError(
            "a file has other names", expected="one link", found=f"{found.st_nlink} hard links"
        )
    if expected_uid is not None and found.st_uid != expected_uid:
        raise TransportFileError(
            "a file has another owner", expected=f"uid {expected_uid}", found=f"uid {found.st_uid}"
        )


def _known_file(entry: os.DirEntry[str]) -> os.stat_result | None:
    if classify(entry.name) is None:
        return None
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        # Taken away between reading the name and looking: its owner removed it.
        return None
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        return None
    return found


def _known(name: str) -> str:
    if classify(name) is None:
        raise ValueError("no mailbox name can be made of these values")
    return name
