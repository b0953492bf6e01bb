"""When to try again: exponential back-off with jitter, pure.

Seconds are floats throughout: integer arithmetic would flatten the first delays into one.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays that double from ``first_seconds`` up to ``max_seconds``, each spread by ``jitter``.

    ``jitter`` is the share of the delay that is random: 0.5 gives between half and the whole.
    """

    first_seconds: float = 0.5
    max_seconds: float = 300.0
    factor: float = 2.0
    jitter: float = 0.5

    def delay(self, failures: int, fraction: float) -> float:
        """Seconds to wait after the ``failures``-th failure in a row (from 1).

        ``fraction`` in [0, 1) comes from the random port.
        """
        exponent = min(max(failures, 1) - 1, 60)
        whole = min(self.first_seconds * self.factor**exponent, self.max_seconds)
        return whole * (1.0 - self.jitter) + whole * self.jitter * fraction
