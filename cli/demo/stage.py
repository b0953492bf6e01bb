"""The lab of a demo: made, started, and afterwards stopped for certain, and gone unless it is to be kept.

Guarantees: whatever ends the demo (an error, a signal, a closed pipe), no process of the lab is left, and a
temporary folder is removed. Known limit: a demo that is itself killed by SIGKILL leaves its lab running;
``exchangectl lab stop DIR`` ends it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cli.demo.errors import NoRoomError
from cli.demo.waits import Waits
from cli.lab.lab import Lab, create_lab
from cli.lab.plan import default_plan
from cli.render import size
from packet_spec.limits import MIB

_PREFIX: Final = "exchanged-demo-"
# The video lies in sent/, three nodes and the inbox for good, and in two mailboxes for a while.
_COPIES: Final = 8
_BESIDE_VIDEO_BYTES: Final = 300 * MIB
# A socket's path has 107 bytes (unix(7)), and multiprocessing adds /pymp-xxxxxxxx/listener-xxxxxxxx.
_SOCKET_FOLDER_BYTES: Final = 72
_TAIL_LINES: Final = 6
_TAIL_BYTES: Final = 64 * 1024


@contextmanager
def demo_lab(keep: Path | None, link: str, video_bytes: int, waits: Waits) -> Iterator[Lab]:
    """A lab of ten agencies, not started yet: in ``keep``, or in a temporary folder that goes with the block.

    Raises NoRoomError before anything is made, LabError as ``create_lab``.
    """
    above = Path(tempfile.gettempdir()) if keep is None else _existing(keep.absolute())
    need = _COPIES * video_bytes + _BESIDE_VIDEO_BYTES
    free = shutil.disk_usage(above).free
    if free < need:
        raise NoRoomError(
            "there is no room for the demo",
            where=str(above),
            expected=f"{size(need)} free",
            found=f"{size(free)} free",
        )
    # Signals are only noted, so nothing comes between making the folder and being ready to remove it.
    temporary = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        waits.check()
        with _temporary_files_in(temporary / "t"):
            lab = create_lab(temporary / "lab" if keep is None else keep, default_plan(), link)
            with _stopped_afterwards(lab):
                yield lab
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def start_lab(lab: Lab, waits: Waits, ready: Callable[[str], None]) -> None:
    """Start everything; ``ready`` is called for each process. Raises LabError, Interrupted."""

    def started(name: str) -> None:
        ready(name)
        waits.check()

    lab.start(started)


def log_tails(lab: Lab) -> list[str]:
    """The last warnings and errors of the nodes' logs, and the last word of a node that died."""
    lines: list[str] = []
    died = {state.name for state in lab.status() if state.state == "died"}
    for code in lab.nodes:
        tail = _tail(lab.log(code))
        chosen = tail if code in died else [line for line in tail if _is_loud(line)]
        if chosen:
            lines.append(f"{lab.log(code)}:")
            lines += [f"  {line}" for line in chosen[-_TAIL_LINES:]]
    return lines


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Daemons that are started in this block put their temporary files there.

    A daemon that is killed leaves its own behind. They hold sockets, whose paths must be short: below a
    long TMPDIR nothing is changed.
    """
    if len(str(folder)) > _SOCKET_FOLDER_BYTES:
        yield
        return
    folder.mkdir(mode=0o700)
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before


@contextmanager
def _stopped_afterwards(lab: Lab) -> Iterator[None]:
    try:
        yield
    finally:
        lab.stop()


def _existing(path: Path) -> Path:
    """The nearest folder above ``path`` that is there."""
    return next((each for each in (path, *path.parents) if each.is_dir()), Path("/"))


def _tail(log: Path) -> list[str]:
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _TAIL_BYTES))
            return file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _is_loud(line: str) -> bool:
    """A warning or error by its level; everything that is no line of ours (a traceback) is one too."""
    words = line.split(" ", 2)
    return len(words) < 2 or words[1] not in {"debug", "info"}
