"""Look at the outbox: which names are drops, and exactly which files each drop is (C3, C13).

Guarantees: nothing is opened but folders, nothing is followed, and names stay bytes; two observations
with one fingerprint saw the same files with the same sizes and times. What is no plain file, or a file
with a second name, is described and left alone.

Leaves to others: whether a drop is complete (``readiness``), and its content (``drops``). Known limit:
litter of operating systems and editors inside a drop is passed over, also in the fingerprint.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from exchanged.errors import ForeignVolumeError
from exchanged.ledger.drops import DropIdentity
from exchanged.mailbox import special_kind
from packet_spec.findings import Finding
from packet_spec.limits import PARTS
from packet_spec.names import escape_for_display
from packet_spec.sentences import make_finding

PACKET_XML: Final = b"packet.xml"

# packet.xml, litter, and what an editor leaves behind, beside the most that a packet may list.
_MOST_FILES: Final = PARTS + 16
_LITTER: Final = frozenset({b"thumbs.db", b"desktop.ini", b".ds_store"})
_TEMPORARY: Final = (b".tmp", b".part")
_FINDINGS: Final = (b".findings.xml", b".findings.txt")
MARKER_ENDINGS: Final = (b".ok", b".end")
"""Of the names of markers, in small letters (``markers``)."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class DropKind(StrEnum):
    """What a drop is, by what lies there. ``strange`` is everything that is no drop at all."""

    FOLDER = "folder"
    ZIP = "zip"
    XML = "xml"
    STRANGE = "strange"


@dataclass(frozen=True, slots=True)
class SeenFile:
    """One file as it was seen: name inside its folder, size in bytes, ``mtime`` in nanoseconds."""

    name: bytes
    device: int
    inode: int
    size: int
    mtime: int


@dataclass(frozen=True, slots=True)
class Observation:
    """A drop as it was seen. ``files`` are sorted by name; for a zip or lone XML, the one file itself.

    ``marker`` is the file that says complete, if there is one. ``oddity`` says why nothing here is read;
    ``problem`` why it could not be looked at (to be tried again), ``is_forbidden`` that we may not.
    """

    name: bytes
    kind: DropKind
    device: int
    inode: int
    files: tuple[SeenFile, ...]
    marker: SeenFile | None = None
    oddity: Finding | None = None
    problem: str = ""
    is_forbidden: bool = False
    identity: DropIdentity = field(init=False, compare=False)
    """As the ledger keeps it (C13). The marker is no part of it."""

    def __post_init__(self) -> None:
        # Asked for several times in every scan.
        object.__setattr__(self, "identity", self._identify())

    @property
    def look(self) -> tuple[str, SeenFile | None]:
        """Everything that is seen of the drop: its fingerprint and its marker."""
        return self.identity.fingerprint, self.marker

    def _identify(self) -> DropIdentity:
        listing = hashlib.sha256(f"{self.kind} {self.device} {self.inode} {self.problem}\n".encode())
        for file in self.files:
            numbers = f"{file.device} {file.inode} {file.size} {file.mtime}"
            listing.update(f"{len(file.name)} ".encode() + file.name + f" {numbers}\n".encode())
        return DropIdentity(
            name=self.name,
            device=self.device,
            inode=self.inode,
            size=sum(file.size for file in self.files),
            mtime=max((file.mtime for file in self.files), default=0),
            fingerprint=listing.hexdigest(),
        )

    @property
    def lasting(self) -> str:
        """The fingerprint without the number of the device: that of a share changes with every mount."""
        return self._on_device(0).identity.fingerprint

    def is_same(self, device: int, fingerprint: str) -> bool:
        """These are the files that had that fingerprint on ``device``, whatever number it bears now."""
        return self.identity.fingerprint == fingerprint or (
            self.device != device and self._on_device(device).identity.fingerprint == fingerprint
        )

    def _on_device(self, device: int) -> Observation:
        """What lies on several devices at once keeps their numbers: it is told apart by them."""
        if any(file.device != self.device for file in self.files):
            return self
        return replace(self, device=device, files=tuple(replace(file, device=device) for file in self.files))

    def file(self, name: bytes) -> SeenFile | None:
        """The file of that name inside a folder drop."""
        return next((file for file in self.files if file.name == name), None)


@dataclass(frozen=True, slots=True)
class OutboxListing:
    """Every name in the outbox, or as many as the cap allows (then nothing follows from absence)."""

    names: frozenset[bytes]
    truncated: bool


def list_names(descriptor: int, cap: int, uncounted: Collection[bytes] = ()) -> OutboxListing:
    """The names in an open folder, at most ``cap`` beside those that are ``uncounted``.

    Raises ForeignVolumeError.
    """
    names: set[bytes] = set()
    counted = 0
    try:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                name = os.fsencode(entry.name)
                if name not in uncounted:
                    if counted == cap:
                        return OutboxListing(frozenset(names), truncated=True)
                    counted += 1
                names.add(name)
    except OSError as error:
        raise ForeignVolumeError("the outbox cannot be read", found=error.strerror or "") from error
    return OutboxListing(frozenset(names), truncated=False)


def drop_names(names: Collection[bytes], *, with_markers: bool) -> list[bytes]:
    """Which names may be drops: litter, names of unfinished files, dot files and markers are none.

    Nor are our findings, which a clerk may put back with the original: as a drop of that name, refused again,
    they would lie where the findings of ``A`` belong.
    """
    return [
        name
        for name in sorted(names)
        if not is_litter(name)
        and not is_temporary(name)
        and not name.lower().endswith(_FINDINGS)
        and not (with_markers and name.lower().endswith(MARKER_ENDINGS))
    ]


def is_litter(name: bytes) -> bool:
    """Dot files and what operating systems and office programs leave lying about."""
    return name.startswith((b".", b"~$")) or name.lower() in _LITTER


def is_temporary(name: bytes) -> bool:
    """A name under which something is still being written."""
    return name.lower().endswith(_TEMPORARY)


def content_name(observation: Observation) -> str:
    """The file that says what a drop is, for people: packet.xml, the zip, or the lone XML."""
    is_folder = observation.kind is DropKind.FOLDER
    return PACKET_XML.decode() if is_folder else escape_for_display(observation.name)


def observe(
    descriptor: int, name: bytes, marker: bytes | None = None, *, lies_as: bytes | None = None
) -> Observation | None:
    """Look at the drop ``name`` in an open folder; None when it is not there any more.

    ``lies_as`` is the name under which it lies there now, where that is another one.
    """
    try:
        top = os.stat(lies_as or name, dir_fd=descriptor, follow_symlinks=False)
        beside = None if marker is None else os.stat(marker, dir_fd=descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        return _unseen(Observation(name, DropKind.STRANGE, 0, 0, ()), error)
    seen_marker = None
    # What is no plain file of one name is never opened, so it marks nothing: the drop waits for a real one.
    if marker is not None and beside is not None and _oddity(marker, beside) is None:
        seen_marker = _seen(marker, beside)
    if stat.S_ISDIR(top.st_mode):
        return _observe_folder(descriptor, lies_as or name, name, top, seen_marker)
    kind = _kind_by_name(name)
    oddity = _oddity(name, top)
    if oddity is None and kind is DropKind.STRANGE:
        oddity = make_finding("drop-kind-unknown", file=escape_for_display(name))
    if oddity is not None:
        kind = DropKind.STRANGE
    return Observation(
        name, kind, top.st_dev, top.st_ino, (_seen(name, top),), marker=seen_marker, oddity=oddity
    )


def _observe_folder(
    descriptor: int, lies_as: bytes, name: bytes, top: os.stat_result, marker: SeenFile | None
) -> Observation | None:
    files: list[SeenFile] = []
    oddity: Finding | None = None
    try:
        folder = os.open(lies_as, _FOLDER, dir_fd=descriptor)
        try:
            if not os.path.samestat(os.fstat(folder), top):
                return None
            with os.scandir(folder) as entries:
                for entry in entries:
                    inner = os.fsencode(entry.name)
                    if is_litter(inner):
                        continue
                    found = entry.stat(follow_symlinks=False)
                    files.append(_seen(inner, found))
                    oddity = oddity or _oddity(name + b"/" + inner, found)
                    if len(files) > _MOST_FILES:
                        oddity = make_finding("drop-too-many-files", expected=str(PARTS))
                        break
        finally:
            os.close(folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        return _unseen(Observation(name, DropKind.FOLDER, top.st_dev, top.st_ino, (), marker=marker), error)
    files.sort(key=lambda file: file.name)
    kind = DropKind.FOLDER if oddity is None else DropKind.STRANGE
    return Observation(name, kind, top.st_dev, top.st_ino, tuple(files), marker=marker, oddity=oddity)


def _unseen(known: Observation, error: OSError) -> Observation:
    problem = error.strerror or "unreadable"
    return replace(known, problem=problem, is_forbidden=error.errno in (errno.EACCES, errno.EPERM))


def _oddity(name: bytes, found: os.stat_result) -> Finding | None:
    kind = special_kind(found.st_mode)
    if not kind and found.st_nlink != 1:
        kind = f"{found.st_nlink} hard links"
    return make_finding("drop-not-plain", file=escape_for_display(name), found=kind) if kind else None


def _seen(name: bytes, found: os.stat_result) -> SeenFile:
    return SeenFile(name, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def _kind_by_name(name: bytes) -> DropKind:
    lowered = name.lower()
    if lowered.endswith(b".zip"):
        return DropKind.ZIP
    return DropKind.XML if lowered.endswith(b".xml") else DropKind.STRANGE
