"""What rows found, kept for one set on one state of the source, and the folders that rows work in.

Guarantees: what was kept is whole or absent, also after a power cut; the folder of a row that was broken off
is found again by the same set on the same state of the source and by no other; one that belongs to another
state is removed, and so is what a call left that was killed, with the labs that still run in it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TextIO

from bench.province import stop_labs
from bench.result import MET, NO_VERDICT, SHORT, Result, result_from

_KEPT: Final = (MET, SHORT, NO_VERDICT)
_NOTES: Final = "made"
_LARGE: Final = 1 << 20
BROKEN_OFF: Final = "it was broken off before its end"


def work_folder() -> Path:
    """Where rows work: ``TMPDIR``, or else /var/tmp, which is a disk where /tmp may be memory."""
    return Path(os.environ.get("TMPDIR") or "/var/tmp")  # noqa: S108 - a new folder of its own is made in it


def new_folder(row: str) -> Path:
    """A new folder for a row of that name. The users of what is compared pass through."""
    folder = Path(tempfile.mkdtemp(prefix=f"bench-{row}-", dir=work_folder()))
    folder.chmod(0o755)
    return folder


def remove_folder(folder: Path) -> None:
    """Remove the folder of a row, and end the labs that a killed call left running in it."""
    stop_labs(folder)
    shutil.rmtree(folder, ignore_errors=True)


class Kept:
    """The results of one set on one state of the source, below ``folder``."""

    def __init__(self, folder: Path, source: str, kind: str) -> None:
        self._all, self._kind = folder, kind
        self._folder = folder / source / kind
        self._notes: dict[Path, TextIO] = {}

    def last(self, name: str) -> Result | None:
        """What came of a row when it was run last, whatever it was; None when it never was."""
        try:
            return result_from(json.loads((self._folder / f"{name}.json").read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None

    def read(self, name: str) -> Result | None:
        """What a row found before; None when it found nothing. Not run and broken are looked at anew."""
        result = self.last(name)
        return result if result is not None and result.verdict in _KEPT else None

    def has_ended(self, name: str) -> bool:
        """The row measured what it measures."""
        result = self.last(name)
        return result is not None and bool(result.checks)

    def write(self, name: str, result: Result) -> None:
        """Keep what a row found."""
        self._folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(result.to_json(), ensure_ascii=False, indent=1)
        write_whole(self._folder / f"{name}.json", text)

    def begin(self, name: str) -> None:
        """Until it has found something, a row that began counts as broken off; what it found before stays."""
        if self.read(name) is None:
            self.write(name, Result(broken=BROKEN_OFF))

    def place(self, name: str) -> Path | None:
        """The folder that a call which was broken off left to the row; None without one."""
        return _place(self._pointer(name))

    def make_place(self, name: str, tell: Callable[[str], None] = lambda _: None) -> Path:
        """A new folder for a row that may be broken off; those of other states of the source are removed."""
        for pointer in self._all.glob(f"*/{self._kind}/{name}.place"):
            if (place := _place(pointer)) is not None:
                tell(f"removes {place}, which belongs to another state of the source")
            _remove(pointer)
        self._folder.mkdir(parents=True, exist_ok=True)
        place = new_folder(name)
        write_whole(self._pointer(name), str(place))
        return place

    def leave_place(self, name: str) -> None:
        """The row came to its end, or begins anew: its folder is removed."""
        _remove(self._pointer(name))

    def note(self, folder: Path) -> None:
        """A folder that goes with this process: whoever comes after it is killed shall know of it."""
        notes = self._all / _NOTES
        notes.mkdir(parents=True, exist_ok=True)
        # Open, and locked, as long as this process lives.
        note = (notes / f"{folder.name}.place").open("x", encoding="utf-8")
        fcntl.flock(note, fcntl.LOCK_EX)
        note.write(str(folder))
        note.flush()
        os.fsync(note.fileno())
        self._notes[folder] = note

    def forget(self, folder: Path) -> None:
        """It was removed."""
        with self._notes.pop(folder) as note:
            Path(note.name).unlink(missing_ok=True)

    def take_left(self) -> tuple[Path, ...]:
        """The folders that killed calls of any set and state left; from now on they go with this process.

        Nothing runs in them any more, and their large files, which take nearly all of the room, are gone.
        """
        taken = []
        for path in sorted((self._all / _NOTES).glob("*.place")):
            note = path.open(encoding="utf-8")
            try:
                fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # Of a call that lives.
                note.close()
                continue
            place = _place(path)
            if place is None:
                path.unlink(missing_ok=True)
                note.close()
                continue
            stop_labs(place)
            _remove_large(place)
            self._notes[place] = note
            taken.append(place)
        return tuple(taken)

    def _pointer(self, name: str) -> Path:
        return self._folder / f"{name}.place"


def write_whole(path: Path, text: str) -> None:
    """A small file that is replaced at once or not at all, whatever ends this process or this machine."""
    partial = path.with_suffix(".part")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def disk_use(folder: Path) -> int:
    """Bytes that everything below ``folder`` takes on its disk."""
    used = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                used += (Path(place) / name).lstat().st_blocks * 512
            except FileNotFoundError:
                continue
    return used


def _remove_large(folder: Path) -> None:
    for place, _, names in os.walk(folder):
        for path in (Path(place) / name for name in names):
            with suppress(OSError):
                if path.lstat().st_size >= _LARGE:
                    path.unlink()


def _place(pointer: Path) -> Path | None:
    try:
        place = Path(pointer.read_text(encoding="utf-8"))
        is_ours = place.is_absolute() and place.lstat().st_uid == os.geteuid()
    except (FileNotFoundError, ValueError):
        return None
    return place if is_ours and place.is_dir() and not place.is_symlink() else None


def _remove(pointer: Path) -> None:
    place = _place(pointer)
    if place is not None:
        remove_folder(place)
    pointer.unlink(missing_ok=True)
