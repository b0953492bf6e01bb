"""The points of one role in one run: which calls there are, and before which of them the disk is another.

Not points of their own are: removing what is not there, opening what is there already, and modes and owners
of files that nobody reads yet; and of writes that follow each other into one file, with nothing in between,
all but the first, the second and the last (a ledger transaction without its last frame is no transaction,
a file without its name is no file). Everything else is one.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from certainty.sweep.calls import Call, Fate

_WRITES: Final = frozenset({"write", "pwrite64", "writev", "pwritev"})
_MODES: Final = frozenset({"chmod", "fchmod", "fchmodat", "chown", "fchown"})
_REMOVES: Final = frozenset({"unlink", "unlinkat", "rmdir"})
_MAKES: Final = frozenset({"mkdir", "mkdirat", "mknod", "mknodat"})


C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Point:
    """The ``number``-th call of a process, from 1. ``is_idle``: it changes nothing that anybody reads."""

    number: int
    name: str
    path: str
    is_idle: bool

    def __str__(self) -> str:
        return f"{self.number} {self.name} {self.path}"


class Recorder:
    """Decides: everything passes, and is written down. ``armed`` false: it is counted, and no point."""

    def __init__(self, *, armed: bool = True) -> None:
        self.armed = armed
        self.points: list[Point] = []

    def __call__(self, call: Call) -> Fate | int:
        is_idle = not self.armed or _changes_nothing(call)
        self.points.append(Point(len(self.points) + 1, call.name, call.path, is_idle))
        return Fate.PASS


class At:
    """Decides: the ``number``-th call is ``fate``, and with ``onwards`` each later one of the same name."""

    def __init__(self, number: int, fate: Fate | int = Fate.KILL, *, onwards: bool = False) -> None:
        self._number, self._fate, self._onwards = number, fate, onwards
        self.passed = 0
        self.hit = ""

    def __call__(self, call: Call) -> Fate | int:
        self.passed += 1
        if self.passed == self._number:
            self.hit = str(call)
            return self._fate
        if self._onwards and self.hit and self.hit.startswith(f"{call.name} "):
            return self._fate
        return Fate.PASS


def _changes_nothing(call: Call) -> bool:
    if call.name in _MODES:
        return True
    exists = os.path.lexists(call.path)
    if call.name in _REMOVES:
        return not exists
    if call.name in _MAKES:
        return exists
    if call.name in {"open", "openat"}:
        flags = call.arguments[2 if call.name == "openat" else 1]
        return exists and (not flags & os.O_TRUNC or bool(flags & os.O_EXCL))
    return False


def chosen(points: Sequence[Point]) -> list[Point]:
    """The points that are tried, in their order."""
    found: list[Point] = []
    run: list[Point] = []
    for point in (*points, None):
        if run and (point is None or (point.name, point.path) != (run[0].name, run[0].path)):
            found += dict.fromkeys((run[0], *run[1:2], run[-1]))
            run = []
        if point is None or point.is_idle:
            continue
        if point.name in _WRITES:
            run.append(point)
        else:
            found.append(point)
    return found


def shuffled(cases: Sequence[C], seed: int) -> list[C]:
    """All of them in an order that follows from the seed."""
    return random.Random(seed).sample(cases, len(cases))


def spread(points: Sequence[C], most: int) -> list[C]:
    """At most ``most`` of them, evenly, always the same ones."""
    if len(points) <= most:
        return list(points)
    return [points[index * len(points) // most] for index in range(most)]
