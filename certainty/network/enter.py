"""Runs a node's daemon inside the network namespace that a table names for it: ``enter.py TABLE CONFIG``.

The abstract notify socket of the lab is not to be seen from another network namespace, so a child that stays
outside passes READY on. The child ends with that word, or after two minutes.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
from pathlib import Path

_PATIENCE_SECONDS = 120.0


def main(table: str, config: str) -> None:
    """Become the daemon."""
    command = [sys.executable, "-P", "-m", "cli.daemon", "--config", config]
    space = json.loads(Path(table).read_text(encoding="utf-8")).get(config, "")
    if not space:
        os.execv(command[0], command)  # noqa: S606 - this is what it is for
    outside = os.environ.get("NOTIFY_SOCKET", "")
    if outside.startswith("@"):
        folder = Path(tempfile.mkdtemp(prefix="certainty-notify-"))
        path = str(folder / "socket")
        inside = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        inside.bind(path)
        if os.fork() == 0:
            _pass_on(inside, "\0" + outside[1:], folder)
        inside.close()
        os.environ["NOTIFY_SOCKET"] = path
    os.execvp("ip", ["ip", "netns", "exec", space, *command])  # noqa: S606 - likewise


def _pass_on(inside: socket.socket, outside: str, folder: Path) -> None:
    try:
        inside.settimeout(_PATIENCE_SECONDS)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mouth:
            while b"READY=1" not in (said := inside.recv(4096)):
                mouth.sendto(said, outside)
            mouth.sendto(said, outside)
    except OSError:
        pass
    finally:
        (folder / "socket").unlink(missing_ok=True)
        folder.rmdir()
        os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:3])
