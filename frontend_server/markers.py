"""Markers: the files by which case software says that the drop beside them is whole.

Guarantees: a marker belongs to one drop or to none; its ending counts in any case of letters. Which file a
drop's marker was (``DropMarker``) is kept until that very file is put away, so that it marks no later drop.

Leaves to others: what a marker states (``readiness``), and moving it (``originals``).
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from itertools import product
from typing import Final, Self

from frontend_server.outbox import MARKER_ENDINGS, Observation, SeenFile

KEY: Final = "marker"
"""Under which the particulars of an effect name the marker of a drop."""


def _in_any_case(endings: Collection[bytes]) -> tuple[bytes, ...]:
    """Each ending in every mixture of small and capital letters, as it stands here first."""
    mixed: list[bytes] = []
    for ending in endings:
        letters = ending.decode()
        mixed.extend("".join(each).encode() for each in product(*((c, c.upper()) for c in letters)))
    return tuple(dict.fromkeys(mixed))


_MARKERS: Final = _in_any_case(MARKER_ENDINGS)
_FILES: Final = _in_any_case((b".zip", b".xml"))


@dataclass(frozen=True, slots=True)
class DropMarker:
    """One file that marked a drop: it stays this one when it is moved, and is another once it is written."""

    name: bytes
    inode: int
    mtime: int

    @classmethod
    def of(cls, file: SeenFile) -> Self:
        """The marker that was seen as ``file``."""
        return cls(file.name, file.inode, file.mtime)

    @classmethod
    def read(cls, text: str) -> Self:
        """What ``text`` wrote."""
        name, inode, mtime = text.split()
        return cls(bytes.fromhex(name), int(inode), int(mtime))

    def text(self) -> str:
        """For the particulars of an effect."""
        return f"{self.name.hex()} {self.inode} {self.mtime}"


def marker_of(observation: Observation) -> DropMarker | None:
    """Which file said that the drop is whole."""
    return None if observation.marker is None else DropMarker.of(observation.marker)


def marker_name(name: bytes, names: Collection[bytes]) -> bytes | None:
    """The marker that lies beside the drop ``name``: ``A.zip.ok``, or ``A.ok`` where only one drop is A."""
    bases = [name]
    stem = _stem(name)
    if not any(other in names for other in _drops_called(stem) if other != name):
        bases.append(stem)
    return next((base + mark for base in bases for mark in _MARKERS if base + mark in names), None)


def find_marker(descriptor: int, name: bytes) -> bytes | None:
    """As ``marker_name``, asking the open folder for the few names that matter."""
    stem = _stem(name)
    asked = (*(base + mark for base in (name, stem) for mark in _MARKERS), *_drops_called(stem))
    return marker_name(name, {each for each in asked if _is_there(descriptor, each)})


def _drops_called(stem: bytes) -> tuple[bytes, ...]:
    return (stem, *(stem + ending for ending in _FILES))


def _stem(name: bytes) -> bytes:
    return name[:-4] if name.lower().endswith((b".zip", b".xml")) else name


def _is_there(descriptor: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    except OSError:
        return False
    return True
