"""The shard ``operation-backup``: F103, backups and plain copies of a node that works.

While packets pass, a node is backed up again and again with the product's own command, and its data
directory is copied file by file as a naive script would. A backup must verify as whole, be a true part of the
node's history, and open as a node that was restored would. A plain copy is no backup: ``backup verify`` must
say so; and where ``ledger verify`` calls it sound, it must be sound: a part of the same history that opens.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from certainty.operation.town import PROVINCE, RECEIVER, SENDER, TooLateError, Town, in_memory, town
from certainty.shard import Outcome, Run, Violation
from exchanged.backup import create, verify
from exchanged.blobs import BlobStore
from exchanged.clock import SystemClock, SystemRandomness
from exchanged.config import load_config
from exchanged.durable import DurableFiles, Volume
from exchanged.errors import BackupUnusableError
from exchanged.ledger import Ledger, open_read_only
from exchanged.ledger.verify import examine_ledger
from exchanged.places import BLOB_FOLDER, LEDGER_FILE, SPOOL_FOLDER
from exchanged.reconcile import reconcile
from exchanged.spool import Spool
from packet_spec.errors import ExchangeError

_FULL: Final = 200
_QUICK: Final = 12
_NODES: Final = (PROVINCE, SENDER, RECEIVER)
# One in so many goes through the command line, as an operator types it.
_BY_COMMAND: Final = 20
_BETWEEN_SECONDS: Final = 0.15


def work(run: Run) -> Iterator[Outcome]:
    """Back up and copy under load, then let everything drain."""
    wanted = _QUICK if run.quick else _FULL
    violations: list[Violation] = []
    done, sound, whole = 0, 0, 0
    with in_memory(run) as folder, town(folder / "lab") as place:
        place.take_out()
        while done < wanted and not run.is_over:
            node = _NODES[done % len(_NODES)]
            for each in range(2):
                place.drop(f"load-{done}-{each}")
            case = f"{node} number {done}"
            wrong = told_whole(lambda node=node, done=done: _backup(place, folder / "b", node, done))  # type: ignore[misc]
            whole += not wrong
            violations += [Violation("I8", case, what) for what in wrong]
            copied, found = _plain_copy(place, folder / "c", node)
            sound += copied
            violations += [Violation("I8", f"plain copy, {case}", what) for what in found]
            for name in ("b", "c"):
                shutil.rmtree(folder / name, ignore_errors=True)
            done += 1
            run.progress(done, wanted, f"backups; {sound} plain copies happened to be sound")
        try:
            place.wait(place.journeys, 120.0)
            violations += [Violation("I16", "afterwards", each) for each in place.differences()]
        except TooLateError as error:
            violations.append(Violation("I1", "afterwards", str(error)))
    yield Outcome(
        "F103", cases=2 * done, violations=tuple(violations),
        measured=f"{whole} of {done} backups while packets passed were whole and could be opened; of {done}"
        f" plain copies {sound} were called sound by ledger verify, {done - sound} refused",
        planned=2 * wanted,
    )  # fmt: skip


def told_whole(backup: Callable[[], Iterator[str]]) -> list[str]:
    """What is wrong with a backup, in words; one that ended in the middle was none."""
    try:
        return list(backup())
    except (OSError, ExchangeError) as error:
        return [f"the backup ended with {type(error).__name__}: {error}"]


def _backup(place: Town, target: Path, node: str, number: int) -> Iterator[str]:
    """What is wrong with one backup, in words."""
    path = place.lab.node_config(node)
    if number % _BY_COMMAND == 0:
        done = place.ctl(node, "backup", "create", str(target))
        checked = place.ctl(node, "backup", "verify", str(target))
        if done.returncode or checked.returncode:
            said = f"{done.returncode} and {checked.returncode}: {done.stderr}{checked.stdout}"
            yield f"the commands ended with {said}"
            return
    else:
        create(load_config(path), path, target, datetime.now(UTC))
    verdict = verify(target)
    if not verdict.is_whole:
        yield f"not whole: {verdict.problems[0].what} {verdict.problems[0].where}"
        return
    yield from opens(target / "data", place.lab.layout.data(node))


def _plain_copy(place: Town, target: Path, node: str) -> tuple[bool, list[str]]:
    """Whether ``ledger verify`` calls the copy sound, and what is wrong with that, in words."""
    live = place.lab.layout.data(node)
    shutil.copytree(live, target, ignore_dangling_symlinks=True, ignore=_ignored, copy_function=_copy)
    found = []
    with suppress(BackupUnusableError):
        verify(target)
        found.append("a plain copy counts as a backup")
    try:
        with closing(open_read_only(target / LEDGER_FILE)) as connection:
            is_sound = examine_ledger(connection, target).is_sound
    except ExchangeError:
        return False, found
    if is_sound:
        found += opens(target, live)
    return is_sound, found


def opens(data: Path, live: Path) -> Iterator[str]:
    """Why a node could not start on this data directory, or that its history is another one's."""
    try:
        ledger = Ledger(data / LEDGER_FILE, SystemClock(), on_wake=lambda _names: None, threaded=False)
    except ExchangeError as error:
        yield f"it was called sound, and does not open: {error}"
        return
    with closing(ledger), closing(open_read_only(live / LEDGER_FILE)) as original:
        last = ledger.read().execute("SELECT id, chain FROM event ORDER BY id DESC LIMIT 1").fetchone()
        same = original.execute("SELECT chain FROM event WHERE id = ?", (last["id"],)).fetchone()
        if same is None or same["chain"] != last["chain"]:
            yield f"its event {last['id']} is not that of the node"
        files = DurableFiles(Volume.OWN)
        spool = Spool(data / SPOOL_FOLDER, files, SystemRandomness())
        store = BlobStore(data / BLOB_FOLDER, files)
        try:
            # As a start does: folders that were empty are in no backup.
            spool.prepare()
            store.prepare()
            reconcile(ledger, spool, store)
        except ExchangeError as error:
            yield f"it was called sound, and a start refuses it: {error}"


def _ignored(_folder: str, names: list[str]) -> set[str]:
    """Sockets and the like: no script copies them."""
    return {name for name in names if name.endswith(".sock") or name == "lock"}


def _copy(source: str, target: str) -> str:
    """A file that vanishes meanwhile is passed over, as cp does with a word of warning."""
    with suppress(FileNotFoundError):
        shutil.copyfile(source, target)
    if LEDGER_FILE in source:
        # A slow disk: what was copied and what will be are of different moments.
        time.sleep(_BETWEEN_SECONDS)
    return target
