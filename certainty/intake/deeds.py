"""What is done to a file of a drop while it is taken: unlinked, replaced, cut, written, swapped.

Each deed is given the file, both of its versions, the folder of what lies outside, and dice.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

Deed = Callable[[Path, bytes, bytes, Path, random.Random], None]


def _unlink(path: Path, a: bytes, b: bytes, _outside: Path, rng: random.Random) -> None:
    path.unlink()
    wait(rng)
    path.write_bytes(rng.choice((a, b)))


def _away(path: Path, a: bytes, b: bytes, _outside: Path, rng: random.Random) -> None:
    aside = path.with_name(f".{path.name}")
    path.rename(aside)
    wait(rng)
    aside.rename(path)


def _replace(path: Path, a: bytes, b: bytes, _outside: Path, rng: random.Random) -> None:
    aside = path.with_name(f".{path.name}")
    aside.write_bytes(rng.choice((a, b)))
    aside.rename(path)


def _cut(path: Path, a: bytes, b: bytes, _outside: Path, rng: random.Random) -> None:
    os.truncate(path, len(a) // 2)
    wait(rng)
    path.write_bytes(rng.choice((a, b)))


def _overwrite(path: Path, a: bytes, b: bytes, _outside: Path, rng: random.Random) -> None:
    """In place, piece by piece: at any moment a mixture."""
    data = rng.choice((a, b))
    before = path.stat()
    descriptor = os.open(path, os.O_WRONLY)
    try:
        for place in range(0, len(data), 8192):
            os.pwrite(descriptor, data[place : place + 8192], place)
            wait(rng)
    finally:
        os.close(descriptor)
    if rng.random() < 0.3:
        # As programs do that restore the time: size and mtime say that nothing happened.
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _append(path: Path, a: bytes, _b: bytes, _outside: Path, rng: random.Random) -> None:
    with path.open("ab") as file:
        file.write(b"more")
    wait(rng)
    os.truncate(path, len(a))


def _link(path: Path, a: bytes, b: bytes, outside: Path, rng: random.Random) -> None:
    aside = path.with_name(f".{path.name}")
    aside.symlink_to(outside / "file")
    aside.rename(path)
    wait(rng)
    _replace(path, a, b, outside, rng)


def _hard(path: Path, a: bytes, b: bytes, outside: Path, rng: random.Random) -> None:
    aside = path.with_name(f".{path.name}")
    os.link(outside / "file", aside)
    aside.rename(path)
    wait(rng)
    _replace(path, a, b, outside, rng)


def _fifo(path: Path, a: bytes, b: bytes, outside: Path, rng: random.Random) -> None:
    aside = path.with_name(f".{path.name}")
    os.mkfifo(aside)
    aside.rename(path)
    wait(rng)
    _replace(path, a, b, outside, rng)


def _whole_folder(path: Path, _a: bytes, _b: bytes, outside: Path, rng: random.Random) -> None:
    """The drop's folder itself becomes a link to a folder outside, for a moment."""
    drop, aside = path.parent, path.parent.with_name(f".{path.parent.name}")
    drop.rename(aside)
    drop.symlink_to(outside / "folder")
    wait(rng)
    drop.unlink()
    aside.rename(drop)


def leave(path: Path, outside: Path, rng: random.Random) -> None:
    """For good: a link or a hard link to a file, or a link to a folder in place of the drop."""
    aside = path.with_name(f".{path.name}")
    way = rng.randrange(3)
    if way == 0:
        aside.symlink_to(outside / "file")
    elif way == 1:
        os.link(outside / "file", aside)
    else:
        drop = path.parent
        drop.rename(drop.with_name(f".{drop.name}"))
        drop.symlink_to(outside / "folder")
        return
    aside.rename(path)


DEEDS: Final[tuple[Deed, ...]] = (
    _unlink, _away, _replace, _cut, _overwrite, _append, _link, _hard, _fifo, _whole_folder,
)  # fmt: skip


def wait(rng: random.Random) -> None:
    time.sleep(rng.choice((0.0, 0.0, 0.001, 0.004)))
