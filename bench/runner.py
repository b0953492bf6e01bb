"""Runs rows one after the other in this process, and keeps what they found.

Guarantees: a row that raises is *broken* and stops no other; one whose needs are missing, or that has no room
on the disk, is *not run*; what a row found is on disk before the next one begins, so that a run that was
broken off goes on where it stood, as long as the source is the same; what broke, was broken off or had no
verdict is tried again behind all that was not tried yet; no process of a row stays, and no folder but that of
a row which can go on within itself and did not come to its end. What a killed call left the next one removes.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psutil

from bench.keeping import Kept, disk_use, new_folder, remove_folder, work_folder
from bench.meter import busy_cores
from bench.report import machine
from bench.result import MET, NO_VERDICT, SHORT, Result, Row, Run

# Work of others that is worth a word, in cores.
BUSY_CORES: Final = 0.25
_END_SECONDS: Final = 5.0
_PATH: Final = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
# A row that may fill the disk is tidied up at once; its files are few and large.
_MUCH_ROOM: Final = 4 << 30
# What a row that goes on gets at least, whatever it took already.
_LEAST_ROOM: Final = 1 << 30
# The folders of rows that are over, and where they are noted.
_made: dict[Path, Kept | None] = {}


def missing(row: Row) -> tuple[str, ...]:
    """What this machine lacks for a row."""
    return tuple(need for need in row.needs if not _has(need))


def _has(need: str) -> bool:
    return os.geteuid() == 0 if need == "root" else shutil.which(need, path=_PATH) is not None


def run_row(
    row: Row,
    *,
    full: bool,
    tell: Callable[[str], None] = lambda _: None,
    packets: int = 0,
    kept: Kept | None = None,
) -> Result:
    """One row in a folder of its own, which is gone afterwards.

    ``kept``: where a row that resumes finds the folder of a call that was broken off.
    """
    began, clock = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    if lacking := missing(row):
        return Result(not_run=f"this machine has no {', '.join(lacking)}", began=began)
    shelf = kept if row.resumes else None
    left = None if shelf is None else shelf.place(row.name)
    free = shutil.disk_usage(work_folder()).free
    room = _room(row, full=full)
    if free < room and left is not None:
        # One that goes on has taken a part of its room already.
        room = max(room - disk_use(left), _LEAST_ROOM)
    if free < room:
        gib, more = 1 << 30, "" if left is None else " more"
        told = f"it takes {room / gib:.1f} GiB{more} of disk, and {free / gib:.1f} GiB are free"
        return Result(not_run=told, began=began)
    busy, others = busy_cores(), _children()
    if left is not None:
        tell(f"goes on in {left}")
    with _folder(row, kept, tell) as folder:
        try:
            result = row.work(Run(folder, full, tell, packets))
        except Exception as error:  # noqa: BLE001 - whatever it was, the next row shall run
            last = f"{type(error).__name__}: {error}".strip().splitlines()[-1]
            if shelf is not None:
                last += f"; the same call goes on in {folder}, with --again it begins anew"
            result = Result(broken=last)
        finally:
            end_children(others)
    if busy > BUSY_CORES:
        told = f"the machine was not idle: {busy:.1f} cores were busy before it began"
        result = replace(result, notes=(*result.notes, told))
    seconds = round(time.monotonic() - clock, 1)
    return replace(result, began=began, seconds=seconds, machine=machine(work_folder()))


def run_all(
    rows: Sequence[Row],
    kept: Kept,
    *,
    full: bool,
    again: bool = False,
    tell: Callable[[str], None] = lambda _: None,
    packets: int = 0,
) -> Mapping[str, Result]:
    """Every row once; those that came to a verdict before are not repeated unless ``again``."""
    found: dict[str, Result] = {}
    for left in kept.take_left():
        tell(f"removes {left}, which a call that was killed left")
        _made[left] = kept
    # What ends badly each time, or takes longer than any sitting, shall not keep the others from their turn.
    rows = rows if again else sorted(rows, key=lambda row: _was_tried(kept.last(row.name)))
    try:
        _run_each(rows, kept, found, full=full, again=again, tell=tell, packets=packets)
    finally:
        for row in rows:
            if kept.has_ended(row.name):
                kept.leave_place(row.name)
        remove_folders()
    return found


def _room(row: Row, *, full: bool) -> int:
    return max(row.room, row.full_room if full else 0)


def _was_tried(before: Result | None) -> bool:
    """It was begun and has no verdict."""
    return before is not None and before.verdict not in {MET, SHORT}


def _run_each(
    rows: Sequence[Row],
    kept: Kept,
    found: dict[str, Result],
    *,
    full: bool,
    again: bool,
    tell: Callable[[str], None],
    packets: int,
) -> None:
    for number, row in enumerate(rows, 1):
        label = f"[{number}/{len(rows)}] {row.name}"
        before = None if again else kept.read(row.name)
        # Without a verdict it has to be measured again.
        if before is not None and before.verdict != NO_VERDICT:
            tell(f"{label}: was run before")
            found[row.name] = before
            continue

        def step(text: str, label: str = label) -> None:
            tell(f"{label}: {text}")

        step("begins")
        if again:
            kept.leave_place(row.name)
        if not row.resumes:
            kept.begin(row.name)
        found[row.name] = run_row(row, full=full, tell=step, packets=packets, kept=kept)
        kept.write(row.name, found[row.name])
        most = max((_room(each, full=full) for each in rows[number:]), default=0)
        if found[row.name].checks and shutil.disk_usage(work_folder()).free < most:
            kept.leave_place(row.name)
        step(f"{found[row.name].verdict} in {found[row.name].seconds:.0f} s")


@contextmanager
def _folder(row: Row, kept: Kept | None, tell: Callable[[str], None]) -> Iterator[Path]:
    if row.resumes and kept is not None:
        yield kept.place(row.name) or kept.make_place(row.name, tell)
        return
    folder = new_folder(row.name)
    _made[folder] = kept
    if kept is not None:
        kept.note(folder)
    try:
        yield folder
    finally:
        if row.room > _MUCH_ROOM:
            _remove(folder)


def _remove(folder: Path) -> None:
    kept = _made.pop(folder)
    remove_folder(folder)
    if kept is not None:
        kept.forget(folder)


def remove_folders() -> None:
    """Remove what the rows left.

    Not after each row, unless another lacks the room: ext4 goes around inodes that were deleted within the
    last minutes, one by one, and making a file then takes up to ten times as long, for us and for whatever we
    are compared to.
    """
    for folder in list(_made):
        _remove(folder)


def _children() -> frozenset[psutil.Process]:
    return frozenset(psutil.Process().children(recursive=True))


def end_children(spared: frozenset[psutil.Process] = frozenset()) -> None:
    """End whatever this process started and did not end itself, with everything below it, but ``spared``."""
    left = list(_children() - spared)
    for act in (psutil.Process.terminate, psutil.Process.kill):
        for process in left:
            with suppress(psutil.Error):
                act(process)
        _, left = psutil.wait_procs(left, _END_SECONDS)
        if not left:
            return
