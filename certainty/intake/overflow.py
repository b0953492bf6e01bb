"""F23: the kernel's queue of events overflows, and what it lost is found all the same.

The daemon stands still while the queue fills with events of another folder that it watches, of names that are
no news there; then the drops come, beside thousands of unfinished names in the same outbox. So no event tells
of them, and none of those before them wakes who looks into the outbox. The outbox is scanned so rarely here
that only a look because of the overflow comes in time. A queue of our own on the same folders, of the same
length, shows that there was one, and that no event of a drop came before it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from certainty.intake.burst import known_names
from certainty.intake.papers import POLICE, Papers
from certainty.intake.slow import sealed_at
from certainty.intake.world import TooLateError, World, put, wait_for
from certainty.shard import Outcome, Run, Violation

# Of the outbox and of the slow alarm: what an event does not tell must come by the overflow.
RARELY: Final = {POLICE: {"[folders] scan_seconds": "300.0", "[limits] link_scan_seconds": "30.0"}}
_QUEUE: Final = Path("/proc/sys/fs/inotify/max_queued_events")
_DROPS: Final = 300_000
# So long after an overflow the last drop may be found.
_FOUND_SECONDS: Final = 5.0
# IN_CLOSE_WRITE, IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE: none that the daemon does not ask for.
_MASK: Final = 0x8 | 0x40 | 0x80 | 0x100 | 0x200
_OVERFLOWED: Final = 0x4000
_EVENT: Final = struct.Struct("iIII")
_BLOCK: Final = 1 << 20
_REST_SECONDS: Final = 3.0


class Mirror:
    """A queue of the kernel's on these folders, which nobody reads before ``told``. A context manager."""

    def __init__(self, *folders: Path) -> None:
        self._library = ctypes.CDLL(None, use_errno=True)
        self._queue = self._library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        for folder in folders:
            if self._queue < 0 or self._library.inotify_add_watch(self._queue, bytes(folder), _MASK) < 0:
                raise OSError(ctypes.get_errno(), "inotify")

    def told(self) -> tuple[bool, set[str]]:
        """Whether it overflowed, and the names that it has events of."""
        overflowed, names = False, set[str]()
        with suppress(BlockingIOError):
            while block := os.read(self._queue, _BLOCK):
                for mask, name in _events(block):
                    overflowed = overflowed or bool(mask & _OVERFLOWED)
                    names.add(os.fsdecode(name))
        return overflowed, names

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._queue)


def _events(block: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place < len(block):
        _, mask, _, size = _EVENT.unpack_from(block, place)
        place += _EVENT.size
        yield mask, block[place : place + size].rstrip(b"\0")
        place += size


def flood(folder: Path, events: int) -> None:
    """At least so many events of two names, one after the other, so that the kernel joins none of them."""
    paths = [folder / f".flood-{number}.part" for number in range(2)]
    for number in range(events):
        paths[number % 2].write_bytes(b"")
    for path in paths:
        path.unlink()


def overflow(run: Run, world: World, papers: Papers) -> Outcome:
    """F23: what no event told of is found: every one, and soon. ``world`` is set up as ``RARELY`` says."""
    events = int(_QUEUE.read_text("ascii"))
    rounds, count, noise = (1, 20, 2_000) if run.quick else (5, 200, 90_000)
    down = world.lab.layout.mailbox(POLICE) / "down"
    for number in range(noise):
        # Unfinished by their names: they are listed with every scan, and no drop.
        (world.outbox / f"n{number}.part").touch()
    found: list[float] = []
    refs: set[str] = set()
    violations: list[Violation] = []
    cases, first = 0, float("inf")
    for turn in range(rounds):
        if run.is_over:
            break
        _let_rest(world, papers, turn)
        case, names = f"seed {run.seed}, overflow {turn}", dict[str, str]()
        pid = world.lab.pid(POLICE)
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            with Mirror(down, world.outbox) as mirror:
                flood(down, events + 2_000)
                for number in range(count):
                    paper = papers.lone(_DROPS + turn * count + number)
                    names[f"over-{turn}-{number}.xml"] = paper.ref
                    put(world, paper, f"over-{turn}-{number}.xml")
                took_place = is_lost(mirror, names)
        finally:
            os.kill(pid, signal.SIGCONT)
        woken = time.time()
        try:
            wait_for(lambda names=names: names.keys() <= known_names(world),  # type: ignore[misc]
                     "all drops to be found", 60 + count / 5, 0.1)  # fmt: skip
            found += [time.time() - woken] if took_place else []
            wait_for(lambda names=names: {*names.values()} <= world.delivered_refs().keys(),  # type: ignore[misc]
                     "drops after an overflow", 60 + count / 5, 0.5)  # fmt: skip
        except TooLateError as error:
            violations.append(Violation("I1", case, str(error)))
        sealed = [sealed_at(each) - woken for each in world.delivered() if each.ref in names.values()]
        cases += len(sealed) if took_place else 0
        first = min([first, *sealed])
        refs |= {*names.values()}
    counted = world.delivered_refs()
    violations += [
        Violation("I2", ref, f"delivered {counted[ref]} times") for ref in sorted(refs) if counted[ref] > 1
    ]
    for path in world.outbox.glob("n*.part"):
        path.unlink()
    slowest = max(found, default=0.0)
    return Outcome(
        "F23", cases, tuple(violations), tuple(found),
        measured=f"{len(found)} of {rounds} times the queue of {events} events overflowed before the first of"
        f" {count} drops was put beside {noise} other names, while the daemon was stopped; {cases} found and"
        f" delivered, the last known to the node at most {slowest:.1f} s after it went on, the first sealed"
        f" after {first:.1f} s; the outbox is scanned every 300 s here (shipped: 10)",
        planned=rounds * count, goal_seconds=_FOUND_SECONDS,
        not_run="" if found or violations else "the queue of events never overflowed",
    )  # fmt: skip


def is_lost(mirror: Mirror, names: Iterable[str]) -> bool:
    """The queue overflowed, and it holds no event of these names."""
    overflowed, told = mirror.told()
    return overflowed and told.isdisjoint(names)


def _let_rest(world: World, papers: Papers, turn: int) -> None:
    """The daemon has read all events: the drop of the last one went its way, and nothing that followed from
    it makes the node look into the outbox any more.
    """
    name = f"rest-{turn}.xml"
    put(world, papers.lone(_DROPS - 1 - turn), name)
    wait_for(lambda: world.state(name) == "delivered", "a drop before the overflow", 120, 0.25)
    time.sleep(_REST_SECONDS)
