"""Packets that keep moving while a line is broken again and again, until it was broken often enough."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from certainty.network.judging import Sent
from certainty.network.line import Line, Trouble
from certainty.network.stage import Stage, wait_until
from certainty.shard import Run

MIB: Final = 1 << 20
# Nothing is handed over before the login, some 4 KB: lower offsets hit the greeting and the key exchange.
_LEAST_BYTES: Final = 20


@dataclass(frozen=True, slots=True)
class Way:
    """From where to where packets go; ``large`` from police to procuratorate only."""

    sender: str
    receiver: str
    large: bool = False


def offset(draw: random.Random, most: int) -> int:
    """A place in a stream, as likely near its beginning as far in: every magnitude gets its share."""
    return int(math.exp(draw.uniform(math.log(_LEAST_BYTES), math.log(most))))


def move_until(
    run: Run,
    stage: Stage,
    ways: Sequence[Way],
    count: Callable[[], int],
    target: int,
    what: str,
    *,
    large_bytes: Callable[[], int],
    seconds: float,
) -> None:
    """Keep one packet under way on each way until ``count()`` reaches ``target``, or the time is over."""
    under_way: dict[Way, Sent] = {}
    deadline = time.monotonic() + seconds
    told = -1
    while count() < target and time.monotonic() < deadline and not run.is_over:
        for way in ways:
            sent = under_way.get(way)
            if sent is None or stage.wait(0, [sent]):
                under_way[way] = stage.drop(
                    way.sender, way.receiver, video_bytes=large_bytes() if way.large else 0
                )
        now = count()
        if now // 20 != told:
            told = now // 20
            run.progress(min(now, target), target, what)
        time.sleep(0.1)


def heal(lines: Sequence[Line]) -> float:
    """From now on nothing befalls a connection; those that stand are cut. Returns when, monotonic."""
    for line in lines:
        line.choose = _none
        line.cut()
    return time.monotonic()


def _none(_number: int) -> Trouble:
    return Trouble()


def outages(stage: Stage, codes: Sequence[str]) -> tuple[float, ...]:
    """Seconds from each moment at which one of these nodes found its link down until it was up again."""
    found: list[float] = []
    for code in codes:
        downs = [(at, "down") for at, _ in stage.events(code, "link-down")]
        ups = [(at, "up") for at, _ in stage.events(code, "link-up")]
        since: datetime | None = None
        for at, kind in sorted(downs + ups):
            if kind == "down" and since is None:
                since = at
            elif kind == "up" and since is not None:
                found.append((at - since).total_seconds())
                since = None
    return tuple(found)


def settle(stage: Stage, seconds: float) -> bool:
    """Wait until everything that was dropped is delivered, told, and gone from the mailboxes."""
    if not stage.wait(seconds):
        return False
    wait_until(lambda: not _left(stage), 30.0)
    return True


def _left(stage: Stage) -> bool:
    return any(stage.folder.glob("mailboxes/*/*/*.blob")) or any(stage.folder.glob("mailboxes/*/*/.*.part"))
