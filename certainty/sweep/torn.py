"""A power cut in the middle of writing: some of what was on its way has reached the medium, in sectors.

What lies in the image is what was flushed. Then every file is flushed, which writes file contents and the
journal but no metadata at its own place. By lot the journal has arrived or not, whole; and of the sectors of
file contents each has or has not. So acknowledged state is whole, and everything after it is torn at 512
bytes: in place where files are overwritten, and with names and sizes of files whose bytes are not all there,
as a volume mounted without ordered data may leave them. A torn journal is the file system's own business.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from certainty.sweep.volume import Volume, VolumeToolError, copy_image

SECTOR: Final = 512
_BLOCK: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Tear:
    """How many sectors were on their way when the power went, and how many of them arrived."""

    sectors: int = 0
    arrived: int = 0

    @property
    def is_torn(self) -> bool:
        """Some arrived and some did not: neither a cut before them nor one behind them."""
        return 0 < self.arrived < self.sectors


def tear(volume: Volume, rng: random.Random) -> Tear:
    """Cut the power of a volume whose users have ended, half-way through writing; it is mounted again."""
    before = volume.image.with_suffix(".before")
    copy_image(volume.image, before)
    for path in (volume.at, *volume.at.rglob("*")):
        _flush(path)
    after = volume.image.with_suffix(".after")
    copy_image(volume.image, after)
    volume.cut()
    volume.unmount()
    share, has_journal = rng.choice((0.1, 0.5, 0.9)), rng.random() < 0.5
    journal, size = _journal(volume.image)
    count = arrived = 0
    with before.open("r+b") as old, after.open("rb") as new:
        for offset in changed(old.fileno(), new.fileno()):
            count += 1
            if has_journal if offset // size in journal else rng.random() < share:
                arrived += 1
                os.pwrite(old.fileno(), os.pread(new.fileno(), SECTOR, offset), offset)
    before.replace(volume.image)
    after.unlink()
    volume.mount()
    return Tear(count, arrived)


def changed(old: int, new: int) -> Iterator[int]:
    """The offsets of the sectors in which two image files differ. Holes of the newer one are left out."""
    position, size = 0, os.fstat(new).st_size
    while position < size:
        try:
            begin = os.lseek(new, position, os.SEEK_DATA)
        except OSError:
            return
        end = os.lseek(new, begin, os.SEEK_HOLE)
        for offset in range(begin - begin % _BLOCK, end, _BLOCK):
            left, right = os.pread(old, _BLOCK, offset), os.pread(new, _BLOCK, offset)
            if left == right:
                continue
            for inner in range(0, len(right), SECTOR):
                if left[inner : inner + SECTOR] != right[inner : inner + SECTOR]:
                    yield offset + inner
        position = end


def _journal(image: Path) -> tuple[frozenset[int], int]:
    """The blocks of the journal, and the size of a block in bytes. Raises VolumeToolError."""
    found = [
        subprocess.run(command, capture_output=True, text=True, check=False).stdout
        for command in (
            ["debugfs", "-R", "blocks <8>", str(image)],
            ["debugfs", "-R", "show_super_stats -h", str(image)],
        )
    ]
    size = re.search(r"Block size:\s+(\d+)", found[1])
    if not found[0].strip() or size is None:
        raise VolumeToolError(f"debugfs does not tell where the journal of {image} is")
    return frozenset(map(int, found[0].split())), int(size[1])


def _flush(path: Path) -> None:
    if path.is_symlink() or not (path.is_file() or path.is_dir()):
        return
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
