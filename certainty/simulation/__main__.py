"""Play seeds of the simulation and tell what happened.

    python -m certainty.simulation --seed N [--mode safety|liveness] [--trail]
    python -m certainty.simulation --seed N --until M [--workers 2] [--seconds S] [--json]

Without ``--until`` one seed is played twice, and both runs must be alike. Exit code 0: nothing was violated;
1: something was; 3: the two runs differ.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Final

from cli.closed_pipe import run_program

# Sets of names have one order in every process then.
_HASH_SEED: Final = "0"


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m certainty.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--mode", choices=("safety", "liveness"), default="safety")
    parser.add_argument("--trail", action="store_true", help="print every line of what happened")
    parser.add_argument("--until", type=int, help="play the seeds up to this one, without it")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no seed after so long")
    parser.add_argument("--json", action="store_true", help="one object a line for each seed")
    given = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != _HASH_SEED:
        command = [sys.executable, "-m", "certainty.simulation", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, "PYTHONHASHSEED": _HASH_SEED})  # noqa: S606
    # Not before: everything below takes a while to load.
    from certainty.simulation import crowd
    from certainty.simulation.run import Mode

    mode = Mode(given.mode)
    if given.until is not None:
        return crowd.play(
            range(given.seed, given.until), mode, given.workers, given.seconds, as_json=given.json
        )
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="simulation-", dir=memory) as folder:
        return crowd.tell(Path(folder), given.seed, mode, with_trail=given.trail)


if __name__ == "__main__":
    sys.exit(run_program(main))
