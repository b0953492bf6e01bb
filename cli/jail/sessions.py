"""Sessions of accounts whose keys are gone: sshd looks at keys at a login only, so somebody must end them.

Guarantees: an account that loses a key, or all of them, loses every session that it has within one look,
because nobody can tell afterwards with which key a session came in; who may still come in dials again. Only
accounts that the configuration names are touched, never root nor the daemon's user: a process is held while
it is asked whose it is, so that none is ended that took the number of one of theirs.

Leaves to others: which keys count (``exchanged.doors``), when to look (``exchanged-doors@.path``). Known
limit: a key that was taken away and given back between two looks ends nothing.
"""

from __future__ import annotations

import json
import os
import pwd
import signal
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.jail.answers import copy_of, installed_lines
from exchanged.clock import Clock
from exchanged.config import Config
from exchanged.doors import DoorAnswer, served, who_may_enter
from exchanged.durable import DurableFiles, Volume

SEEN_FOLDER: Final = Path("/run/exchanged-doors")
_PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class Door:
    """One account: for which link and node, what opens it now and why, and processes of its sessions."""

    account: str
    link: str
    peer: str
    answer: DoorAnswer
    processes: tuple[int, ...]


def doors_of(config: Config, keys_folder: Path, clock: Clock) -> tuple[Door, ...]:
    """Every account that the configuration names, in its order."""
    directory, now = copy_of(config), clock.now()
    links = [link for link in served(config) if link.account]
    answers = [
        who_may_enter(config, directory, link.account, installed_lines(keys_folder / link.account), now)
        for link in links
    ]
    # Last, and once for all: a province has hundreds of accounts and thousands of processes.
    running = _processes()
    return tuple(
        Door(link.account, link.name, link.peer, answer, tuple(running.get(_uid_named(link.account), ())))
        for link, answer in zip(links, answers, strict=True)
    )


def end_closed(config: Config, doors: Iterable[Door], seen: Path) -> tuple[Door, ...]:
    """End the sessions of doors that lost a key since the last look, or that nothing opens. As root.

    ``seen`` is the file that remembers the last look. Returns the doors whose sessions were ended.
    """
    doors = tuple(doors)
    before = _read_seen(seen)
    ours = {0, _owner_of(config.node.data_dir)}
    closed = tuple(door for door in doors if door.processes and _has_lost(door, before))
    for door in closed:
        uid = _uid_named(door.account)
        if uid is not None and uid not in ours:
            for number in door.processes:
                end_process(number, uid)
    seen.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    now = {door.account: list(door.answer.lines) for door in doors}
    DurableFiles(Volume.OUTPUT).write_file(seen, (json.dumps(now).encode(),), mode=0o600)
    return closed


def end_process(number: int, uid: int) -> None:
    """End the process of that number, if it is one of that user at the moment at which it ends."""
    with suppress(ProcessLookupError):
        held = os.pidfd_open(number)
        try:
            if _uid_of(number) == uid:
                signal.pidfd_send_signal(held, signal.SIGKILL)
        finally:
            os.close(held)


def _processes() -> dict[int | None, list[int]]:
    """What runs at the moment, by its real user: the numbers of the processes, in order."""
    found: dict[int | None, list[int]] = {}
    for number in sorted(int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()):
        uid = _uid_of(number)
        if uid is not None:
            found.setdefault(uid, []).append(number)
    return found


def _has_lost(door: Door, before: Mapping[str, list[str]]) -> bool:
    return not door.answer.lines or bool(set(before.get(door.account, ())) - set(door.answer.lines))


def _read_seen(path: Path) -> dict[str, list[str]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _uid_named(account: str) -> int | None:
    try:
        return pwd.getpwnam(account).pw_uid
    except KeyError:
        return None


def _uid_of(number: int) -> int | None:
    """The real user of a process; None when it has ended."""
    try:
        lines = (_PROC / str(number) / "status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("Uid:")), None)


def _owner_of(path: Path) -> int:
    try:
        return path.stat().st_uid
    except OSError:
        return 0
