"""Ends a daemon by SIGKILL at its n-th step on the disk, counted from a signal on.

Steps are: before an fsync, before and after a rename, before a commit of the ledger. The signal is
SIGUSR2, so that starting up does not count. With ``under``, a folder, only flushes of that folder's volume
and commits count, from the first rename into it on: so a power cut can meet what was renamed there, is called
delivered, and was not flushed yet; and with a number below zero the end comes right before that rename.
Used by the parent that forks daemons, when it is asked to; a real end of a real process, at a moment that is
drawn instead of hit by chance.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

_LAST: Final = b"cut: killed at its step\n"


def was_cut(log: Path, begin: int = 0) -> bool:
    """Whether the life that this log tells of from byte ``begin`` on ended at a step of this module."""
    with log.open("rb") as file:
        file.seek(begin)
        return _LAST in file.read()


def install(number: int, under: str = "") -> None:
    """Die at step ``number`` after SIGUSR2. Call before the daemon opens anything."""
    state = {"armed": False, "counting": not under, "left": number}
    device = Path(under).stat().st_dev if under else -1

    def point() -> None:
        if state["armed"] and state["counting"]:
            state["left"] -= 1
            if state["left"] <= 0:
                # Standard error is the log: whoever reads it can tell this end from any other.
                with suppress(OSError):
                    os.write(2, _LAST)
                os.killpg(os.getpid(), signal.SIGKILL)

    def arm(*_: object) -> None:
        state["armed"] = True

    def flushing(function: Callable[..., Any]) -> Callable[..., Any]:
        def called(descriptor: int) -> Any:
            if not under or os.fstat(descriptor).st_dev == device:
                point()
            return function(descriptor)

        return called

    def renaming(function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            into = bool(under) and state["armed"] and os.fsdecode(args[-1]).startswith(under)
            if not under or (into and number < 0):
                state["counting"] = True
                point()
            answer = function(*args, **kwargs)
            if not under:
                point()
            elif into:
                state["counting"] = True
            return answer

        return called

    def committing(text: str) -> None:
        if text == "COMMIT":
            point()

    def connect(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = opened(*args, **kwargs)
        connection.set_trace_callback(committing)
        return connection

    from exchanged import volume

    signal.signal(signal.SIGUSR2, arm)
    opened = sqlite3.connect
    sqlite3.connect = connect  # type: ignore[assignment]
    os.fsync = flushing(os.fsync)
    os.rename = renaming(os.rename)
    os.replace = renaming(os.replace)
    volume.Kernel.rename_new = renaming(volume.Kernel.rename_new)  # type: ignore[method-assign]
