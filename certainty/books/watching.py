"""The body of the reader process; see ``reader``. One argument: the plan as JSON."""

from __future__ import annotations

import base64
import ctypes
import json
import os
import random
import select
import shutil
import signal
import struct
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from certainty.books.driver import file_digest
from certainty.books.world import append_line, read_lines

_LOOK_SECONDS: Final = 0.05
# Looked at once more after this, when it is taken, and at the end: late writers show.
_AGAIN_SECONDS: Final = 0.4
# The daemon's own papers in a delivered folder are small; their bytes are kept for the checker.
PAPERS: Final = ("delivery.xml", "seal.xml", "seal.sig", "accepted.xml")
# So are these two where the second lies there, to be compared.
_READING: Final = ("packet.xml", "packet.utf8.xml")
_ANY_DEVICE: Final = -2
_PAPER_BYTES: Final = 4 << 20
_CREATE, _MOVED_FROM, _MOVED_TO, _DELETE = 0x100, 0x40, 0x80, 0x200
_OVERFLOW: Final = 0x4000
_EVENT: Final = struct.Struct("iIII")
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class Watching:
    """What lies in the inboxes, as seen until now. Keys are (agency, type folder, name)."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        self._inboxes = {code: Path(path) for code, path in plan["inboxes"].items()}
        self._history = Path(plan["history"])
        self._random = random.Random(plan["seed"])
        self._present: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._again: dict[tuple[str, str, str], float] = {}
        self._take: dict[tuple[str, str, str], tuple[float, str]] = {}
        self._ways: dict[tuple[str, str, str], str] = {}
        self._descriptor = _LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._watches: dict[int, tuple[str, str]] = {}
        self._watched: dict[tuple[str, str], int] = {}
        # How often each came by a rename, as events tell, and how often it was seen to come.
        self._came: Counter[tuple[str, str, str]] = Counter()
        self._met: Counter[tuple[str, str, str]] = Counter()
        self._taken = 0
        for line in read_lines(self._history):
            self._remember(line)
        # What a reader before this one saw; whether it still has the same bytes nobody knows.
        self._unread = set(self._present)
        self.stopping = False

    def _remember(self, line: dict[str, Any]) -> None:
        if line["what"] == "overflow":
            return
        key = (line["agency"], line["type"], line["name"])
        if line["what"] in {"seen", "changed"}:
            # A volume that was mounted again may be another device by number.
            self._present[key] = {**line, "device": _ANY_DEVICE}
        elif line["what"] in {"gone", "removed"}:
            self._present.pop(key, None)

    def run(self) -> None:
        """Until SIGTERM, and one look more, at all that lies there."""
        self.look()
        self.compare_known()
        print("watching", flush=True)
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        last = False
        while not last:
            last = self.stopping
            poll.poll(_LOOK_SECONDS * 1000)
            self._read_events()
            self.look()
        self.compare_everything()

    def look(self) -> None:
        """Compare all inboxes with what was there before."""
        there: set[tuple[str, str, str]] = set()
        for code, inbox in self._inboxes.items():
            self._watch(code, "", inbox)
            for folder in _folders(inbox):
                self._watch(code, folder.name, folder)
                for entry in _entries(folder):
                    key = (code, folder.name, entry.name)
                    there.add(key)
                    self._meet(key, Path(entry.path))
        for key in self._present.keys() - there:
            self._lose(key)
        self._look_again()
        self._take_out()

    def _meet(self, key: tuple[str, str, str], path: Path) -> None:
        try:
            found = path.lstat()
        except FileNotFoundError:
            return
        known = self._present.get(key)
        if known is not None:
            if known["inode"] == found.st_ino and known["device"] in {found.st_dev, _ANY_DEVICE}:
                known["device"] = found.st_dev
                return
            # Another one under the same name: the first has gone.
            self._lose(key)
        self._met[key] += 1
        self._see(key, path, "seen", self._ways.pop(key, "found"))
        now = time.monotonic()
        self._again[key] = now + _AGAIN_SECONDS
        if self._plan["take_seconds"] is not None:
            chance = self._random.random()
            share = self._plan["take_share"]
            how = "removed" if chance < share else "collected" if chance < (1 + share) / 2 else "left"
            if how != "left":
                self._take[key] = (now + self._random.uniform(*self._plan["take_seconds"]), how)

    def _see(self, key: tuple[str, str, str], path: Path, what: str, how: str) -> None:
        files, papers = _read(path)
        try:
            status = path.lstat()
        except FileNotFoundError:
            status = None
        line = {
            "what": what,
            "agency": key[0],
            "type": key[1],
            "name": key[2],
            "how": how,
            "device": -1 if status is None else status.st_dev,
            "inode": -1 if status is None else status.st_ino,
            "files": files,
            "papers": papers,
        }
        append_line(self._history, line)
        self._present[key] = line

    def _lose(self, key: tuple[str, str, str]) -> None:
        self._tell("gone", key)
        self._forget(key)

    def _forget(self, key: tuple[str, str, str]) -> None:
        for known in (self._present, self._again, self._take):
            known.pop(key, None)

    def _tell(self, what: str, key: tuple[str, str, str], **more: Any) -> None:
        append_line(self._history, {"what": what, "agency": key[0], "type": key[1], "name": key[2], **more})

    def compare_known(self) -> None:
        """Read again what the history had when this reader began, and what lies there still."""
        for key in sorted(self._unread & self._present.keys()):
            self._compare(key)
        self._unread.clear()

    def compare_everything(self) -> None:
        """Read again all that lies in the inboxes: nobody may change what was delivered, however long ago."""
        self._again.clear()
        for key in sorted(self._present):
            self._compare(key)

    def _look_again(self) -> None:
        now = time.monotonic()
        for key in [key for key, due in self._again.items() if due <= now]:
            self._again.pop(key, None)
            self._compare(key)

    def _compare(self, key: tuple[str, str, str]) -> None:
        """Whatever changed since the last look is written down whole."""
        path = self._inboxes[key[0]] / key[1] / key[2]
        files, _ = _read(path)
        if path.exists() and _differs(files, self._present[key]["files"]):
            self._see(key, path, "changed", "")

    def _take_out(self) -> None:
        now = time.monotonic()
        for key in [key for key, (due, _) in self._take.items() if due <= now]:
            how = self._take.pop(key)[1]
            path = self._inboxes[key[0]] / key[1] / key[2]
            self._compare(key)
            try:
                if how == "collected":
                    (path / "collected").touch()
                    self._tell("collected", key)
                    continue
                trash = Path(self._plan["trash"][key[0]])
                trash.mkdir(exist_ok=True)
                self._taken += 1
                target = trash / f"taken-{os.getpid()}-{self._taken}"
                self._tell("removed", key)
                path.rename(target)
                self._forget(key)
                shutil.rmtree(target)
            except FileNotFoundError:
                # The next look tells that it has gone.
                continue

    # --- events ------------------------------------------------------------------------------

    def _watch(self, code: str, folder: str, path: Path) -> None:
        mask = _CREATE | _MOVED_FROM | _MOVED_TO | _DELETE
        number = _LIBC.inotify_add_watch(self._descriptor, os.fsencode(path), ctypes.c_uint32(mask))
        if number >= 0:
            self._watches[number] = (code, folder)

    def _read_events(self) -> None:
        try:
            data = os.read(self._descriptor, 1 << 16)
        except BlockingIOError:
            return
        while data:
            number, mask, _, length = _EVENT.unpack_from(data)
            name = os.fsdecode(data[_EVENT.size : _EVENT.size + length].rstrip(b"\0"))
            data = data[_EVENT.size + length :]
            if mask & _OVERFLOW:
                append_line(self._history, {"what": "overflow"})
                continue
            code, folder = self._watches.get(number, ("", ""))
            if not folder:
                continue
            key = (code, folder, name)
            if mask & _CREATE:
                self._ways[key] = "created"
            elif mask & _MOVED_TO:
                self._came[key] += 1
                self._ways.setdefault(key, "moved")
                self._note_short_life(key)

    def _note_short_life(self, key: tuple[str, str, str]) -> None:
        """It came by a rename: if it is not there any more at this look, it was there all the same."""
        if self._came[key] <= self._met[key]:
            # The look before was faster than the event.
            self._ways.pop(key, None)
        elif not (self._inboxes[key[0]] / key[1] / key[2]).exists() and key not in self._present:
            self._met[key] += 1
            self._tell("seen", key, how="moved", device=-1, inode=-1, files={}, papers={}, short=True)
            self._tell("gone", key)
            self._ways.pop(key, None)


def _differs(now: dict[str, list[Any]], before: dict[str, list[Any]]) -> bool:
    """The mark that the case software makes does not count."""
    names = {*now, *before} - {"collected"}
    return any(now.get(name) != before.get(name) for name in names)


def _folders(inbox: Path) -> list[Path]:
    try:
        return sorted(Path(entry.path) for entry in os.scandir(inbox) if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        return sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return []


def _read(path: Path) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """Every file of a folder: inode, size, digest; and the daemon's own papers in base64."""
    files: dict[str, list[Any]] = {}
    papers: dict[str, str] = {}
    if not path.is_dir():
        return files, papers
    entries = _entries(path)
    wanted = PAPERS if all(entry.name != _READING[1] for entry in entries) else PAPERS + _READING
    for entry in entries:
        try:
            size, digest = file_digest(Path(entry.path))
            files[entry.name] = [entry.inode(), size, digest]
            if entry.name in wanted and size <= _PAPER_BYTES:
                papers[entry.name] = base64.b64encode(Path(entry.path).read_bytes()).decode("ascii")
        except OSError as error:
            files[entry.name] = [-1, -1, f"unreadable: {error.strerror}"]
    return files, papers


def main() -> None:
    """The process."""
    watching = Watching(json.loads(sys.argv[1]))

    def stop(*_: object) -> None:
        watching.stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    watching.run()


if __name__ == "__main__":
    main()
