"""The loop of ``sftp -b`` that an IT department would write, sender to hub to receiver, and one plain put.

Names are collected for 0.2 seconds, at most 500 go in one connection, each is put under a temporary name and
renamed. Nothing is flushed, and no receipt comes back.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Final

from bench.drops import Drops
from bench.peers.running import PeerFailedError, Running, await_files, program, start_ssh_server

NEEDS: Final = ("inotifywait", "sftp", "sshd", "bash")
NEEDS_PUT: Final = ("sftp", "sshd")
_LIMIT_SECONDS: Final = 120.0
_PUT_SECONDS: Final = 900.0
_SETTLE_SECONDS: Final = 1.0


def through_hub(folder: Path, drops: Drops) -> float:
    """Seconds until all drops lie whole in the receiver's inbox. Raises PeerFailedError."""
    outbox, hub, inbox = folder / "outbox", folder / "hub", folder / "inbox"
    for each in (outbox, hub, inbox, folder / "sent", folder / "passed"):
        each.mkdir(parents=True)
    staged = folder / "staged"
    drops.copy_to(staged)
    script = folder / "push.sh"
    script.write_text(_SCRIPT, encoding="utf-8")
    with Running(folder / "log") as running:
        client = str(start_ssh_server(running, folder / "ssh"))
        for source, target, sent in ((hub, inbox, "passed"), (outbox, hub, "sent")):
            running.start("bash", str(script), str(source), str(target), str(folder / sent), client)
        time.sleep(_SETTLE_SECONDS)
        began = time.monotonic()
        for name in drops.names:
            (staged / name).rename(outbox / name)
        await_files(inbox, dict(drops.files), _LIMIT_SECONDS)
        return time.monotonic() - began


def plain_put(folder: Path, file: Path) -> float:
    """Seconds that one ``sftp put`` of ``file`` takes, with its connection. Raises PeerFailedError."""
    with Running(folder / "log") as running:
        client = start_ssh_server(running, folder / "ssh")
        target = folder / "arrived"
        batch = f'put "{file}" "{target}"\n'
        began = time.monotonic()
        done = subprocess.run(
            (program("sftp"), "-q", "-F", str(client), "-b", "-", "peer"),
            input=batch.encode(),
            stdout=subprocess.DEVNULL,
            check=False,
            timeout=_PUT_SECONDS,
        )
        seconds = time.monotonic() - began
    if done.returncode or target.stat().st_size != file.stat().st_size:
        raise PeerFailedError(f"sftp ended with {done.returncode}")
    target.unlink()
    return seconds


_SCRIPT: Final = r"""#!/bin/bash
# push.sh OUTBOX REMOTE_INBOX SENT SSH_CONFIG
out=$1 remote=$2 sent=$3 config=$4
push() {
    batch=$(mktemp -p "$sent/..")
    for name in "$@"; do
        [ -e "$out/$name" ] || continue
        part="$remote/.$name.part"
        if [ -d "$out/$name" ]; then
            printf -- '-mkdir "%s"\nput "%s/"* "%s/"\n' "$part" "$out/$name" "$part"
        else
            printf 'put "%s" "%s"\n' "$out/$name" "$part"
        fi
        printf 'rename "%s" "%s"\n' "$part" "$remote/$name"
    done >"$batch"
    if [ -s "$batch" ] && sftp -q -F "$config" -b "$batch" peer >/dev/null; then
        (cd "$out" && mv -t "$sent" -- "$@" 2>/dev/null)
    fi
    rm -f "$batch"
}
exec 3< <(inotifywait -m -q -e close_write -e moved_to --exclude '/\.' --format '%f' "$out")
while read -r -u 3 name; do
    names=("$name")
    while [ ${#names[@]} -lt 500 ] && read -r -t 0.2 -u 3 name; do names+=("$name"); done
    push "${names[@]}"
done
"""
