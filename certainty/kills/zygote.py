"""A process that has loaded the program and forks daemons on demand, so that a restart costs no import.

The daemons are real: each is a process of its own in a session of its own, runs ``cli.daemon``, starts its
own workers, and is ended by SIGKILL. Only reading the program from disk anew is left out.

It reads lines of JSON from its standard input, ``{"config", "log", "environment", "cut"?, "under"?}``, and
answers each with the process number of the daemon that it forked. It ends when its input ends.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

from certainty.sweep.calls import die_with_parent


def _preload() -> None:
    """Everything that a daemon of any role would import."""
    import gc

    import frontend_server.role  # noqa: F401
    from packet_spec.catalogue import load_catalogue

    load_catalogue()
    # A collector that looks through what every daemon shares would copy it for each of them.
    gc.collect()
    gc.freeze()


def _become_daemon(order: dict[str, Any]) -> None:
    """In the child: what a service manager would have set up."""
    import random

    os.setsid()
    die_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    random.seed()
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.closerange(3, 256)
    os.environ.update(order["environment"])
    if "cut" in order:
        from certainty.kills.cutting import install

        install(int(order["cut"]), order["under"])
    sys.argv = ["exchanged", "--config", order["config"]]


def main() -> None:
    """The loop of the parent; the child of each fork becomes a daemon and never comes back."""
    die_with_parent()
    _preload()
    # Nobody waits for the daemons here: the kernel may forget them when they end.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("loaded", flush=True)
    while line := sys.stdin.readline():
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 70
            try:
                _become_daemon(order)
                from cli.daemon import main as daemon

                daemon()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
            finally:
                os._exit(code)
        print(child, flush=True)


if __name__ == "__main__":
    main()
