"""Results of many cases added up to what a shard says of a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from certainty.shard import Outcome, Violation
from certainty.sweep.points import At
from certainty.sweep.pool import Result
from certainty.sweep.stage import Ending
from certainty.sweep.sweeping import Case


def result_of(case: Case, at: At, ending: Ending) -> Result:
    """What a case with one point came to; that the point was not reached is a violation of its own."""
    violations = list(ending.violations)
    if not at.hit:
        violations.append(Violation("I12", str(case), "the point was not reached: the run does not repeat"))
    drift = "" if at.hit.split(" ")[0] in {"", case.point.name} else f"was {at.hit}"
    return Result(case.role, str(case), tuple(violations), ending.recovery, drift)


class Tally:
    """All results, taken in at once."""

    def __init__(self, results: Iterable[Result]) -> None:
        self.all = list(results)
        self.results = [result for result in self.all if result.is_case]
        # In what came to nothing a promise may have been broken all the same.
        self.violations: tuple[Violation, ...] = tuple(
            violation for result in self.all for violation in result.violations
        )
        self.recoveries = tuple(result.recovery for result in self.results if result.recovery is not None)

    def part(self, takes: Callable[[Result], bool]) -> Tally:
        """Some of the results, by themselves."""
        return Tally(filter(takes, self.all))

    @property
    def idle(self) -> int:
        """How many came to nothing: they count neither as tried nor as planned."""
        return len(self.all) - len(self.results)

    @property
    def never(self) -> str:
        """Which kinds came to nothing each time, in words."""
        tried = {result.group for result in self.results}
        found = sorted({result.group for result in self.all} - tried)
        return f"never came about: {', '.join(found)}" if found else ""

    def outcome(self, row: str, planned: int, what: str, goal_seconds: float, start: float) -> Outcome:
        """The outcome of a row with times of recovery. ``goal_seconds`` 0: its goal names none.

        ``planned`` is how many cases there should have been, ``start`` the seconds that an interpreter takes
        before the first line of ours runs: it belongs to every recovery.
        """
        recoveries = tuple(start + seconds for seconds in self.recoveries)
        planned -= self.idle
        said = [f"{len(self.results)} of {planned} cases tried ({what}): {self._groups('')}"]
        if recoveries:
            said.append(
                f"recovery, with {start:.1f} s for the interpreter, until every station had looked once:"
                f" median {sorted(recoveries)[len(recoveries) // 2]:.1f} s, slowest {max(recoveries):.1f} s"
            )
        drifted = sum(bool(result.note) for result in self.results)
        if drifted:
            said.append(f"{drifted} points came a call earlier or later than in the undisturbed run")
        said += self._idle()
        return Outcome(
            row, len(self.results), self.violations, recoveries, "; ".join(said) + ".", self.never,
            not_run=self._none(planned), planned=planned, goal_seconds=goal_seconds,
        )  # fmt: skip

    def plain(self, row: str, planned: int, said: str, short: str = "") -> Outcome:
        """The outcome of a row whose goal is no time. ``short`` as of ``Outcome``."""
        planned -= self.idle
        told = ". ".join([self._groups(f"{row} "), said, *self._idle()]) + "."
        return Outcome(
            row, len(self.results), self.violations, (), told, "; ".join(filter(None, (short, self.never))),
            not_run=self._none(planned), planned=planned,
        )  # fmt: skip

    def _idle(self) -> list[str]:
        return [f"{self.idle} more came to nothing and are not counted"] if self.idle else []

    def _groups(self, prefix: str) -> str:
        groups = Counter(result.group.removeprefix(prefix) for result in self.results)
        return ", ".join(f"{group} {count}" for group, count in sorted(groups.items()))

    def _none(self, planned: int) -> str:
        """Why there is nothing at all: a slow machine, and no break of the shard."""
        if self.idle and not self.results:
            return f"what was to be tried came about in none of {self.idle} cases"
        return "" if self.results else f"there was no time for any of {planned} cases"
