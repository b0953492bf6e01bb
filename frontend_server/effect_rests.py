"""Which effects rest after they failed, and which kinds of them: one bad folder is no ten thousand failures.

Guarantees: an effect that failed is tried again with growing delays, others before it. When everything that
was tried together of one kind failed, its folder is what fails: the kind rests as a whole, with growing
delays, and each time others of it are tried; other kinds go on. The first of it that succeeds ends it.

Leaves to others: carrying them out (``effects``). Kept in memory: after a start everything is tried at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from exchanged.clock import Clock, Randomness
from exchanged.ledger.effects import Effect
from exchanged.retry import Backoff

# Fewer of one kind may fail alike by chance, and cost little.
_MANY: Final = 16


@dataclass(slots=True)
class _Rest:
    """How often in a row it failed, and until when (monotonic seconds) it rests."""

    failures: int
    until: float


class EffectRests:
    """Those of one front-end. Used by one thread."""

    def __init__(self, clock: Clock, randomness: Randomness, backoff: Backoff) -> None:
        self._clock = clock
        self._randomness = randomness
        self._backoff = backoff
        self._effects: dict[int, tuple[str, _Rest]] = {}
        self._kinds: dict[str, _Rest] = {}

    def awake(self, kinds: Collection[str]) -> tuple[str, ...]:
        """Those of ``kinds`` that do not rest as a whole."""
        now = self._clock.monotonic()
        return tuple(kind for kind in kinds if kind not in self._kinds or self._kinds[kind].until <= now)

    def count(self, kinds: Collection[str]) -> int:
        """How many effects of these kinds failed and wait for their next try."""
        return sum(kind in kinds for kind, _ in self._effects.values())

    def due(self, waiting: Sequence[Effect], kinds: Collection[str]) -> list[Effect]:
        """What of ``waiting``, which is all that may be due of ``kinds``, does not rest; in order.

        What failed less often comes first. An effect that is gone is forgotten.
        """
        numbers = {effect.id for effect in waiting}
        for number, (kind, _) in list(self._effects.items()):
            if kind in kinds and number not in numbers:
                del self._effects[number]
        now = self._clock.monotonic()
        found = [effect for effect in waiting if (rest := self._rest(effect)) is None or rest.until <= now]
        return sorted(found, key=self._failures)

    def note(self, tried: Sequence[Effect], failed: Collection[int]) -> None:
        """These were tried together; ``failed`` are the numbers of those that failed."""
        for effect in tried:
            if effect.id in failed:
                self._effects[effect.id] = (effect.kind, self._longer(self._rest(effect)))
            else:
                self._effects.pop(effect.id, None)
        for kind in {effect.kind for effect in tried}:
            have_failed = [effect.id in failed for effect in tried if effect.kind == kind]
            if not all(have_failed):
                self._kinds.pop(kind, None)
            elif len(have_failed) >= _MANY:
                self._kinds[kind] = self._longer(self._kinds.get(kind))

    def looks(self) -> Iterator[float]:
        """When (monotonic seconds) something may be due again."""
        now = self._clock.monotonic()
        resting = {kind: rest.until for kind, rest in self._kinds.items() if rest.until > now}
        yield from resting.values()
        yield from (rest.until for kind, rest in self._effects.values() if kind not in resting)

    def _rest(self, effect: Effect) -> _Rest | None:
        known = self._effects.get(effect.id)
        return None if known is None else known[1]

    def _failures(self, effect: Effect) -> int:
        rest = self._rest(effect)
        return 0 if rest is None else rest.failures

    def _longer(self, rest: _Rest | None) -> _Rest:
        failures = 1 if rest is None else rest.failures + 1
        delay = self._backoff.delay(failures, self._randomness.fraction())
        return _Rest(failures, self._clock.monotonic() + delay)
