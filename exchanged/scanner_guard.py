"""Stands between a worker and the scanner: starts it, limits its time, and ends it with the worker.

Run as a program of its own (``python -I -S scanner_guard.py SECONDS LIFELINE COMMAND...``), so that it
outlives a worker that is killed just long enough to end the scanner and all that it started. It lifts the
worker's limits on memory: they are for parsers of ours. Its exit codes are its own, so that a failure of this
program is never taken for an answer of the scanner.

Known limit: a process that leaves the scanner's process group is not found again.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Final

CLEAN: Final = 70
REFUSED: Final = 71
FAILED: Final = 72
MISSING: Final = 73
TIME_OUT: Final = 74
ORPHANED: Final = 75
REASONS: Final = {
    FAILED: "another exit code",
    MISSING: "the program cannot be started",
    TIME_OUT: "out of time",
    ORPHANED: "the worker ended",
}
_ANSWERS: Final = {0: CLEAN, 1: REFUSED}


def main(arguments: list[str]) -> int:
    """Run the scanner on standard input. The exit code, see above."""
    seconds, lifeline, command = float(arguments[0]), int(arguments[1]), arguments[2:]
    for name in (signal.SIGHUP, signal.SIGPIPE, signal.SIGINT):
        signal.signal(name, signal.SIG_DFL)
    for limit in (resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_CPU):
        # Where that is not allowed the scanner may fail, which holds the packet.
        with suppress(OSError, ValueError):
            _, most = resource.getrlimit(limit)
            resource.setrlimit(limit, (most, most))
    try:
        scanner = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
    except (OSError, ValueError):
        return MISSING
    ended = os.pidfd_open(scanner.pid)
    try:
        waiting = select.poll()
        waiting.register(ended, select.POLLIN)
        waiting.register(lifeline, select.POLLIN)
        ready = {descriptor for descriptor, _ in waiting.poll(seconds * 1000)}
    finally:
        # Not reaped yet, so its number is still its own; whatever it left running ends as well.
        with suppress(ProcessLookupError):
            os.killpg(scanner.pid, signal.SIGKILL)
        code = scanner.wait()
    if ended in ready:
        return _ANSWERS.get(code, FAILED)
    return ORPHANED if ready else TIME_OUT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
