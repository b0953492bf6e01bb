"""A real daemon under the trap: sends its listener to a socket, then becomes ``cli.daemon``.

python -m certainty.sweep.trapped SOCKET --config FILE
"""

from __future__ import annotations

import os
import runpy
import socket
import sys

from certainty.sweep.calls import SYNCS, die_with_parent, trap


def main() -> None:
    """Never comes back."""
    die_with_parent()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as harness:
        harness.connect(sys.argv[1])
        listener = trap(SYNCS)
        socket.send_fds(harness, [b"x"], [listener])
        os.close(listener)
    sys.argv = ["exchanged", *sys.argv[2:]]
    runpy.run_module("cli.daemon", run_name="__main__")


if __name__ == "__main__":
    main()
