"""F66: servers that refuse, are full, or cannot do what is asked of them; and how hasty tries are told."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from certainty.network.asking import offers
from certainty.network.killed_server import SFTP_SERVER
from certainty.network.stage import POLICE, PROCURATORATE, Stage
from certainty.network.traffic import settle
from certainty.shard import Outcome, Run, Violation

_DENIED = "symlink,hardlink,mkdir,rmdir,setstat,fsetstat,lsetstat,copy-data"
_FSYNC = "fsync@openssh.com"
_FIRST, _MOST = 0.5, 4.0
# Of a pause the half is certain, the rest is chance; a log line is written a moment after the failure.
_CERTAIN = 0.5
_LATE_SECONDS = 0.05
FAILED = re.compile(
    r"^(\S+) .*event=station-failed station=link:\S+ error=(\S+) .*failures=(\d+) again_in_seconds=([0-9.]+)"
)
# An alarm after this long: the shipped quarter of an hour, made short.
_ALARM = "\n[notices]\nlink_down_minutes = 0.1\n"


def refuse(run: Run) -> Outcome:
    """F66: one trouble of the server after the other while drops go on; each heals."""
    found: list[Violation] = []
    told: list[str] = []
    with ExitStack() as stack:
        stage = stack.enter_context(stage_with_alarm(run, "f66"))
        stage.lab.start()
        stage.drop(POLICE, PROCURATORATE)
        settle(stage, 60)
        up = stage.mailbox(POLICE) / "up"

        def with_sftp(command: str) -> Callable[[], Iterator[None]]:
            def trouble() -> Iterator[None]:
                stage.set_sftp(command)
                stage.restart_sshd()
                yield
                stage.set_sftp(f"internal-sftp -u 0007 -P {_DENIED}")
                stage.restart_sshd()

            return trouble

        rename = (
            "strace -f -q -o /dev/null -e trace=rename -e inject=rename:error=EACCES"
            f" {SFTP_SERVER} -u 0007 -P {_DENIED}"
        )
        troubles: list[tuple[str, str, Callable[[], Iterator[None]]]] = [
            ("volume full", "mailbox-full", lambda: _mounted(up, "size=64k")),
            ("no inodes", "mailbox-full", lambda: _mounted(up, "nr_inodes=2")),
            ("read-only volume", "remote-refused", lambda: _read_only(up)),
            ("writing denied", "remote-refused", with_sftp(f"internal-sftp -P {_DENIED},write")),
            ("rename refused", "remote-refused", with_sftp(rename)),
            ("no atomic rename", "transport-failed", with_sftp(f"internal-sftp -P {_DENIED},posix-rename")),
            ("no fsync", "", with_sftp(f"internal-sftp -P {_DENIED},fsync")),
        ]
        chosen = troubles[:1] if run.quick else troubles
        for number, (name, expected, trouble) in enumerate(chosen):
            if run.is_over:
                break
            told += filter(None, [_one(run, stage, name, expected, trouble, found)])
            run.progress(number + 1, len(chosen), f"F66 {name}")
        found += stage.violations(f"seed {run.seed}")
    return Outcome("F66", len(told), tuple(found), (), "; ".join(told) + ".", planned=len(chosen))


def stage_with_alarm(run: Run, name: str, daemon: tuple[str, ...] = ()) -> Stage:
    """Two front-ends; the first one's link is told of as soon as it was down for some seconds."""
    limits = {
        "retry_first_seconds": str(_FIRST),
        "retry_max_seconds": str(_MOST),
        "link_scan_seconds": "1.0",
    }
    stage = Stage(run.folder / name, (POLICE, PROCURATORATE), seed=run.seed, limits=limits, daemon=daemon)
    path = stage.lab.node_config(POLICE)
    path.write_text(path.read_text(encoding="utf-8") + _ALARM, encoding="utf-8")
    return stage


def _one(
    run: Run,
    stage: Stage,
    name: str,
    expected: str,
    trouble: Callable[[], Iterator[None]],
    found: list[Violation],
) -> str:
    """One trouble: the state that the link then names, and that it waits longer and longer.

    Empty: the server was none that has this trouble.
    """
    case = f"seed {run.seed} {name}"
    seconds = 4.0 if run.quick else 20.0
    with contextmanager(trouble)():
        if not expected and offers(stage, POLICE, _FSYNC):
            # What shows in no state of the link is asked for: a server that can do it is no trouble.
            return ""
        before = len(stage.log_lines(POLICE))
        # Packets keep coming: none of them may make the link try more often.
        ends = time.monotonic() + seconds
        number = 0
        while time.monotonic() < ends:
            if number < 10:
                stage.drop(POLICE, PROCURATORATE)
                number += 1
            time.sleep(seconds / 12)
        lines = stage.log_lines(POLICE)[before:]
    tries = [match for match in map(FAILED.match, lines) if match]
    named = {match[2] for match in tries}
    hasty = hasty_tries(tries)
    if expected and expected not in named:
        found.append(Violation("I13", case, f"the link says {sorted(named)}, not {expected}"))
    if not expected and tries:
        found.append(Violation("I13", case, f"the link does not work: {sorted(named)}"))
    found += [Violation("I13", case, each) for each in hasty]
    if not settle(stage, 90):
        found.append(Violation("I1", case, "not everything got through afterwards"))
    return f"{name}: {', '.join(sorted(named)) or 'works'}, {len(tries)} tries in {seconds:.0f} s"


def hasty_tries(tries: list[re.Match[str]]) -> list[str]:
    """Which tries came earlier than they may, in words; ``tries`` are failures of one trouble, in order.

    Judged by when the tries were, not by what the node says of its pauses alone: after the n-th failure in a
    row at least half of the n-th pause, which doubles up to the most. None may begin to count anew.
    """
    told: list[str] = []
    for number, (one, other) in enumerate(pairwise(tries), start=1):
        gap = (datetime.fromisoformat(other[1]) - datetime.fromisoformat(one[1])).total_seconds()
        least = _CERTAIN * min(_FIRST * 2 ** (number - 1), _MOST)
        if gap < least * 0.9 - _LATE_SECONDS:
            told.append(f"try {number + 1} came {gap:.2f} s after the one before, and not {least:.2f} s")
        if gap < float(one[4]) * 0.9 - _LATE_SECONDS:
            told.append(f"try {number + 1} came {gap:.2f} s after one that had said {one[4]} s")
        if int(other[3]) != int(one[3]) + 1:
            told.append(f"failure {other[3]} came after failure {one[3]}: the pauses do not grow")
    return told


def _mounted(up: Path, options: str) -> Iterator[None]:
    """A volume without room over the folder."""
    mode = up.stat()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"{options},mode=2770", "tmpfs", str(up)], check=True)
    os.chown(up, mode.st_uid, mode.st_gid)
    if "size" in options:
        with suppress(OSError), (up / ".ballast").open("wb") as file:
            file.write(bytes(64 * 1024))
    elif "inodes" in options:
        with suppress(OSError):
            (up / ".ballast").touch()
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(up)], check=True)


def _read_only(up: Path) -> Iterator[None]:
    subprocess.run(["mount", "--bind", str(up), str(up)], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(up)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(up)], check=True)
