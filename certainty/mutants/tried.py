"""What came of a seeded bug, or of the unchanged program, in one scene; and which findings count."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from certainty.mutants.table import Mutant
from certainty.shard import Violation

_INVARIANT: Final = re.compile(r"I[0-9]{1,2}")


def invariants_of(promise: str) -> frozenset[str]:
    """The invariants that a promise names before its colon: ``I1 I8`` of ``I1 I8 C5: ...``."""
    named, _, _ = promise.partition(":")
    return frozenset(each for each in named.split() if _INVARIANT.fullmatch(each))


@dataclass(frozen=True, slots=True)
class Tried:
    """How one mutant, or the program without any (``name`` empty), fared; ``seed`` is the scene's.

    ``not_run``: why nothing is known of it; ``lacks``: since this machine lacks something. ``not_ready``: a
    node did not start, or ended by itself, which says nothing about the promise of a mutant.
    """

    name: str
    promise: str
    scene: str
    seed: int
    seconds: float
    violations: tuple[Violation, ...] = ()
    not_run: str = ""
    lacks: bool = False
    not_ready: str = ""

    @property
    def killing(self) -> tuple[Violation, ...]:
        """What was found of the very promise that the mutant breaks; of the unchanged program: everything."""
        if not self.name:
            return self.violations
        wanted = invariants_of(self.promise)
        return tuple(each for each in self.violations if each.invariant in wanted)

    @property
    def is_killed(self) -> bool:
        """The checker found what it had to find."""
        return bool(self.killing) and not self.not_run


def exit_code(every: Iterable[Tried], mutants: Iterable[Mutant]) -> int:
    """0 when each mutant was killed and the unchanged program passed; but for what this machine lacks."""
    every = tuple(every)
    by_name = {one.name: one for one in every if one.name}
    asked = [by_name.get(mutant.name) for mutant in mutants]
    if any(one is None or not (one.is_killed or one.lacks) for one in asked):
        return 1
    is_anything = any(one is not None and one.is_killed for one in asked)
    return int(not is_anything or any(one.violations or one.not_run for one in every if not one.name))
