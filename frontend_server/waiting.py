"""Waiting: what could not be done now, why, and when it is tried again.

Guarantees: delays grow per thing that fails, so that one never holds up another; every failure is one log
line with its reference. Kept in memory: after a start everything is tried at once.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass

from exchanged.clock import Clock, Randomness
from exchanged.log import event_line
from exchanged.retry import Backoff
from packet_spec.errors import ExchangeError


@dataclass(frozen=True, slots=True)
class Wait:
    """Why something waits, how often it failed in a row, when (monotonic seconds) it is tried again."""

    failures: int
    due: float
    reason: str


class Waits:
    """What waits at one station, by a key of the station's choice. Used by one thread at a time."""

    def __init__(self, clock: Clock, randomness: Randomness, backoff: Backoff) -> None:
        self._clock = clock
        self._randomness = randomness
        self._backoff = backoff
        self._waits: dict[str, Wait] = {}

    def __len__(self) -> int:
        return len(self._waits)

    def is_due(self, key: str) -> bool:
        """It does not wait, or has waited long enough."""
        wait = self._waits.get(key)
        return wait is None or wait.due <= self._clock.monotonic()

    def put_off(
        self, key: str, error: ExchangeError, event: str, *, level: int = logging.WARNING, **fields: str
    ) -> bool:
        """It failed: wait longer than before. True when this reason is new.

        ``level`` is that of the log line for a temporary error; any other is one that a person must see.
        """
        before = self._waits.get(key)
        failures = 1 if before is None else before.failures + 1
        delay = self._backoff.delay(failures, self._randomness.fraction())
        self._waits[key] = Wait(failures, self._clock.monotonic() + delay, error.reference)
        event_line(
            event,
            level=level if error.temporary else logging.ERROR,
            **fields,
            error=error.reference,
            what=str(error),
            attempt=failures,
            again_in_seconds=round(delay, 3),
        )
        return before is None or before.reason != error.reference

    def done(self, key: str) -> bool:
        """It waits no more. True when it did."""
        return self._waits.pop(key, None) is not None

    def forget_others(self, keys: Collection[str]) -> None:
        """Only these still matter."""
        for key in self._waits.keys() - set(keys):
            del self._waits[key]

    def next_look(self) -> float | None:
        """Seconds until the first is due (more than none), or None when nothing waits."""
        if not self._waits:
            return None
        return max(0.001, min(wait.due for wait in self._waits.values()) - self._clock.monotonic())
