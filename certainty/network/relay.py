"""Who carries the files between two mailboxes, and may lose, delay, mix, repeat or change them.

``Relay`` stands between the mailbox that a front-end writes and the one that the province serves, as a relay
host or a carried disk would, and copies files from one to the other. It has no keys. While it is honest, both
are alike.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from certainty.network.stage import COURT, POLICE, PROCURATORATE, Stage
from certainty.shard import Run

CODES = (POLICE, PROCURATORATE, COURT)
_LIMITS = {"link_scan_seconds": "0.5", "retry_first_seconds": "0.1", "retry_max_seconds": "0.5"}
_DIRECTIONS = ("up", "down")
# What is put beside the honest files stays for several looks of whoever reads there.
STAY_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Step:
    """One file that is due to be copied: what it holds and where it belongs."""

    code: str
    direction: str
    name: str
    data: bytes
    age: float

    @property
    def number(self) -> int:
        """The number of a batch; 0 for an acknowledgement and a large part."""
        return int(self.name[:8]) if self.name[:8].isdigit() and self.name.endswith(".batch") else 0


@dataclass(frozen=True, slots=True)
class Put:
    """A file that was put and is none that its writer put there."""

    folder: Path
    name: str


class Relay:
    """Copies between ``near`` (the front-ends' side) and ``far`` (the province's); ``treat`` decides how.

    ``treat`` returns what is really put: (folder, name, bytes) for each; nothing to put nothing this time.
    """

    def __init__(self, near: Path, far: Path, seed: int) -> None:
        self.near, self.far = near, far
        self.draw = random.Random(seed)
        self.treat: Callable[[Step], list[tuple[Path, str, bytes]]] = self.honest
        self.history: list[Step] = []
        self.puts: list[Put] = []
        # The highest number of a batch that was carried, by mailbox and direction.
        self.highest: dict[tuple[str, str], int] = {}
        self._first: dict[tuple[str, str, str, bytes], float] = {}
        self._put: dict[Path, bytes] = {}
        self._strays: dict[Path, float] = {}
        self._ended = threading.Event()
        self.is_running = True
        self._guard = threading.Lock()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Begin to carry."""
        self._thread.start()

    def stop(self) -> None:
        """Carry nothing more."""
        self._ended.set()
        self._thread.join()

    def honest(self, step: Step) -> list[tuple[Path, str, bytes]]:
        """The file as it is."""
        return [(self.target(step), step.name, step.data)]

    def target(self, step: Step, code: str = "", direction: str = "") -> Path:
        """Where a file belongs, or would belong in another mailbox."""
        direction = direction or step.direction
        return (self.far if direction == "up" else self.near) / (code or step.code) / direction

    def answer(self, step: Step) -> Path:
        """Where the reader of a file says what it acknowledges."""
        back = "down" if step.direction == "up" else "up"
        return (self.far if step.direction == "up" else self.near) / step.code / back / "ack.batch"

    def trip(self) -> None:
        """Carry once."""
        with self._guard:
            for code in CODES:
                for direction in _DIRECTIONS:
                    self._one(code, direction)

    def _work(self) -> None:
        while not self._ended.wait(0.05):
            if self.is_running:
                with suppress(OSError):
                    self.trip()

    def _one(self, code: str, direction: str) -> None:
        source = (self.near if direction == "up" else self.far) / code / direction
        target = (self.far if direction == "up" else self.near) / code / direction
        lying = {path.name: path for path in source.iterdir() if not path.name.startswith(".")}
        for name in [path.name for path in target.iterdir()]:
            # Its writer removed it.
            if name not in lying and not name.startswith(".") and not self._stays(target / name):
                (target / name).unlink(missing_ok=True)
        for name, path in sorted(lying.items()):
            with suppress(FileNotFoundError):
                data = path.read_bytes()
                if self._is_there(target / name, data):
                    continue
                key = (code, direction, name, data)
                is_new = key not in self._first
                age = time.monotonic() - self._first.setdefault(key, time.monotonic())
                step = Step(code, direction, name, data, age)
                if is_new:
                    self.history.append(step)
                way = (code, direction)
                self.highest[way] = max(self.highest.get(way, 0), step.number)
                for folder, put, content in self.treat(step):
                    self.write(folder / put, content)
                    if (folder, put, content) != (target, name, data):
                        self.puts.append(Put(folder, put))
                        self._strays[folder / put] = time.monotonic()
                    if folder == target and put == name:
                        # What was carried once is not compared again, unless it was changed on purpose.
                        self._put[target / name] = data

    def _is_there(self, path: Path, data: bytes) -> bool:
        with suppress(FileNotFoundError):
            return path.read_bytes() == data or (self._put.get(path) == data and self.treat != self.honest)
        return False

    def _stays(self, path: Path) -> bool:
        since = self._strays.get(path)
        return since is not None and time.monotonic() - since < STAY_SECONDS

    def write(self, path: Path, data: bytes) -> None:
        """Put a file in one step."""
        beside = path.parent / f".{secrets.token_hex(6)}.copy"
        beside.write_bytes(data)
        beside.rename(path)


def relayed_stage(run: Run, name: str, daemon: tuple[str, ...] = ()) -> tuple[Stage, Relay]:
    """Folder links whose two ends lie apart, and the relay between them; neither is started."""
    stage = Stage(
        run.folder / name, CODES, seed=run.seed, limits=_LIMITS, link="folder", daemon=daemon
    )
    near = run.folder / f"{name}-near"
    for code in CODES:
        for direction in _DIRECTIONS:
            (near / code / direction).mkdir(parents=True)
        path = stage.lab.node_config(code)
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(str(stage.mailbox(code)), str(near / code)), encoding="utf-8")
    return stage, Relay(near, stage.folder / "mailboxes", run.seed)
