"""Many daemons on one machine: each is forked from one process that has loaded the program already.

    python -m certainty.network.many PLAN

``PLAN`` is JSON: a list of [configuration, log]. What each child then does is what the command ``exchanged``
does; forking saves the second of processor time and most of the memory that loading takes, nothing else.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
from pathlib import Path

_PAUSE_SECONDS = 0.1


def main(plan: str) -> None:
    """Fork all, then wait for the end."""
    import cli.service
    import cli.wiring
    from cli.daemon import exchanged

    loaded = (cli.service, cli.wiring)
    os.environ.pop("NOTIFY_SOCKET", None)
    gc.freeze()
    for config, log in json.loads(Path(plan).read_text(encoding="utf-8")):
        if os.fork() == 0:
            descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
            for number in (1, 2):
                os.dup2(descriptor, number)
            exchanged.main(["--config", config], standalone_mode=False)
            os._exit(0)
        time.sleep(_PAUSE_SECONDS)
    del loaded
    signal.pause()


if __name__ == "__main__":
    main(sys.argv[1])
