"""The reader: a process of its own that watches inboxes and writes down every appearance.

Guarantees: of whatever appears in a type folder it writes down name, device, inode, the way (by one rename,
made in place, or found by looking), and at once the size, inode and digest of every file, so that a folder
that was visible before it was whole shows; it reads everything again soon after, before it takes it, when it
is stopped, and when it is started anew, and writes down what changed; what goes away without its doing, and
what appears again, is written down too. Events come from inotify; besides, it looks at
all inboxes many times a second. It plays the case software: after a while it takes part of the packets out
(so that a second delivery would show) and marks others with ``collected``.

Known limit: what appears and vanishes between two looks on a share that gives no events is not seen.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from certainty.books.world import World, read_lines

# At its end it reads all that lies in the inboxes.
_PATIENCE_SECONDS: Final = 120.0


class Reader:
    """Runs the process; a context manager. ``start`` and ``stop`` may be called again (remounted volumes).

    ``take_seconds``: how long a packet lies before it is taken out, drawn between the two; None: never.
    ``take_share``: which share is taken out; half of the rest is marked ``collected``.
    ``agencies``: only these, for a reader of one agency (several readers: give each a world of its own).
    """

    def __init__(
        self,
        world: World,
        *,
        take_seconds: tuple[float, float] | None = (0.5, 3.0),
        take_share: float = 0.6,
        seed: int = 1,
        agencies: tuple[str, ...] = (),
    ) -> None:
        chosen = agencies or tuple(world.agencies)
        self._world = world
        self._plan = {
            "inboxes": {code: str(world.agencies[code] / "inbox") for code in chosen},
            "history": str(world.inbox_history),
            "trash": {
                code: str(world.agencies[code].parent / f".case-software-{world.agencies[code].name}")
                for code in chosen
            },
            "take_seconds": take_seconds,
            "take_share": take_share,
            "seed": seed,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start watching; returns when every inbox is being watched."""
        command = (sys.executable, "-P", "-m", "certainty.books.watching", json.dumps(self._plan))
        home = str(Path(__file__).resolve().parents[2])
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join((home, os.environ.get("PYTHONPATH", "")))}
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"watching\n":
            raise RuntimeError("the reader process did not start")

    def stop(self) -> None:
        """Let it look once more, and end it. Raises RuntimeError when it had ended by itself."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        code = process.wait(_PATIENCE_SECONDS)
        if process.stdout is not None:
            process.stdout.close()
        if code != 0:
            raise RuntimeError(f"the reader process ended with {code}: its history has a gap")

    def kill(self) -> None:
        """End it at once, whatever it is at; fine when it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(_PATIENCE_SECONDS)
            if process.stdout is not None:
                process.stdout.close()

    @property
    def seen(self) -> int:
        """How many appearances stand in the history so far."""
        return sum(line["what"] == "seen" for line in read_lines(self._world.inbox_history))
