"""Which file system a folder lies on, with its mount options, as the kernel tells it.

Looks only. A path is resolved first, which asks the file system: on a share that hangs it hangs as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MOUNTS: Final = Path("/proc/self/mountinfo")
_ESCAPE: Final = re.compile(rb"\\([0-7]{3})")
# Another machine may change what lies there, and its changes raise no event here.
_SHARED: Final = frozenset(
    {"cifs", "smb3", "smbfs", "nfs", "nfs4", "9p", "virtiofs", "vboxsf", "ceph", "glusterfs", "afs", "lustre"}
)
_FIXED_MODES: Final = frozenset({"cifs", "smb3", "vfat", "exfat", "vboxsf"})
_MEMORY: Final = frozenset({"tmpfs", "ramfs"})


@dataclass(frozen=True, slots=True)
class Mount:
    """One mounted file system: ``kind`` as the kernel names it (``ext4``, ``cifs``, ``fuse.sshfs`` ...)."""

    point: Path
    kind: str
    source: str
    options: tuple[str, ...]

    @property
    def is_shared(self) -> bool:
        """Somebody else than this kernel may change it: a network share, or a file system in user space."""
        return self.kind in _SHARED or self.kind == "fuse" or self.kind.startswith("fuse.")

    @property
    def fixes_modes(self) -> bool:
        """Owner and mode of everything there come from the mount options, whatever is asked for."""
        return self.kind in _FIXED_MODES

    @property
    def is_memory(self) -> bool:
        """It is empty after a restart of the machine."""
        return self.kind in _MEMORY

    def option(self, name: str) -> str | None:
        """The value of the option ``name=value``, empty for a bare ``name``; None when it is not set."""
        for option in self.options:
            key, _, value = option.partition("=")
            if key == name:
                return value
        return None


def mount_of(path: Path, table: Path = _MOUNTS, *, follow: bool = True) -> Mount | None:
    """The mount that ``path`` lies on; None where the kernel does not tell. Raises OSError.

    ``follow`` false: the path is taken as it is written, and its file system is not asked anything.
    """
    place = path.resolve() if follow else path.absolute()
    found: Mount | None = None
    for mount in _mounts(table):
        is_above = place == mount.point or mount.point in place.parents
        # Of two at one point the later hides the earlier.
        if is_above and (found is None or len(mount.point.parts) >= len(found.point.parts)):
            found = mount
    return found


def _mounts(table: Path) -> Iterator[Mount]:
    """``id parent major:minor root point options [tags] - kind source super-options``, one a line."""
    try:
        lines = table.read_bytes().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        here, separator, there = line.partition(b" - ")
        left, right = here.split(b" "), there.split(b" ")
        if separator and len(left) >= 6 and len(right) >= 3:
            options = (*_text(left[5]).split(","), *_text(right[2]).split(","))
            yield Mount(Path(_text(left[4])), _text(right[0]), _text(right[1]), tuple(dict.fromkeys(options)))


def _text(field: bytes) -> str:
    raw = _ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), field)
    return raw.decode("utf-8", errors="surrogateescape")
