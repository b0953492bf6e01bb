"""Put a backup in the place of a node's data: what would be done first, then doing it (C23).

Guarantees: refused while a daemon runs, for a backup of another node, and for one that is not whole; nothing
is overwritten: whatever lies in the data directory but keys moves into a folder ``set-aside-<time>`` there.
Copies are made in a folder of their own and moved out of it when all are there, the ledger last, after it was
marked as restored; of what lies in the data directory nothing but that folder is ever removed. A mark stands
from before the first change until after the last: while it is there nothing opens the node (``own_ledger``),
and doing it again goes on.
From its next start the node speaks under a new incarnation and takes back what others know (``restoring``).

Known limit: the folders of the agency and the mailboxes are as they are; nothing is restored there.
"""

from __future__ import annotations

import os
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, count
from pathlib import Path
from typing import Final

from exchanged import backup, forks
from exchanged.backup import DATA, Manifest, Moved, Verdict, blocks_of, nobody_looks
from exchanged.clock import Clock
from exchanged.config import Config
from exchanged.durable import DurableFiles, Volume
from exchanged.errors import (
    AlreadyRunningError,
    BackupUnusableError,
    ConfigurationError,
    LedgerDamagedError,
    NotFoundError,
)
from exchanged.ledger import Ledger, open_read_only, restoring
from exchanged.ledger.copying import LedgerFacts, look_at_ledger
from exchanged.ledger.times import stamp
from exchanged.lock import NodeLock, Purpose, holder
from exchanged.own_ledger import require_same_node
from exchanged.places import CONTROL_SOCKET, LEDGER_FILE, LOCK_FILE, RESTORE_FILE, RESTORE_FOLDER

# Neighbours' clocks and ours are not one: what was recorded shortly before is told again.
_MARGIN: Final = timedelta(hours=1)
_KEPT: Final = frozenset({"keys", LOCK_FILE, CONTROL_SOCKET, RESTORE_FILE, RESTORE_FOLDER})
_ASIDE: Final = "set-aside-"
# What the mark says: the folder's name follows the first; after the second it holds all of before.
_SETTING_ASIDE: Final = "setting-aside"
_COPYING: Final = "copying"
_FORGOTTEN: Final = (
    forks.FORKED, forks.FORKED_SINCE, forks.FORKED_IN, forks.SET_BACK, forks.ACCUSED, "down-since",
    "down-reason", "down-fault",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """What restoring would do.

    ``moves`` lie in the data directory now; ``here`` is the ledger there, if it can be read. ``forgets`` is
    how many events that has beyond the backup; None where nobody can tell. ``log_entries``: how many the
    node's own Merkle log has in the backup; agencies may hold heads of a longer one.
    """

    manifest: Manifest
    data_dir: Path
    moves: tuple[str, ...]
    aside: Path
    here: LedgerFacts | None
    neighbours: tuple[str, ...]
    log_entries: int

    @property
    def forgets(self) -> int | None:
        """Events that are in the ledger there and not in the backup."""
        same = self.here is not None and self.here.incarnation == self.manifest.incarnation
        return self.here.events - self.manifest.events if self.here is not None and same else None


def plan(config: Config, source: Path, now: datetime, moved: Moved = nobody_looks) -> Plan:
    """Verify the backup and say what would be done. Changes nothing.

    Raises ConfigurationError without a data directory or with another node's, AlreadyRunningError,
    BackupUnusableError, also for one that would be moved aside itself, LedgerAheadError.
    """
    data_dir = config.node.data_dir
    if not data_dir.is_dir():
        raise ConfigurationError((f"[node] data_dir: {data_dir} is no folder",))
    if (process := holder(data_dir / LOCK_FILE)) is not None:
        raise AlreadyRunningError(
            "the daemon runs on this data directory", where=str(data_dir),
            found=f"process {process or 'unknown'}",
            hint="stop it first: systemctl stop exchanged@NAME",
        )  # fmt: skip
    if any(not str(place).startswith(_ASIDE) for place in backup.places_in(data_dir, source)):
        raise BackupUnusableError(
            "the backup lies in the data directory of the node", where=str(source),
            hint="a restore moves all that lies there aside; move the backup out of data_dir first",
        )  # fmt: skip
    manifest = backup.read_manifest(source)
    if manifest.node != config.node.code:
        raise BackupUnusableError(
            "the backup is one of another node",
            where=str(source),
            expected=config.node.code,
            found=manifest.node,
            hint="name a backup of this node, or with --config the configuration of that one",
        )
    _require_later(manifest, now, config.limits.clock_skew_seconds)
    _require_same_node(config)
    _require_whole(backup.verify(source, moved), source)
    moves = _what_lies_there(data_dir)
    if mounted := [name for name in moves if os.path.ismount(data_dir / name)]:
        raise ConfigurationError(
            ("what lies in data_dir is moved aside, and a volume of its own cannot be",),
            where=", ".join(str(data_dir / name) for name in mounted),
            hint="unmount it and restore; then empty that volume, move there what was restored, mount it"
            " again",
        )
    return Plan(
        manifest=manifest,
        data_dir=data_dir,
        moves=moves,
        aside=_begun_aside(data_dir, moves) or _new_aside(data_dir, now),
        here=look_at_ledger(data_dir / LEDGER_FILE),
        neighbours=tuple(link.peer for link in config.links),
        log_entries=_logged(source / DATA / LEDGER_FILE),
    )


def _require_later(manifest: Manifest, now: datetime, skew_seconds: float) -> None:
    """What was sealed before the restore may have been delivered before it: that time must be true (C23)."""
    last = manifest.last_at
    if last is not None and now + timedelta(seconds=skew_seconds) < last:
        raise BackupUnusableError(
            "the clock of this machine is behind the backup",
            expected=f"{stamp(last)} or later", found=stamp(now),
            hint="set the clock right, then restore: by the time of the restore the node tells what may come"
            " twice",
        )  # fmt: skip


def _require_same_node(config: Config) -> None:
    """What is to be set aside is not another node's, as far as it can be read at all."""
    with suppress(LedgerDamagedError, NotFoundError):
        connection = open_read_only(config.node.data_dir / LEDGER_FILE)
        with closing(connection):
            require_same_node(connection, config.node)


def _logged(ledger: Path) -> int:
    facts = look_at_ledger(ledger)
    return 0 if facts is None else facts.log_entries


def restore(config: Config, source: Path, made: Plan, clock: Clock, moved: Moved = nobody_looks) -> None:
    """Do what ``made`` says, under the node's lock.

    Raises AlreadyRunningError, BackupUnusableError, NoSpaceError.
    """
    files = DurableFiles(Volume.OWN)
    data_dir = config.node.data_dir
    mark, copies = data_dir / RESTORE_FILE, data_dir / RESTORE_FOLDER
    lock = NodeLock(data_dir / LOCK_FILE, Purpose.ACT)
    try:
        _give_to_owner(data_dir, (LOCK_FILE,))
        # Those of an attempt that was broken off: on a full volume there is no room for anything before.
        files.remove_tree(copies)
        files.write_file(mark, (f"{_SETTING_ASIDE} {made.aside.name}\n".encode(),))
        _set_aside(files, data_dir, made.aside)
        files.write_file(mark, (f"{_COPYING}\n".encode(),))
        files.make_dir(copies)
        for file in made.manifest.files:
            folder, _, path = file.path.partition("/")
            if folder == DATA:
                _copy(files, source, copies, path, (file.size, file.sha256), moved)
        _mark(copies / LEDGER_FILE, made.manifest, clock)
        _give_to_owner(data_dir, (RESTORE_FOLDER,))
        _put_in_place(files, copies, data_dir)
        files.unlink(mark)
        # Under the lock: whoever starts the node must not find the mark again after a power cut.
        files.sync_dir(data_dir)
    finally:
        lock.release()


def _said(data_dir: Path) -> list[str]:
    """The words of the mark that a restore left which was broken off; none without one."""
    try:
        return (data_dir / RESTORE_FILE).read_text("ascii", "replace").split()
    except FileNotFoundError:
        return []


def _begun_aside(data_dir: Path, moves: tuple[str, ...]) -> Path | None:
    """Where a restore that was broken off has set aside a part of what lay there; ``moves`` are the rest.

    None where somebody has put a part of that back: two of one name find no room in one folder.
    """
    match _said(data_dir):
        case [word, name] if word == _SETTING_ASIDE:
            aside = data_dir / name
            return None if any(os.path.lexists(aside / each) for each in moves) else aside
    return None


def _new_aside(data_dir: Path, now: datetime) -> Path:
    """A name that is free: that of the moment, or of an attempt in the same second with a number."""
    first = data_dir / now.strftime(f"{_ASIDE}%Y%m%dT%H%M%SZ")
    more = (first.with_name(f"{first.name}-{number}") for number in count(2))
    return next(path for path in chain((first,), more) if not os.path.lexists(path))


def _set_aside(files: DurableFiles, data_dir: Path, aside: Path) -> None:
    # The ledger first: what is left is then no node that could start.
    found = sorted(_what_lies_there(data_dir), key=lambda name: not name.startswith(LEDGER_FILE))
    if not found:
        return
    files.make_dir(aside, mode=0o700)
    for name in found:
        files.rename_new(data_dir / name, aside / name)


def _put_in_place(files: DurableFiles, copies: Path, data_dir: Path) -> None:
    # The ledger last: without it nothing of the rest is a node that could start.
    for path in sorted(copies.iterdir(), key=lambda path: path.name == LEDGER_FILE):
        files.rename_new(path, data_dir / path.name)
    files.remove_empty_dir(copies)


def _what_lies_there(data_dir: Path) -> tuple[str, ...]:
    try:
        names = sorted(path.name for path in data_dir.iterdir())
    except FileNotFoundError:
        return ()
    return tuple(name for name in names if name not in _KEPT and not name.startswith(_ASIDE))


def _copy(
    files: DurableFiles, source: Path, copies: Path, path: str, stated: tuple[int, str], moved: Moved
) -> None:
    target = copies / path
    files.make_dir(target.parent, mode=0o750)
    written = files.write_file(target, blocks_of(source / DATA / path, moved))
    if written != stated:
        raise BackupUnusableError(
            "a file of the backup is not what its manifest says",
            where=path,
            expected=stated[1],
            found=written[1],
        )


def _give_to_owner(data_dir: Path, names: tuple[str, ...]) -> None:
    """What root puts there belongs to whom the data belongs: the daemon must be able to open it."""
    if os.geteuid() != 0:
        return
    owner = data_dir.stat()
    for name in names:
        top = data_dir / name
        below = top.rglob("*") if top.is_dir() and not top.is_symlink() else ()
        for path in (top, *below):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _mark(path: Path, manifest: Manifest, clock: Clock) -> None:
    """The ledger says from now on that it was restored, and since when it forgot."""
    since = min(filter(None, (manifest.last_at, manifest.made_at))) - _MARGIN
    ledger = Ledger(path, clock, on_wake=lambda _names: None, threaded=False)
    try:
        ledger.write(lambda transaction: restoring.begin(transaction, since, _FORGOTTEN))
        ledger.fold()
    finally:
        ledger.close()


def _require_whole(verdict: Verdict, source: Path) -> None:
    if verdict.problems:
        first = verdict.problems[0]
        raise BackupUnusableError(
            f"the backup is not whole: {first.what}", where=f"{source}/{first.where}",
            expected=first.expected,
            found=first.found, hint="exchangectl backup verify DIR names every problem",
        )  # fmt: skip
