"""What a row of the bench is, and what came of it.

A row measures one thing, with whatever it is compared to measured in the same call. It ends in one of five
words: ``met``, ``short`` (at least one figure did not reach its goal), ``no verdict`` (a reference was too
far from its usual figure: this machine is not itself now), ``not run`` (something is missing), ``broken``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

# How far a reference may be from its usual figure before nothing is said of what is compared to it.
TOLERANCE: Final = 0.4
MET, SHORT, NO_VERDICT, NOT_RUN, BROKEN = "met", "short", "no verdict", "not run", "broken"


@dataclass(frozen=True, slots=True)
class Check:
    """One figure and its goal. ``at_least``: more is better; otherwise less is. ``unit`` follows both.

    ``aim`` is a further figure that is striven for without being asked for; a goal of 0 asks for nothing.
    """

    what: str
    found: float
    goal: float
    unit: str
    at_least: bool = True
    aim: float | None = None

    @property
    def holds(self) -> bool:
        """The goal is reached."""
        return self.found >= self.goal if self.at_least else self.found <= self.goal

    @property
    def share(self) -> float:
        """How much of the goal (of the aim, without a goal) is reached: 1 is all of it, more is better."""
        wanted = self.goal or self.aim or 0.0
        if not wanted:
            return 1.0
        if self.at_least:
            return self.found / wanted
        return wanted / self.found if self.found > 0 else float("inf")


@dataclass(frozen=True, slots=True)
class Reference:
    """What something else reached in the same call, and what it usually reaches (0: not known)."""

    name: str
    found: float
    usual: float
    unit: str

    @property
    def is_off(self) -> bool:
        """Beyond the tolerance, in either direction."""
        return self.usual > 0 and abs(self.found / self.usual - 1) > TOLERANCE


@dataclass(frozen=True, slots=True)
class Result:
    """What one row gave. ``figures`` are all numbers worth keeping; ``notes`` are plain sentences.

    ``machine``: what it was measured on (``bench.report.machine``): sittings may lie weeks apart.
    """

    checks: tuple[Check, ...] = ()
    references: tuple[Reference, ...] = ()
    figures: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    not_run: str = ""
    broken: str = ""
    seconds: float = 0.0
    began: str = ""
    machine: dict[str, object] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """One of the five words."""
        if self.broken:
            return BROKEN
        if self.not_run or not self.checks:
            return NOT_RUN
        if any(reference.is_off for reference in self.references):
            return NO_VERDICT
        return MET if all(check.holds for check in self.checks) else SHORT

    def to_json(self) -> dict[str, Any]:
        """Everything, with the verdict."""
        return {**asdict(self), "verdict": self.verdict}


def result_from(value: dict[str, Any]) -> Result:
    """The result that ``to_json`` made a mapping of."""
    kept = {name: each for name, each in value.items() if name != "verdict"}
    kept["checks"] = tuple(Check(**each) for each in value["checks"])
    kept["references"] = tuple(Reference(**each) for each in value["references"])
    kept["notes"] = tuple(value["notes"])
    return Result(**kept)


@dataclass(frozen=True, slots=True)
class Run:
    """What a row is given: a folder on a local disk, the size, and where progress is told.

    The folder is empty, but for a row that resumes: then it holds what a call that was broken off left.
    ``packets``: so many instead of the size of the row of volume; 0 for all.
    """

    folder: Path
    full: bool
    tell: Callable[[str], None] = lambda _: None
    packets: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table. ``needs`` are programs, or ``root``; ``room``: bytes of disk that it takes.

    ``full_room``: where the full set takes more. ``resumes``: broken off, it goes on in the folder it left.
    """

    name: str
    title: str
    reach: str
    work: Callable[[Run], Result]
    needs: tuple[str, ...] = ()
    room: int = 1 << 30
    full_only: bool = False
    full_room: int = 0
    resumes: bool = False
