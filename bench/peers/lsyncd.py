"""lsyncd with rsync over ssh, sender to hub to receiver: a mirror of folders without receipts or flushes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from bench.drops import Drops
from bench.peers.running import Running, await_files, start_ssh_server

NEEDS: Final = ("lsyncd", "rsync", "sshd", "ssh")
_LIMIT_SECONDS: Final = 120.0
# What lsyncd needs to set up its watches before the first drop.
_SETTLE_SECONDS: Final = 1.5


def through_hub(folder: Path, drops: Drops) -> float:
    """Seconds until all drops lie whole in the receiver's inbox. Raises PeerFailedError."""
    outbox, hub, inbox = folder / "outbox", folder / "hub", folder / "inbox"
    for each in (outbox, hub, inbox):
        each.mkdir(parents=True)
    staged = folder / "staged"
    drops.copy_to(staged)
    with Running(folder / "log") as running:
        client = start_ssh_server(running, folder / "ssh")
        for name, source, target in (("hub", hub, inbox), ("sender", outbox, hub)):
            path = folder / f"{name}.lua"
            path.write_text(_CONFIG.format(source=source, target=target, client=client), encoding="utf-8")
            running.start("lsyncd", "-nodaemon", str(path))
        time.sleep(_SETTLE_SECONDS)
        began = time.monotonic()
        for name in drops.names:
            (staged / name).rename(outbox / name)
        await_files(inbox, dict(drops.files), _LIMIT_SECONDS)
        return time.monotonic() - began


# A delay of one second suits bursts best; the default is fifteen.
_CONFIG: Final = """\
settings {{ nodaemon = true, inotifyMode = "CloseWrite" }}
sync {{ default.rsync, source = "{source}", target = "peer:{target}", delay = 1, delete = false,
  exclude = {{ ".*" }},
  rsync = {{ archive = true, rsh = "ssh -F {client}" }} }}
"""
