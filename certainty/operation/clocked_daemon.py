"""The daemon with a wall clock that the shard turns while it runs; the monotonic clock goes on as it is.

    python -m certainty.operation.clocked_daemon FOLDER --config FILE

FOLDER/<node> holds the offset in seconds and FOLDER/turned_clock.so the library (``turned_clock.c``) that
adds it to what the machine says, in the daemon and in its workers. The product's code is unchanged.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Final

_LIBRARY: Final = "turned_clock.so"
DAY: Final = 86_400


def build(folder: Path) -> None:
    """Compile the library into ``folder``. Raises CalledProcessError."""
    source = Path(__file__).with_name("turned_clock.c")
    line = ["cc", "-O2", "-shared", "-fPIC", "-o", str(folder / _LIBRARY), str(source)]
    subprocess.run(line, check=True)


def turn(folder: Path, node: str, seconds: int) -> None:
    """Set how far a node's clock is off, also while it runs: eight bytes, written at once."""
    path = folder / node
    path.touch()
    with path.open("r+b", buffering=0) as file:
        file.write(struct.pack("=q", seconds))


def main() -> None:
    """Become the daemon, with the library before it."""
    folder, config = Path(sys.argv[1]), Path(sys.argv[-1])
    more = {"LD_PRELOAD": str(folder / _LIBRARY), "CERTAINTY_CLOCK": str(folder / config.parent.name)}
    line = [sys.executable, "-P", "-m", "cli.daemon", *sys.argv[2:]]
    os.execve(sys.executable, line, os.environ | more)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
