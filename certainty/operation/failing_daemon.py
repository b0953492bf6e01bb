"""The daemon with a fail point: a packet that bears a mark ends its worker, or the whole process.

    python -m certainty.operation.failing_daemon FOLDER --config FILE

The product's code is unchanged. Where ``cli.wiring`` makes the pool of workers, it gets one that looks at
each piece of work first. A mark is ``POISON.<node>.<way>.<number>`` anywhere in the packet; while the file
FOLDER/active exists, a piece with a mark for this node goes that way. Every death is noted in FOLDER/deaths
before it happens, and in FOLDER/crashes each time that the daemon is answered that a marked piece ended its
worker. The ways of a worker: killed, aborted, crashed, out-of-memory, endless; of the daemon: before the
workers have the piece, and after they answered.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

MARK: Final = re.compile(rb"POISON\.([a-z0-9-]+)\.([a-z-]+)\.(\d+)")
DAEMON_WAYS: Final = ("daemon-before", "daemon-after")
WORKER_WAYS: Final = ("killed", "aborted", "crashed", "out-of-memory", "endless")
_MOST_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class FailPoint:
    """Which marks count at this node, and where deaths are noted."""

    folder: Path
    node: str

    def find(self, work: object) -> tuple[str, str]:
        """The way that this piece of work is to go, and its mark; empty for any other piece."""
        if not (self.folder / "active").exists():
            return "", ""
        found = MARK.search(_bytes_of(work))
        is_here = found is not None and found[1].decode() == self.node
        return (found[2].decode(), found[0].decode()) if found is not None and is_here else ("", "")

    def note(self, file: str, mark: str) -> None:
        """Write one line about a mark."""
        with (self.folder / file).open("ab", buffering=0) as notes:
            notes.write(f"{mark} {os.getpid()}\n".encode())

    def die(self, way: str, mark: str) -> None:
        """End this process, after a note of it."""
        self.note("deaths", mark)
        match way:
            case "aborted":
                os.abort()
            case "crashed":
                ctypes.string_at(0)
            case "out-of-memory":
                raise MemoryError
            case "endless":
                time.sleep(3600)
            case _:
                os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Poisoned:
    """A function of a worker, with the fail point before it."""

    point: FailPoint
    function: Callable[[Any], Any]

    def __call__(self, work: Any) -> Any:
        """Die on a marked piece; otherwise do the work."""
        way, mark = self.point.find(work)
        if way in WORKER_WAYS:
            self.point.die(way, mark)
        return self.function(work)


def _bytes_of(work: object) -> bytes:
    """What a piece of work is about: a drop's packet.xml, or the sealed packet in the spool."""
    xml = getattr(work, "packet_xml", None)
    if isinstance(xml, bytes):
        return xml
    path, start, length = (getattr(work, name, None) for name in ("path", "start", "length"))
    if not (isinstance(path, str) and isinstance(start, int) and isinstance(length, int)):
        return b""
    with Path(path).open("rb") as file:
        file.seek(start)
        return file.read(min(length, _MOST_BYTES))


def install(point: FailPoint) -> None:
    """Let the node that is wired in this process have the fail point."""
    # Here and not above: workers import this module, and need no engine.
    from cli import wiring
    from exchanged.errors import WorkerDiedError
    from exchanged.pool import ProcessWorkPool

    class Pool(ProcessWorkPool):
        """The product's pool, with a look at every piece of work."""

        def run(self, function: Callable[[Any], Any], works: Sequence[Any]) -> list[Any]:
            """Die before or after the work, or let the workers die on it."""
            found = [point.find(work) for work in works]
            for way, mark in found:
                if way == "daemon-before":
                    point.die(way, mark)
            answers: list[Any] = super().run(Poisoned(point, function), works)
            for (_way, mark), answer in zip(found, answers, strict=True):
                if mark and isinstance(answer, WorkerDiedError):
                    point.note("crashes", mark)
            for way, mark in found:
                if way == "daemon-after":
                    point.die(way, mark)
            return answers

    vars(wiring)[ProcessWorkPool.__name__] = Pool


def main() -> None:
    """The daemon of the configuration that stands last, as the product starts it."""
    from cli import daemon

    folder, config = Path(sys.argv[1]), Path(sys.argv[-1])
    install(FailPoint(folder, config.parent.name))
    sys.argv[1:2] = []
    daemon.main()


if __name__ == "__main__":
    main()
