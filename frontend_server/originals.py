"""Put originals away: out of the outbox into sent/ or refused/, exactly those that were taken (C13).

Guarantees: an original is moved only while it is what the ledger says (name, inode, size, mtime of every
file, on one device whatever its number is since); after the move it is looked at again, and a stranger goes
back without replacing anything. It passes through a name that its row gives it, so every crash can be
repeated; on a share where a file moves by a second name (``exchanged.durable``), what still has both is
brought to its end first, for by its two names nobody would know it again:

    outbox/NAME  ->  sent/.exchanged-original-<row>-<digits>  ->  sent/NAME, or NAME~2 ...

The digits come from its fingerprint: a ledger that begins anew counts its rows from 1 again.

The marker of a drop goes to the same folder before it, and also when the original is gone or another: the
very file that marked it, and no other, so that it never marks the next drop of that name.

Leaves to others: when (``effects``), and what is written beside a refused original. Known limits: who
removes or renames an original while it is moved finds it called ``gone``; no link is followed in place of
outbox/, sent/ or refused/, but who may write to the agency root itself could swap one between two steps.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from exchanged.durable import DurableFiles
from exchanged.errors import ForeignVolumeError, NameTakenError
from exchanged.ledger.drops import DropRow, Original
from exchanged.log import event_line
from frontend_server.folders import OUTBOX, AgencyFolders
from frontend_server.markers import DropMarker
from frontend_server.outbox import observe
from packet_spec.limits import NAME_BYTES

# Room for a mark, for suffixes of our own and for a temporary name, within 255 bytes.
IN_TRANSIT: Final = ".exchanged-original-"
"""Begins the name of an original between two folders; ``mark_of`` its drop follows."""
_MARK_DIGITS: Final = 12
_STEM_BYTES: Final = 200
_TWINS: Final = range(2, 10)


class Originals:
    """Moves originals of one agency. Used by one thread."""

    def __init__(self, folders: AgencyFolders, files: DurableFiles) -> None:
        """``files`` are those of the agency's (foreign) volume."""
        self._folders = folders
        self._files = files

    def put_away(self, drop: DropRow, target: Original) -> tuple[Original, Path | None]:
        """Where the original is now, and its path if it was put away. May be repeated.

        ``GONE``: somebody took it. ``REPLACED``: something else lies under its name. Raises
        ForeignVolumeError when the folders cannot be used.
        """
        home = self._home(target)
        transit = home / f"{IN_TRANSIT}{mark_of(drop)}"
        if _lies_there(transit):
            self._finish_move(drop, transit, home)
        if not _lies_there(transit):
            kept = self._lift(drop, transit)
            if kept is not None:
                # Put away by an earlier run, whatever lies in the outbox under that name since?
                found = self._find(drop, home)
                return (kept, None) if found is None else (target, found)
        if not self._is_original(home, drop, os.fsencode(transit.name)):
            self._settle(transit, self._folders.outbox, drop)
            event_line("original-was-replaced", drop=drop.id)
            return Original.REPLACED, None
        return target, self._settle(transit, home, drop)

    def put_marker_away(self, drop: DropRow, target: Original, marker: DropMarker) -> None:
        """The file that marked the drop leaves the outbox; another one of its name stays.

        May be repeated. To be called before ``put_away``, and raises as that.
        """
        source = self._folders.outbox / os.fsdecode(marker.name)
        if not _is_marker(source, marker):
            return
        place = self._settle(source, self._home(target), drop)
        if not _is_marker(place, marker):
            # Written anew between look and move: it marks the next drop, unless there is one again by now.
            with suppress(NameTakenError):
                self._files.rename_new(place, source)

    def _home(self, target: Original) -> Path:
        return self._folders.sent if target is Original.SENT else self._folders.refused

    def _finish_move(self, drop: DropRow, transit: Path, home: Path) -> None:
        """In transit under two names: take off the one of the folder it came from."""
        for name in free_names(drop.name, drop.id):
            source, path = self._folders.outbox / os.fsdecode(name), home / os.fsdecode(name)
            if is_one_file(source, transit):
                # Also a stranger on its way back; it will go back again.
                self._files.rename_new(source, transit)
            elif is_one_file(transit, path):
                self._files.rename_new(transit, path)
                return

    def _lift(self, drop: DropRow, transit: Path) -> Original | None:
        """Out of the outbox, if it is the one. None when it was moved."""
        source = self._folders.outbox / os.fsdecode(drop.name)
        with self._folders.opened(OUTBOX) as outbox:
            observation = observe(outbox, drop.name)
            if observation is None:
                return Original.GONE
            if observation.problem:
                raise ForeignVolumeError("an original cannot be looked at", found=observation.problem)
            if not observation.is_same(drop.device, drop.fingerprint):
                return Original.REPLACED
        self._files.rename_new(source, transit)
        return None

    def _is_original(self, folder: Path, drop: DropRow, lies_as: bytes) -> bool:
        with self._folders.opened(folder.name) as descriptor:
            observation = observe(descriptor, drop.name, lies_as=lies_as)
        if observation is not None and observation.problem:
            raise ForeignVolumeError("an original cannot be looked at", found=observation.problem)
        return observation is not None and observation.is_same(drop.device, drop.fingerprint)

    def _find(self, drop: DropRow, home: Path) -> Path | None:
        """The original, where an earlier run put it before the ledger heard of it."""
        for name in free_names(drop.name, drop.id):
            if _lies_there(home / os.fsdecode(name)) and self._is_original(home, drop, name):
                return home / os.fsdecode(name)
        # As versions before called it on its way.
        before = f"{IN_TRANSIT}{drop.id}"
        if _lies_there(home / before) and self._is_original(home, drop, before.encode()):
            return self._settle(home / before, home, drop)
        return None

    def _settle(self, source: Path, home: Path, drop: DropRow) -> Path:
        """Into ``home`` under the name that it came with, or the next free one."""
        name = drop.name if source.name.startswith(IN_TRANSIT) else os.fsencode(source.name)
        for candidate in free_names(name, drop.id):
            path = home / os.fsdecode(candidate)
            try:
                self._files.rename_new(source, path)
            except NameTakenError:
                continue
            return path
        raise ForeignVolumeError("no free name is left for an original", where=str(home))


def _is_marker(path: Path, marker: DropMarker) -> bool:
    found = look_at(path)
    return found is not None and (found.st_ino, found.st_mtime_ns) == (marker.inode, marker.mtime)


def mark_of(drop: DropRow) -> str:
    """In names of our own: which drop of which ledger it is."""
    return f"{drop.id}-{drop.fingerprint[:_MARK_DIGITS]}"


def is_one_file(one: Path, other: Path) -> bool:
    """Two names of one plain file, as a move leaves them that was broken off. Raises ForeignVolumeError."""
    first, second = look_at(one), look_at(other)
    if first is None or second is None:
        return False
    return stat.S_ISREG(first.st_mode) and os.path.samestat(first, second)


def _lies_there(path: Path) -> bool:
    return look_at(path) is not None


def look_at(path: Path) -> os.stat_result | None:
    """What lies there, None for nothing. Raises ForeignVolumeError."""
    try:
        return path.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ForeignVolumeError(
            "a folder cannot be looked at", where=str(path.parent), found=error.strerror or ""
        ) from error


def free_names(name: bytes, number: int) -> Iterator[bytes]:
    """Names under which something called ``name`` may be put away: its own, ``A~2.zip`` ..., ``A~<row>``.

    The row number comes soon, so that case software that gives every drop one name costs no more.
    """
    yield name
    stem, extension = _split(name)
    for mark in (*_TWINS, number):
        yield shortened(stem, _STEM_BYTES) + f"~{mark}".encode() + extension


def put_away_stem(name: bytes) -> bytes:
    """What all names have in common under which something called ``name`` may be put away."""
    stem, extension = _split(name)
    return shortened(stem, _STEM_BYTES) + extension


def _split(name: bytes) -> tuple[bytes, bytes]:
    stem, dot, extension = name.rpartition(b".")
    return (name, b"") if not stem or len(extension) > 8 else (stem, dot + extension)


def shortened(name: bytes, most_bytes: int) -> bytes:
    """``name``, or its beginning and a digest of the whole when it is longer than ``most_bytes``."""
    if len(name) <= most_bytes:
        return name
    mark = b"~" + hashlib.sha256(name).hexdigest()[:12].encode()
    text = name[: most_bytes - len(mark)].decode("utf-8", errors="ignore")
    return text.encode() + mark


def companion(path: Path, suffix: str) -> Path:
    """The file ``<name><suffix>`` beside ``path``, its name cut where it would pass 255 bytes."""
    room = NAME_BYTES - len(suffix) - len("..part")
    return path.with_name(os.fsdecode(shortened(os.fsencode(path.name), room)) + suffix)
