"""Back-off: the first delays literally, the bounds for all."""

from __future__ import annotations

import pytest

from exchanged.retry import Backoff


def test_the_first_ten_delays() -> None:
    backoff = Backoff(first_seconds=0.5, max_seconds=60.0, jitter=0.0)
    delays = [backoff.delay(failures, 0.0) for failures in range(1, 11)]
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


@pytest.mark.parametrize("failures", [0, 1, 5, 1000, 10**9])
def test_jitter_stays_between_half_and_whole(failures: int) -> None:
    backoff = Backoff(first_seconds=0.25, max_seconds=300.0)
    whole = Backoff(first_seconds=0.25, max_seconds=300.0, jitter=0.0).delay(failures, 0.0)
    assert backoff.delay(failures, 0.0) == whole / 2
    assert whole / 2 < backoff.delay(failures, 0.999) < whole
