"""A reader that takes every packet out of the inboxes as soon as it shows, as case software does.

Guarantees: what it saw lies aside, whole, once for each time that it appeared, so that a second delivery of
the same packet shows, also one that the exchange would have absorbed onto a name that still lay there.
Leaves to others: whether the first one is what was dropped (``judging``, ``cli.demo.audit``).
"""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from certainty.shard import Violation
from cli.demo.watch import Agency
from packet_spec.identity import PacketKey, sha256_hex

_LOOK_SECONDS: Final = 0.1
# A folder that is delivered again would show within a few looks of the node.
_LATE_SECONDS: Final = 3.0
_FIRST: Final = "1"
_NAME: Final = re.compile(r"(\d{6}-\d{2}-\d{2}_[0-9a-f-]{36})(?:_a\d{1,9})?")
# The receiver's node writes these anew at each delivery: they name the moment.
_PAPERS: Final = frozenset({"delivery.xml", "accepted.xml", "collected"})


@dataclass(frozen=True, slots=True)
class ReadAgency(Agency):
    """An agency whose packets are taken ``aside``: what came lies there, or still in the inbox."""

    aside: Path

    def folders(self) -> tuple[Path, ...]:
        """Every folder that was delivered; one that was delivered twice is there twice."""
        return (*Agency.folders(self), *sorted(self.aside.glob("*/*/*")))

    def folder(self, key: PacketKey, business_type: str) -> Path | None:
        """The folder of that packet, or None while it was not taken."""
        path = self.aside / _FIRST / business_type / f"{key.sender}_{key.packet_id}"
        return path if path.is_dir() else None


class Taker:
    """Takes from ``inboxes``, by agency, into ``aside``/agency/number of the appearance/type/name.

    ``runs``: by itself, many times a second; else only when ``look`` is called.
    """

    def __init__(self, inboxes: Mapping[str, Path], aside: Path, *, runs: bool = True) -> None:
        self._inboxes = dict(inboxes)
        self._aside = aside
        self._came: dict[tuple[str, str], list[Path]] = defaultdict(list)
        self._guard = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        if runs:
            self._thread.start()

    @property
    def taken(self) -> int:
        """How many folders it took."""
        return sum(map(len, self._came.values()))

    def agency(self, code: str, root: Path) -> ReadAgency:
        """That agency's folders, with what was taken."""
        return ReadAgency(code, root, self._aside / code)

    def stop(self) -> None:
        """Take nothing more by itself."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """Take everything that lies there now."""
        with self._guard:
            for code, inbox in self._inboxes.items():
                for folder in _folders(inbox):
                    self._take(code, folder)

    def look_late(self) -> None:
        """Everything has come to rest: take also what comes again a moment later."""
        time.sleep(_LATE_SECONDS)
        self.look()

    def violations(self, case: str) -> list[Violation]:
        """What came more than once, and whether with other bytes; and what bears no packet's name."""
        found: list[Violation] = []
        for (code, name), paths in sorted(self._came.items()):
            if _NAME.fullmatch(paths[0].name) is None:
                found.append(Violation("I3", case, f"{code}: {paths[0].name} is no packet's folder"))
            if len(paths) == 1:
                continue
            found.append(Violation("I2", case, f"{code}: {name} was delivered {len(paths)} times"))
            if any(_contents(path) != _contents(paths[0]) for path in paths[1:]):
                found.append(Violation("I4", case, f"{code}: {name} was delivered again with other bytes"))
        return found

    def _work(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            # A volume that is not there at the moment shows nothing.
            with suppress(OSError):
                self.look()

    def _take(self, code: str, folder: Path) -> None:
        match = _NAME.fullmatch(folder.name)
        times = self._came[code, match[1] if match else folder.name]
        target = self._aside / code / str(len(times) + 1) / folder.parent.name / folder.name
        target.parent.mkdir(parents=True, exist_ok=True)
        # Gone before it could be taken: then it lies nowhere, which is told at the end.
        with suppress(FileNotFoundError):
            shutil.move(folder, target)
            times.append(target)


def _folders(inbox: Path) -> list[Path]:
    types = [path for path in inbox.iterdir() if path.is_dir()] if inbox.is_dir() else []
    return [folder for each in types for folder in each.iterdir()]


def _contents(folder: Path) -> dict[str, str]:
    """What the sender wrote and sealed, by name."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in _PAPERS)
    return {str(path.relative_to(folder)): sha256_hex(path.read_bytes()) for path in files}
