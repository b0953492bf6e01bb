"""Whoever reads what a program prints may stop reading (``| head``): that is no error, and no traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from cli.exit_codes import ExitCode


def stop_printing(code: ExitCode) -> int:
    """Nobody can be told any more: end quietly, also when Python flushes at exit. Returns ``code``."""
    with open(os.devnull, "w", encoding="ascii") as nothing:  # noqa: PTH123 - a device, not a path of ours
        os.dup2(nothing.fileno(), sys.stdout.fileno())
    return code


def run_program(main: Callable[[], int]) -> int:
    """The exit code of ``main``, or that of a pipe which nobody reads any more."""
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        return stop_printing(ExitCode.PIPE_CLOSED)
    return code
