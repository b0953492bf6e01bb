"""Runs rows one after the other in this process, and keeps what they found.

Guarantees: a row that raises is *broken* and stops no other; one whose needs are missing, or that has no room
on the disk, is *not run*; what a row found is on disk before the next one begins, so that a run that was
broken off goes on where it stood, as long as the source is the same; no process of a row stays, and no folder
but that of a row which can go on within itself and did not come to its end.
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

from bench.keeping import Kept, new_folder, work_folder
from bench.meter import busy_cores
from bench.result import NO_VERDICT, Result, Row, Run

# Work of others that is worth a word, in cores.
BUSY_CORES: Final = 0.25
_END_SECONDS: Final = 5.0
_PATH: Final = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
# A row that may fill the disk is tidied up at once; its files are few and large.
_MUCH_ROOM: Final = 4 << 30
# The folders of rows that are over.
_made: list[Path] = []


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
    room = max(row.room, row.full_room if full else 0)
    # One that goes on has taken a part of its room already.
    if free < room and left is None:
        gib = 1 << 30
        told = f"it takes {room / gib:.1f} GiB of disk, and {free / gib:.1f} GiB are free"
        return Result(not_run=told, began=began)
    busy, others = busy_cores(), _children()
    if left is not None:
        tell(f"goes on in {left}")
    with _folder(row, shelf) as folder:
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
    return replace(result, began=began, seconds=round(time.monotonic() - clock, 1))


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
    try:
        _run_each(rows, kept, found, full=full, again=again, tell=tell, packets=packets)
    finally:
        remove_folders()
    return found


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
        found[row.name] = run_row(row, full=full, tell=step, packets=packets, kept=kept)
        kept.write(row.name, found[row.name])
        if found[row.name].checks:
            kept.leave_place(row.name)
        step(f"{found[row.name].verdict} in {found[row.name].seconds:.0f} s")


@contextmanager
def _folder(row: Row, shelf: Kept | None) -> Iterator[Path]:
    if shelf is not None:
        yield shelf.place(row.name) or shelf.make_place(row.name)
        return
    folder = new_folder(row.name)
    _made.append(folder)
    try:
        yield folder
    finally:
        if row.room > _MUCH_ROOM:
            _made.remove(folder)
            shutil.rmtree(folder, ignore_errors=True)


def remove_folders() -> None:
    """Remove what the rows left.

    Not after each row: ext4 goes around inodes that were deleted within the last minutes, one by one, and
    making a file then takes up to ten times as long, for us and for whatever we are compared to.
    """
    while _made:
        shutil.rmtree(_made.pop(), ignore_errors=True)


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
