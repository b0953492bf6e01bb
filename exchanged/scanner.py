"""An external scanner looks at every document, and fails closed: without a clear answer a packet is held.

Guarantees: the command gets the document on standard input and its listed name in the environment, and
nothing else of ours: no descriptor, no other variable, no limit of the worker that asks. Exit 0 is clean, 1
refuses; anything else, a program that is missing and one that takes too long raise ScannerFailedError. It
ends with its time or with whoever asked, even when that is killed (``scanner_guard``).

Leaves to others: which program it is and how good (``[scanner]``, docs/operating.md). Known limit: what the
program hands to a service of the machine, as clamdscan does, is done by that service in its own time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from exchanged import scanner_guard
from exchanged.config_values import ScannerConfig
from exchanged.errors import ScannerFailedError

# What the scanner may know of its surroundings.
_PASSED_ON: Final = (b"PATH", b"HOME", b"LANG", b"LC_ALL", b"TZ")
NAME_VARIABLE: Final = "EXCHANGED_FILE_NAME"
# The guard ends the scanner in time; should it hang itself, it is ended so long after.
_GUARD_SECONDS: Final = 10.0


def is_clean(scanner: ScannerConfig, document: int, name: str, seconds: float) -> bool:
    """Whether the scanner lets the document pass. ``document`` is a descriptor at its first byte.

    ``name`` is the listed one; at most ``seconds`` are given. Raises ScannerFailedError.
    """
    environment = {key: os.environb[key] for key in _PASSED_ON if key in os.environb}
    environment[NAME_VARIABLE.encode()] = name.encode()
    guard = Path(scanner_guard.__file__)
    lifeline, held = os.pipe()
    try:
        command = [sys.executable, "-I", "-S", str(guard), str(seconds), str(lifeline), *scanner.command]
        code = _run(command, environment, document, lifeline, seconds + _GUARD_SECONDS)
    finally:
        os.close(lifeline)
        # Whoever holds this end is alive: the guard ends the scanner when it is closed.
        os.close(held)
    if code not in (scanner_guard.CLEAN, scanner_guard.REFUSED):
        raise ScannerFailedError(
            "the scanner gave no answer",
            where=scanner.command[0],
            expected="exit 0 or 1",
            found=scanner_guard.REASONS.get(code, f"guard {code}"),
        )
    return code == scanner_guard.CLEAN


def _run(
    command: list[str], environment: dict[bytes, bytes], document: int, lifeline: int, seconds: float
) -> int:
    try:
        guard = subprocess.Popen(
            command,
            stdin=document,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd="/",
            pass_fds=(lifeline,),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise ScannerFailedError("the scanner cannot be started", found=type(error).__name__) from error
    try:
        return guard.wait(seconds)
    except subprocess.TimeoutExpired:
        return scanner_guard.TIME_OUT
    finally:
        with suppress(ProcessLookupError):
            guard.kill()
        guard.wait()
