"""What rows found, kept for one set on one state of the source, and the folders in which long rows go on.

Guarantees: what was kept is whole or absent; the folder of a row that was broken off is found again by the
same set on the same state of the source and by no other; one that belongs to another state is removed.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from bench.result import MET, NO_VERDICT, SHORT, Result, result_from

_KEPT: Final = (MET, SHORT, NO_VERDICT)


def work_folder() -> Path:
    """Where rows work: ``TMPDIR``, or else /var/tmp, which is a disk where /tmp may be memory."""
    return Path(os.environ.get("TMPDIR") or "/var/tmp")  # noqa: S108 - a new folder of its own is made in it


def new_folder(row: str) -> Path:
    """A new folder for a row of that name. The users of what is compared pass through."""
    folder = Path(tempfile.mkdtemp(prefix=f"bench-{row}-", dir=work_folder()))
    folder.chmod(0o755)
    return folder


class Kept:
    """The results of one set on one state of the source, below ``folder``."""

    def __init__(self, folder: Path, source: str, kind: str) -> None:
        self._all, self._kind = folder, kind
        self._folder = folder / source / kind

    def read(self, name: str) -> Result | None:
        """What a row found before; None when it found nothing. Not run and broken are looked at anew."""
        try:
            value = json.loads((self._folder / f"{name}.json").read_text(encoding="utf-8"))
            result = result_from(value)
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None
        return result if result.verdict in _KEPT else None

    def write(self, name: str, result: Result) -> None:
        """Keep what a row found."""
        self._folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(result.to_json(), ensure_ascii=False, indent=1)
        write_whole(self._folder / f"{name}.json", text)

    def place(self, name: str) -> Path | None:
        """The folder that a call which was broken off left to the row; None without one."""
        return _place(self._pointer(name))

    def make_place(self, name: str) -> Path:
        """A new folder for a row that may be broken off; those of other states of the source are removed."""
        for pointer in self._all.glob(f"*/{self._kind}/{name}.place"):
            _remove(pointer)
        self._folder.mkdir(parents=True, exist_ok=True)
        place = new_folder(name)
        write_whole(self._pointer(name), str(place))
        return place

    def leave_place(self, name: str) -> None:
        """The row came to its end, or begins anew: its folder is removed."""
        _remove(self._pointer(name))

    def _pointer(self, name: str) -> Path:
        return self._folder / f"{name}.place"


def write_whole(path: Path, text: str) -> None:
    """A small file that is replaced at once or not at all, whatever ends this process."""
    partial = path.with_suffix(".part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


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
        shutil.rmtree(place, ignore_errors=True)
    pointer.unlink(missing_ok=True)
