"""What the damages of ``rot`` and ``rotten`` share: one changed byte, and the judgement of what came of it.

A packet that does not come to its inbox has a held or final status, or within a day a node names an error,
keeps something back, gives notice that its receipt is overdue, or has a ledger that ``verify`` names; and
nothing is told as delivered that did not come.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from certainty.shard import Violation
from certainty.sweep.outside import View, differences
from certainty.sweep.pool import Result
from certainty.sweep.silence import silent, tells
from certainty.sweep.stage import CaseOverError, Stage
from certainty.sweep.world import World

_WRONG: Final = frozenset({"I2", "I3", "I4", "I5"})
# So many bytes around a changed one tell it from all others.
_AROUND: Final = 24
WHOLE: Final = "everything came whole"


@dataclass(frozen=True, slots=True)
class Damage:
    """One change of a role's files, made by ``seed``. ``plays``: the world runs on with it."""

    row: str
    kind: str
    role: str
    seed: int
    plays: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.seed} at {self.role}"


def change(path: Path, kind: str, rng: random.Random) -> bytes:
    """Flip one bit, or truncate there. The bytes around the place, as they are now."""
    content = bytearray(path.read_bytes())
    # What is not zero is more likely to mean something.
    place = rng.choice([index for index, byte in enumerate(content) if byte] or [0])
    if kind == "truncate":
        del content[place:]
    else:
        content[place] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    return bytes(content[max(0, place - _AROUND) : place + _AROUND])


def judged(world: World, damage: Damage, group: str, stage: Stage, expected: View) -> Result:
    """Wrong bytes come out nowhere, and what does not come is named by somebody."""
    is_over = False
    try:
        ending = stage.play()
    except CaseOverError:
        ending, is_over = stage.ending, True
    told = [each for each in ending.violations if each.invariant in _WRONG and "half a file" not in each.what]
    other = [] if is_over else differences(expected, ending.view, str(damage))
    told += [
        each
        for each in other
        if each.invariant in {"I2", "I3"} or (each.invariant == "I4" and "other bytes" in each.what)
    ]
    is_named = bool(ending.errors) or any(each.invariant == "I8" for each in ending.violations)
    is_named = is_named or any(map(tells, map(world.layout.data, world.codes)))
    missing = [] if is_over else list(silent(expected, ending.view, is_named=is_named))
    told += [Violation(invariant, str(damage), what) for invariant, what in missing]
    if is_over and not ending.errors:
        told.append(Violation("I1", str(damage), "ended, and named no reason"))
    came = "refused or stopped" if len(ending.codes) > (damage.row == "F12") else "held or named"
    is_whole = not ending.violations and not other
    return Result(group, str(damage), tuple(told), None, WHOLE if is_whole else came)
