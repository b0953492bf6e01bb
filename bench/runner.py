"""Runs rows one after the other in this process, and keeps what they found.

Guarantees: a row that raises is *broken* and stops no other; one whose needs are missing, or that has no room
on the disk, is *not run*; what a row found is on disk before the next one begins, so that a run that was
broken off goes on where it stood, as long as the source is the same; no folder and no process of a row stays.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psutil

from bench.meter import busy_cores
from bench.result import MET, NO_VERDICT, SHORT, Result, Row, Run, result_from

_KEPT: Final = (MET, SHORT, NO_VERDICT)
# Work of others that is worth a word, in cores.
BUSY_CORES: Final = 0.25
_END_SECONDS: Final = 5.0
_PATH: Final = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
# A row that may fill the disk is tidied up at once; its files are few and large.
_MUCH_ROOM: Final = 4 << 30
# The folders of rows that are over.
_made: list[Path] = []


def work_folder() -> Path:
    """Where rows work: ``TMPDIR``, or else /var/tmp, which is a disk where /tmp may be memory."""
    return Path(os.environ.get("TMPDIR") or "/var/tmp")  # noqa: S108 - a new folder of its own is made in it


def missing(row: Row) -> tuple[str, ...]:
    """What this machine lacks for a row."""
    return tuple(need for need in row.needs if not _has(need))


def _has(need: str) -> bool:
    return os.geteuid() == 0 if need == "root" else shutil.which(need, path=_PATH) is not None


class Kept:
    """The results of one set on one state of the source, below ``folder``."""

    def __init__(self, folder: Path, source: str, kind: str) -> None:
        self._folder = folder / source / kind

    def read(self, name: str) -> Result | None:
        """What a row found before; None when it found nothing. Not run and broken are looked at anew."""
        try:
            value = json.loads((self._folder / f"{name}.json").read_text(encoding="utf-8"))
            result = result_from(value)
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None
        return result if result.verdict in _KEPT else None

    def write(self, name: str, result: Result) -> None:
        """Keep what a row found."""
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = self._folder / f"{name}.part"
        partial.write_text(json.dumps(result.to_json(), ensure_ascii=False, indent=1), encoding="utf-8")
        partial.replace(self._folder / f"{name}.json")


def run_row(
    row: Row, *, full: bool, tell: Callable[[str], None] = lambda _: None, packets: int = 0
) -> Result:
    """One row in a folder of its own, which is gone afterwards."""
    began, clock = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    if lacking := missing(row):
        return Result(not_run=f"this machine has no {', '.join(lacking)}", began=began)
    free = shutil.disk_usage(work_folder()).free
    room = max(row.room, row.full_room if full else 0)
    if free < room:
        gib = 1 << 30
        told = f"it takes {room / gib:.1f} GiB of disk, and {free / gib:.1f} GiB are free"
        return Result(not_run=told, began=began)
    busy, others = busy_cores(), _children()
    with _folder(row) as folder:
        try:
            result = row.work(Run(folder, full, tell, packets))
        except Exception as error:  # noqa: BLE001 - whatever it was, the next row shall run
            last = f"{type(error).__name__}: {error}".strip().splitlines()[-1]
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
        found[row.name] = run_row(row, full=full, tell=step, packets=packets)
        kept.write(row.name, found[row.name])
        step(f"{found[row.name].verdict} in {found[row.name].seconds:.0f} s")


@contextmanager
def _folder(row: Row) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=f"bench-{row.name}-", dir=work_folder()))
    # The users of what is compared pass through.
    folder.chmod(0o755)
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
