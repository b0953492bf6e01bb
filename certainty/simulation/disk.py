"""A virtual disk: what of a node's files would be left if the power went now.

The files are real ones in memory; this keeps beside them what was flushed: the content of each file and the
names in each folder, as of their last fsync. ``cut`` makes a power cut out of that: whatever was not
flushed is there, gone or there in part, as the dice say. A rename is one step of the file system, as on
every journalled one: a file is never under both names or under none. The order of steps that were not
flushed is not kept.

The ledger is not tracked: what SQLite committed is durable by its own promise, and the rest is rolled back.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Final

Spot = tuple[int, str]
"""A name in a folder: the folder's inode and the name."""

# Files of SQLite, locks and marks that the node keeps without the durable module.
_UNTRACKED: Final = ("ledger.sqlite3", "lock", "control.sock", "volume-damaged")


class VirtualDisk:
    """What was flushed of the trees below ``roots``; everything that lies there now counts as flushed."""

    def __init__(self, roots: tuple[Path, ...], limbo: Path) -> None:
        self._roots = roots
        self._limbo = limbo
        self._names: dict[int, dict[str, int]] = {}
        self._spots: dict[int, Spot] = {}
        # Where a file is now is durable, though its folder was not flushed: the other end of its rename was.
        self._moved: set[int] = set()
        self._content: dict[int, bytes] = {}
        self._folders: set[int] = set()
        self._dirty: set[int] = set()
        self.settle()

    # --- what the node does ----------------------------------------------------------------------

    def wrote(self, inode: int) -> None:
        """A file was written to and not flushed yet."""
        self._dirty.add(inode)

    def flushed(self, descriptor: int) -> None:
        """Fsync of this file or folder went well."""
        found = os.fstat(descriptor)
        if not stat.S_ISDIR(found.st_mode):
            self._content[found.st_ino] = Path(f"/proc/self/fd/{descriptor}").read_bytes()
            self._dirty.discard(found.st_ino)
            return
        with os.scandir(descriptor) as entries:
            there = {entry.name: entry.inode() for entry in entries if _is_tracked(entry.name)}
        self._flushed_names(found.st_ino, there)

    def _flushed_names(self, folder: int, there: dict[str, int]) -> None:
        self._folders.add(folder)
        for name, inode in self._names.get(folder, {}).items():
            if there.get(name) != inode and self._spots.get(inode) == (folder, name):
                # It is elsewhere, or it is gone: both are durable now.
                del self._spots[inode]
                self._moved.add(inode)
        for name, inode in there.items():
            before = self._spots.get(inode)
            if before is not None and before != (folder, name):
                self._names.get(before[0], {}).pop(before[1], None)
            self._spots[inode] = (folder, name)
            self._moved.discard(inode)
        self._names[folder] = dict(there)

    def is_durable(self, path: Path) -> bool:
        """The name of this file or folder would survive a power cut."""
        inode = path.lstat().st_ino
        spot = (path.parent.lstat().st_ino, path.name)
        return inode in self._moved or self._spots.get(inode) == spot

    # --- what people and other programs do ---------------------------------------------------------

    def put(self, path: Path) -> None:
        """Somebody else put a file or folder here, and flushed it."""
        self._adopt(path.parent.lstat().st_ino, path)

    def took(self, path: Path) -> None:
        """Somebody else is about to remove what lies here, for good, as far as its being here is durable."""
        for spot, inode, _ in [*self._walk(path)]:
            if self._spots.get(inode) == spot:
                self._forget(inode)

    def _adopt(self, folder: int, path: Path) -> None:
        found = path.lstat()
        self._spots[found.st_ino] = (folder, path.name)
        self._names.setdefault(folder, {})[path.name] = found.st_ino
        if stat.S_ISDIR(found.st_mode):
            self._folders.add(found.st_ino)
            for each in path.iterdir():
                self._adopt(found.st_ino, each)

    def _forget(self, inode: int) -> None:
        folder, name = self._spots.pop(inode)
        self._names.get(folder, {}).pop(name, None)

    # --- the power goes ----------------------------------------------------------------------------

    def settle(self) -> None:
        """Everything that lies here now is durable, as after a clean stop."""
        self._names, self._spots = {}, {}
        self._moved, self._dirty = set(), set()
        self._folders = {root.lstat().st_ino for root in self._roots}
        alive = set()
        for root in self._roots:
            for (folder, name), inode, path in self._walk_below(root):
                self._names.setdefault(folder, {})[name] = inode
                self._spots[inode] = (folder, name)
                alive.add(inode)
                if path.is_dir():
                    self._folders.add(inode)
        self._content = {inode: data for inode, data in self._content.items() if inode in alive}

    def cut(self, dice: Random, keeps: float) -> list[str]:
        """The power goes. Each thing that was not flushed survives with probability ``keeps``.

        Returns what was lost or came back, in words.
        """
        current: dict[Spot, int] = {}
        paths: dict[int, Path] = {}
        for root in self._roots:
            paths[root.lstat().st_ino] = root
            for spot, inode, path in self._walk_below(root):
                current[spot], paths[inode] = inode, path
        survives: Callable[[], bool] = lambda: dice.random() < keeps  # noqa: E731
        wanted = self._wanted(current, survives)
        told = self._make(current, wanted, paths)
        told += self._tear(survives, dice)
        self.settle()
        return told

    def _wanted(self, current: dict[Spot, int], survives: Callable[[], bool]) -> dict[Spot, int]:
        wanted: dict[Spot, int] = {}
        back: list[tuple[Spot, int]] = []
        at = {inode: spot for spot, inode in current.items()}
        for spot, inode in sorted(current.items(), key=lambda entry: entry[0][1]):
            old = self._spots.get(inode)
            if old == spot or inode in self._moved or survives():
                wanted[spot] = inode
            elif old is not None:
                back.append((old, inode))
        for inode, spot in sorted(self._spots.items(), key=lambda entry: entry[1][1]):
            known = inode in self._content or inode in self._folders
            if inode in at or not known:
                continue
            replaced = spot in current and spot not in wanted
            if replaced or not survives():
                back.append((spot, inode))
        for spot, inode in back:
            if spot not in wanted:
                wanted[spot] = inode
            elif inode in at:
                # Another file has its old name already, so it must have left that name before.
                wanted[at[inode]] = inode
        return wanted

    def _make(
        self, current: dict[Spot, int], wanted: dict[Spot, int], paths: dict[int, Path]
    ) -> list[str]:
        told: list[str] = []
        self._limbo.mkdir(exist_ok=True)
        leaving = [(spot, inode) for spot, inode in current.items() if wanted.get(spot) != inode]
        for _, inode in sorted(leaving, key=lambda entry: -len(paths[entry[1]].parts)):
            # Deepest first: what is below a folder that leaves as well has left before.
            paths[inode].rename(self._limbo / str(inode))
            told.append(f"lost {self._name(paths[inode])}")
        by_folder: dict[int, list[tuple[str, int]]] = {}
        for (folder, name), inode in wanted.items():
            by_folder.setdefault(folder, []).append((name, inode))
        places = {root.lstat().st_ino: root for root in self._roots}
        waiting = [*places]
        while waiting:
            folder = waiting.pop(0)
            for name, inode in sorted(by_folder.get(folder, ())):
                path = places[folder] / name
                if current.get((folder, name)) != inode:
                    self._bring(inode, path)
                    told.append(f"back {self._name(path)}")
                if inode in self._folders or (path.is_dir() and not path.is_symlink()):
                    places[inode] = path
                    waiting.append(inode)
        shutil.rmtree(self._limbo)
        return told

    def _bring(self, inode: int, path: Path) -> None:
        kept = self._limbo / str(inode)
        if kept.exists():
            kept.rename(path)
        elif inode in self._folders:
            path.mkdir()
        else:
            path.write_bytes(self._content[inode])

    def _tear(self, survives: Callable[[], bool], dice: Random) -> list[str]:
        """Content that was not flushed: there, not there, or there in part, zeros where it is not."""
        told: list[str] = []
        left = {inode: path for root in self._roots for _, inode, path in self._walk_below(root)}
        for inode in sorted(self._dirty & left.keys(), key=lambda each: left[each].name):
            path = left[inode]
            now, durable = path.read_bytes(), self._content.get(inode, b"")
            if now == durable or survives():
                continue
            torn = durable
            if now.startswith(durable) and dice.random() < 0.5:
                torn = now[: dice.randint(len(durable), len(now))]
                if dice.random() < 0.3:
                    torn = torn.ljust(len(now), b"\0")
            with path.open("r+b") as file:
                file.truncate(0)
                file.write(torn)
            told.append(f"torn {self._name(path)} to {len(torn)} of {len(now)}")
        return told

    # --- looking -----------------------------------------------------------------------------------

    def _walk_below(self, root: Path) -> Iterator[tuple[Spot, int, Path]]:
        folder = root.lstat().st_ino
        for entry in sorted(os.scandir(root), key=lambda each: each.name):
            if not _is_tracked(entry.name):
                continue
            path = root / entry.name
            yield (folder, entry.name), entry.inode(), path
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk_below(path)

    def _walk(self, path: Path) -> Iterator[tuple[Spot, int, Path]]:
        yield (path.parent.lstat().st_ino, path.name), path.lstat().st_ino, path
        if path.is_dir() and not path.is_symlink():
            yield from self._walk_below(path)

    def _name(self, path: Path) -> str:
        for root in self._roots:
            if path.is_relative_to(root):
                return f"{root.name}/{path.relative_to(root)}"
        return path.name


def _is_tracked(name: str) -> bool:
    return not name.startswith(_UNTRACKED)
