"""Run the body of one shard by its module, without the books of the whole: for whoever writes it.

    python -m certainty.try_shard certainty.sweep.kills [--quick] [--seed N] [--keep]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from certainty.one import body_of
from certainty.shard import Run
from cli.closed_pipe import run_program


def _progress(done: int, total: int, what: str) -> None:
    print(f"  {done}/{total} {what}", file=sys.stderr, flush=True)


def main() -> int:
    """Exit code 0: no violation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="do not remove the folder")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="certainty-"))
    began, violated = time.monotonic(), False
    try:
        run = Run(given.quick, given.seed, folder, progress=_progress)
        for outcome in body_of(given.module)(run):
            slowest = max(outcome.recovery_seconds, default=0.0)
            print(f"{outcome.row}: {outcome.cases} cases, {len(outcome.violations)} violations,"
                  f" slowest recovery {slowest:.2f} s. {outcome.measured}{outcome.not_run}")  # fmt: skip
            for violation in outcome.violations[:20]:
                violated = True
                print(f"    {violation.invariant} {violation.case}: {violation.what}")
        print(f"took {time.monotonic() - began:.1f} s; folder {folder}")
    finally:
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)
    return int(violated)


if __name__ == "__main__":
    sys.exit(run_program(main))
