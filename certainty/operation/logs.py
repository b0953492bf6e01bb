"""F109: logs that nobody reads, on a disk that is full, or taken away; packets must go on as before.

A node's standard error becomes a pipe that is full and that nobody reads, then a file on a full disk, then a
file that is renamed and cut to nothing under the running node, as programs that rotate logs do. Several
packets before tell how long the slowest takes here; what is more is the log's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from certainty.operation.town import SENDER, TooLateError, Town
from certainty.shard import Outcome, Violation
from certainty.sweep.volume import private_mounts

STOP_SECONDS: Final = 10.0
_STALL_SECONDS: Final = 1.0
_PACKETS: Final = 10
_QUICK_PACKETS: Final = 3
_WAIT_SECONDS: Final = 60.0


def stall(before: list[float], after: list[float]) -> float:
    """How much longer the slowest packet took than the slowest one before: one that stalls alone counts."""
    return max(0.0, max(after) - max(before))


def block_logs(place: Town, *, quick: bool = False) -> Outcome:
    """F109, at the sender."""
    count = _QUICK_PACKETS if quick else _PACKETS
    violations: list[Violation] = []
    stalls: dict[str, float] = {}
    # What the first packets after a start take more is no log's.
    place.lab.stop_node(SENDER)
    place.lab.start_node(SENDER)
    before = _packets(place, "log-before", count)
    for name, trouble in (("full pipe", _full_pipe), ("full disk", _full_disk), ("rotated", _rotated)):
        if trouble is _full_disk and os.geteuid() != 0:
            # Nobody else may mount a volume.
            continue
        place.lab.stop_node(SENDER)
        log = place.lab.log(SENDER)
        log.rename(log.with_suffix(f".{name.replace(' ', '-')}"))
        try:
            with trouble(place, log) as still:
                stalls[name] = stall(before, _packets(place, f"log-{name.replace(' ', '-')}", count))
                if not still():
                    # Somebody took the trouble away: nothing was tried.
                    del stalls[name]
                began = time.monotonic()
                place.lab.stop_node(SENDER)
                stopped = time.monotonic() - began
        except TooLateError as error:
            return Outcome("F109", 1, (Violation("I9", name, str(error)),), measured="the node stalled")
        finally:
            log.unlink(missing_ok=True)
        if stopped > STOP_SECONDS:
            violations.append(Violation("I12", name, f"the stop took {stopped:.1f} s"))
        place.lab.start_node(SENDER)
    violations += drained(place)
    late = [f"{name}: {seconds:.1f} s" for name, seconds in stalls.items() if seconds > _STALL_SECONDS]
    told = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in stalls.items())
    return Outcome(
        "F109", len(stalls), tuple(violations), planned=3,
        short=f"packets were held up, {', '.join(late)}" if late else "",
        measured=f"{count} packets one after the other before ({max(before):.1f} s the slowest) and under"
        f" each; the slowest so much longer: {told}",
    )  # fmt: skip


def _packets(place: Town, name: str, count: int) -> list[float]:
    """Seconds that each took, the first too, which may be the one that stalls."""
    return [place.wait([place.drop(f"{name}-{each}")], _WAIT_SECONDS) for each in range(count)]


@contextmanager
def _full_pipe(place: Town, log: Path) -> Iterator[Callable[[], bool]]:
    """Nobody reads what the node says; whether there still is no room for a byte."""
    os.mkfifo(log)
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(log, os.O_WRONLY | os.O_NONBLOCK)
    try:
        _fill(writer)
        place.lab.start_node(SENDER)
        yield lambda: not _fill(writer)
    finally:
        os.close(writer)
        os.close(reader)


@contextmanager
def _full_disk(place: Town, log: Path) -> Iterator[Callable[[], bool]]:
    """A small volume of its own, without room; whether that is so still."""
    private_mounts()
    volume = log.with_suffix(".volume")
    volume.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(volume)], check=True)
    try:
        own = volume / "log"
        own.touch()
        log.symlink_to(own)
        _use_up(volume)
        place.lab.start_node(SENDER)
        yield lambda: not _use_up(volume)
    finally:
        subprocess.run(["umount", "-l", str(volume)], check=True)


@contextmanager
def _rotated(place: Town, log: Path) -> Iterator[Callable[[], bool]]:
    """Moved away, with a new one in its place, and what was moved copied and cut to nothing.

    Whether the node goes on writing where it wrote.
    """
    place.lab.start_node(SENDER)
    away = log.with_suffix(".1")
    log.rename(away)
    log.touch()
    shutil.copyfile(away, log.with_suffix(".2"))
    os.truncate(away, 0)
    yield lambda: away.stat().st_size > 0


def _use_up(volume: Path) -> int:
    """Write until there is no room; how many bytes there was room for."""
    written = 0
    with suppress(OSError), (volume / "ballast").open("ab", buffering=0) as file:
        while True:
            written += file.write(b"x" * 1024)
    return written


def _fill(writer: int) -> int:
    """Write until there is no room; how many bytes there was room for."""
    written = 0
    for size in (4096, 1):
        try:
            while True:
                written += os.write(writer, b"x" * size)
        except BlockingIOError:
            continue
    return written


def drained(place: Town) -> Iterator[Violation]:
    """What did not arrive, lies where it should not, or does not verify when all has come to rest."""
    try:
        place.wait(place.journeys, 120.0)
    except TooLateError as error:
        yield Violation("I1", "afterwards", str(error))
    yield from (Violation("I16", "afterwards", each) for each in (*place.differences(), *place.unsound()))
