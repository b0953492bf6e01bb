"""One case: the world put back, healthy nodes stepped here, one or two that are victims, to the end.

Everything is in one order and follows from the template, the clock and the seeds: the same point is the same
case in every run. What may happen to a victim is its ``decide``; when it dies, ``on_death`` does what the
case is about (nothing, or the power goes), and the same role starts again in a fresh process, at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from certainty.shard import Violation
from certainty.sweep import felt
from certainty.sweep.calls import CHANGES, Decide
from certainty.sweep.driven import Driven
from certainty.sweep.outside import View
from certainty.sweep.outsiders import Outsiders
from certainty.sweep.victim import CLOSE, LOOK, OPEN, STEP, Victim, VictimGoneError, VictimHeldError
from certainty.sweep.world import LAST, RETENTION, Beginning, World
from exchanged.config import load_config
from exchanged.errors import VolumeDamagedError
from packet_spec.errors import ExchangeError
from tests.support.clock import FakeClock

QUIET: Final = 2
# As long as the agency's folders are looked at in between.
ROUND_SECONDS: Final = 2.0
MOST_ROUNDS: Final = 120
DAY: Final = 86_400.0


@dataclass
class Ending:
    """How a case ended. ``recovery`` in seconds: from the first line until all was looked at."""

    view: View
    violations: list[Violation]
    recovery: float | None = None
    deaths: int = 0
    errors: list[str] = field(default_factory=list)
    bugs: list[str] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    # So many ended together in the middle of a call.
    inside: int = 0


class Stage:
    """One case over ``world``. ``victims``: what is decided of each call of these nodes. Use ``play`` once.

    ``on_death`` is told which nodes ended together, before they start again; ``by_power``: it cuts their
    power. ``again``: what is decided of each call of a node that was started again; a third process of it
    stands ready then. ``on_up`` is called when one that was started again has looked once. ``waits``: so
    many seconds pass at rest before the end.
    """

    def __init__(
        self,
        world: World,
        beginning: Beginning,
        victims: Mapping[str, Decide] | None = None,
        *,
        tables: tuple[dict[str, int], ...] = (CHANGES,),
        again: Mapping[str, Decide] | None = None,
        on_death: Callable[[tuple[str, ...]], None] = lambda _: None,
        on_up: Callable[[], object] = lambda: None,
        on_round: Callable[[int], None] = lambda _: None,
        on_old: Callable[[], object] = lambda: None,
        on_rest: Callable[[], object] = lambda: None,
        least_rounds: int = 0,
        waits: float = 0.0,
        falls_together: bool = False,
        by_power: bool = False,
        case: str = "",
    ) -> None:
        self._world, self._beginning, self._case = world, beginning, case
        self._least_rounds, self._falls_together, self._waits = least_rounds, falls_together, waits
        self._decides, self._again, self._tables = dict(victims or {}), dict(again or {}), tables
        self._on_death, self._on_round, self._on_old = on_death, on_round, on_old
        self._on_rest, self._on_up, self._by_power = on_rest, on_up, by_power
        self.clock = FakeClock()
        self.clock.advance(beginning.elapsed)
        self.elapsed = beginning.elapsed
        self._outsiders = Outsiders(world, self.clock.now)
        self.reader = self._outsiders.reader
        if beginning.reader is not None:
            self.reader.know(beginning.reader)
        self._healthy: dict[str, Driven] = {}
        self._victims: dict[str, Victim] = {}
        # Of each victim those that start again, one after the other.
        self._spares: dict[str, list[Victim]] = {}
        self._heads_told: dict[str, int] = {}
        # By the victim's process.
        self._failed: dict[int, int] = {}
        self._held: set[str] = set()
        self.ending = Ending(View((), {}, {}, {}), [])

    def play(self) -> Ending:
        """From the first round to rest. Raises only what is wrong with the harness."""
        try:
            self._open()
            self._rest()
            if self._waits:
                self._advance(self._waits)
                self._rest()
            if self._beginning.name == RETENTION:
                # The time that neighbours said a moment ago makes old what is old; that is looked for hourly.
                self._on_old()
                self._advance(0.1 * DAY)
                self._rest()
                self._on_rest()
                # Who was started again has heard nobody and takes nothing for old: all speak once more.
                self._world.drop(LAST)
                self._rest()
                self._advance(0.1 * DAY)
                self._rest()
            self._close()
            self._judge()
        finally:
            self._kill_all()
            for node in self._healthy.values():
                node.die()
        return self.ending

    def play_until(self, rounds: int) -> None:
        """Only so many rounds; then everybody is gone in that moment, as if killed between two steps."""
        try:
            self._open()
            for number in range(rounds):
                self._on_round(number)
                self._round(is_full=False)
        finally:
            self._kill_all()
            for node in self._healthy.values():
                node.die()
            self._healthy.clear()

    def _kill_all(self) -> None:
        for victim in (*self._victims.values(), *chain.from_iterable(self._spares.values())):
            victim.kill()

    def victim(self, code: str) -> Victim:
        """The process of that node, as it is now."""
        return self._victims[code]

    def failed(self) -> int:
        """How many calls of all nodes failed until now; of the healthy ones where this process listens.

        What a victim's stations raised counts too: not all of it is named where the call failed.
        """
        return sum(self._failed.values()) + felt.count() + len(self.ending.errors)

    def head(self, code: str) -> int:
        """The number of the last event of that victim, as it told it last."""
        return self._heads_told.get(code, 0)

    def _open(self) -> None:
        for code, decide in self._decides.items():
            config = str(self._world.layout.config(code))
            # All are forked before anything is open here; the spares wait.
            decide_again = self._again.get(code)
            self._spares[code] = [Victim(code, config, "again", self._tables if decide_again else ())]
            if decide_again:
                self._spares[code][0].decide = decide_again
                self._spares[code].append(Victim(code, config, "a third time", ()))
            self._victims[code] = Victim(code, config, "first", self._tables)
            self._victims[code].decide = decide
        for code in self._world.codes:
            if code in self._victims:
                self._ask(code, OPEN)
                continue
            node = Driven(load_config(self._world.layout.config(code)), self.clock, f"{code} first")
            node.open()
            self._healthy[code] = node

    def _ask(self, code: str, what: str) -> None:
        if code in self._held:
            return
        victim = self._victims[code]
        try:
            told = victim.ask(what, self.elapsed)
        except VictimHeldError:
            self._held.add(code)
            return
        except VictimGoneError as gone:
            self._died(code, gone.code, what)
            return
        self._failed[victim.pid] = told.failed
        self.ending.errors.extend(told.errors)
        self.ending.bugs.extend(told.bugs)
        if told.is_ending:
            self._died(code, victim.wait(), what)
        else:
            self._heads_told[code] = told.head

    def _died(self, code: str, exit_code: int, what: str) -> None:
        """That process has ended; what is held in the middle of a call ends in the same moment."""
        others = tuple(self._waiting_spares) if self._falls_together and self._spares[code] else ()
        together = tuple(dict.fromkeys((*self._held, code, *others)))
        self.ending.inside = max(self.ending.inside, len(self._held | {code}))
        self._held.clear()
        self.ending.deaths += 1
        self.ending.codes.append(exit_code)
        for each in together:
            self._victims[each].kill()
            if not self._spares[each]:
                last = self.ending.errors[-1:] + self.ending.bugs[-1:]
                self._say("I12", f"{each}, started again, ended with code {exit_code}: {last}")
                raise CaseOverError
        self.reader.look(may_take=False)
        self._on_death(together)
        self._outsiders.look_again(together, by_power=self._by_power)
        for each in together:
            self._victims[each] = self._spares[each].pop(0)
            deaths, began = self.ending.deaths, time.monotonic()
            self._ask(each, OPEN)
            if what != CLOSE:
                self._ask(each, STEP)
            if self.ending.deaths == deaths:
                # Who ended in its start has told the time of the one after it.
                self.ending.recovery = max(self.ending.recovery or 0.0, time.monotonic() - began)
                self._on_up()
        if what == CLOSE:
            for each in together:
                self._ask(each, CLOSE)

    def _round(self, *, is_full: bool) -> None:
        for code in self._world.codes:
            if code in self._victims:
                self._ask(code, LOOK if is_full else STEP)
                continue
            if is_full:
                self._healthy[code].wake_all()
            self._healthy[code].step(self._trying)
        self._let_fall()
        self.reader.look()
        self._advance(ROUND_SECONDS)

    def _let_fall(self) -> None:
        """Who stands in the middle of a call falls; with ``falls_together`` when all do, or at rest."""
        waiting = self._held & self._waiting_spares
        if waiting and (not self._falls_together or waiting == self._waiting_spares):
            self._fall()

    @property
    def _waiting_spares(self) -> set[str]:
        return {code for code, spares in self._spares.items() if spares}

    def _fall(self, what: str = STEP) -> None:
        code = next(iter(self._held))
        self._victims[code].kill()
        self._died(code, self._victims[code].wait(), what)

    @staticmethod
    def _trying(step: Callable[[], float | None]) -> float | None:
        """A healthy node may have trouble with the other's folders for a moment; it tries again."""
        try:
            return step()
        except VolumeDamagedError:
            raise
        except ExchangeError:
            return 0.0

    def _rest(self) -> None:
        still = 0
        for number in range(MOST_ROUNDS):
            before = self._heads()
            self._on_round(number)
            # Nothing rests before everybody has looked at everything.
            self._round(is_full=still > 0)
            still = still + 1 if self._heads() == before else 0
            if still > 0 and self._held:
                # Nothing moves any more while they stand there: the other one will not come to its call.
                self._fall()
                still = 0
            if still > QUIET and number >= self._least_rounds:
                return
        self._say("I1", f"did not come to rest within {MOST_ROUNDS} rounds")

    def _heads(self) -> tuple[int, ...]:
        own = (node.head() for node in self._healthy.values())
        return (len(self.reader.appeared), *self._heads_told.values(), *own)

    def _advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.elapsed += seconds

    def _close(self) -> None:
        for code in self._victims:
            self._ask(code, CLOSE)
        if self._held:
            # Whoever stands in the middle of its end would keep its ledger locked.
            self._fall(CLOSE)
        for node in self._healthy.values():
            node.close()

    def _judge(self) -> None:
        self.ending.view = self._outsiders.view()
        for invariant, what in self._outsiders.problems(self._case):
            self._say(invariant, what)
        for bug in self.ending.bugs:
            self._say("I12", f"an error without a name: {bug}")

    def _say(self, invariant: str, what: str) -> None:
        self.ending.violations.append(Violation(invariant, self._case, what))


class CaseOverError(Exception):
    """The victim does not come up any more: what is to be said was said."""
