"""Ends a daemon by SIGKILL at its n-th step on the disk, counted from a signal on.

Steps are: before an fsync, after a rename, before a commit of the ledger. The signal is SIGUSR2, so that
starting up does not count. Used by the parent that forks daemons, when it is asked to; a real end of a real
process, at a moment that is drawn instead of hit by chance.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable
from typing import Any


def install(number: int) -> None:
    """Die at step ``number`` after SIGUSR2. Call before the daemon opens anything."""
    state = {"armed": False, "left": number}

    def point() -> None:
        if state["armed"]:
            state["left"] -= 1
            if state["left"] <= 0:
                os.killpg(os.getpid(), signal.SIGKILL)

    def arm(*_: object) -> None:
        state["armed"] = True

    def before(function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            point()
            return function(*args, **kwargs)

        return called

    def after(function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            answer = function(*args, **kwargs)
            point()
            return answer

        return called

    def connect(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = opened(*args, **kwargs)
        connection.set_trace_callback(lambda text: point() if text == "COMMIT" else None)
        return connection

    from exchanged import volume

    signal.signal(signal.SIGUSR2, arm)
    opened = sqlite3.connect
    sqlite3.connect = connect  # type: ignore[assignment]
    os.fsync = before(os.fsync)
    os.rename = after(os.rename)
    os.replace = after(os.replace)
    volume.Kernel.rename_new = after(volume.Kernel.rename_new)  # type: ignore[method-assign]
