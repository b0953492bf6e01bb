"""What a part of the programme is: a shard, what it is given, and what it says of each row of the matrix.

A shard tries one or several rows of ``certainty/matrix.toml`` in one run of at most twenty minutes. It says
for each of them how many cases it tried, which of them broke an invariant, and how long recovery took. A
row that this machine cannot try is told as not run, with the reason; it never counts as passed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

# The full size of a shard, wall clock, on two cores.
MOST_SECONDS: Final = 20 * 60.0


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise. ``invariant`` is I1 to I16; ``case`` reproduces it: a seed, a point, a test."""

    invariant: str
    case: str
    what: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one shard found about one row.

    ``recovery_seconds``: one figure per recovery that was measured, in seconds; ``goal_seconds``: how long
    one may take, where the goal says so. ``planned``: how many cases the set asks for, when their number is
    known before. ``measured`` is one plain sentence with the figures that the row's goal asks for. ``short``
    says which other figure of the goal was not reached, although no promise was broken. ``not_run`` is the
    reason why nothing was tried (then ``cases`` is 0).
    """

    row: str
    cases: int
    violations: tuple[Violation, ...] = ()
    recovery_seconds: tuple[float, ...] = ()
    measured: str = ""
    short: str = ""
    not_run: str = ""
    planned: int = 0
    goal_seconds: float = 0.0

    @property
    def shortfalls(self) -> tuple[str, ...]:
        """Every figure of the goal that was not reached, in words."""
        found = [self.short] if self.short else []
        if self.cases < self.planned:
            found.append(f"{self.cases:,} of {self.planned:,} planned cases")
        late = [each for each in self.recovery_seconds if each > self.goal_seconds > 0]
        if late:
            told = f"{len(late):,} of {len(self.recovery_seconds):,} recoveries took"
            found.append(f"{told} more than {self.goal_seconds:g} s, at most {max(late):.1f} s")
        return tuple(found)


def _silent(_done: int, _total: int, _what: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Run:
    """What a shard is given.

    ``quick``: the small set, of half a minute or less. ``seed``: everything drawn at random follows from it.
    ``folder``: an empty folder of the shard's own, removed afterwards unless something was violated.
    ``progress(done, total, what)`` is called as often as there is news. ``seconds``: how long it may take
    at most; a shard that would take longer stops between two cases and says in ``measured`` what it left out.
    """

    quick: bool
    seed: int
    folder: Path
    seconds: float = MOST_SECONDS
    progress: Callable[[int, int, str], None] = _silent
    began: float = field(default_factory=time.monotonic)

    @property
    def is_over(self) -> bool:
        """No case may be begun any more."""
        return time.monotonic() - self.began > self.seconds


class Work(Protocol):
    """The body of a shard."""

    def __call__(self, run: Run) -> Iterator[Outcome]:
        """Try, and tell row by row. An exception means that the shard itself is broken."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One runnable part. ``needs`` are names of programs on the PATH, ``root`` for the user root, and paths
    that must exist (``/dev/fuse``); what is missing makes all its rows *not run*.

    ``in_quick``: belongs to the quick set. ``full_only``: those of its rows that only the full set tries;
    about them it may say nothing in the quick set. ``module``: where the body is, imported when it runs; the
    function is called ``work`` unless its name stands behind a colon. ``fills_machine``: it plays on every
    processor by itself; another shard beside it would only take the time in which it must come to its end.
    """

    name: str
    title: str
    rows: tuple[str, ...]
    module: str
    needs: Sequence[str] = ()
    in_quick: bool = True
    full_only: tuple[str, ...] = ()
    fills_machine: bool = False
    # What its two sizes take on two idle cores; all of the quick set together stay well below ten minutes. A
    # slow machine, or one with other work, is given three times as much, and never more than twenty minutes
    # (``Run.seconds``); what a shard does not come to in that time is told.
    quick_seconds: int = 60
    full_seconds: int = 600
