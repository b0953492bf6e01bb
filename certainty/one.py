"""The process of one shard: it runs the body, and writes what it finds as JSON lines.

    python -m certainty.one MODULE[:FUNCTION] FOLDER SEED SECONDS [--quick]

Lines on standard output: ``{"progress": [done, total, what]}``, ``{"outcome": {...}}`` and, at the end of a
body that did not fail, ``{"done": true}``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Final, TextIO

from certainty.shard import Run, Work

ARGUMENTS: Final = 4


def body_of(module: str) -> Work:
    """The function that does the work of a shard."""
    module, _, name = module.partition(":")
    body: Work = getattr(import_module(module), name or "work")
    return body


def main(arguments: list[str]) -> int:
    """Exit code 0: the body came to its end, whatever it found."""
    quick = "--quick" in arguments
    module, folder, seed, seconds = [each for each in arguments if each != "--quick"][:ARGUMENTS]
    # What the body or its libraries print must not get between the lines.
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    # Whoever ends it lets it clean up what it mounted.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(128 + signal.SIGTERM))

    def progress(done: int, total: int, what: str) -> None:
        _write(lines, {"progress": [done, total, what]})

    run = Run(quick, int(seed), Path(folder), float(seconds), progress)
    for outcome in body_of(module)(run):
        _write(lines, {"outcome": asdict(outcome)})
    _write(lines, {"done": True})
    return 0


def _write(lines: TextIO, value: object) -> None:
    lines.write(json.dumps(value, ensure_ascii=False) + "\n")
    lines.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
