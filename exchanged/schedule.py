"""Alarms: what is to happen every so often, or at a given time.

Guarantees: one worker thread, so alarms never run beside each other; an alarm that is late runs
once and not as often as it was missed; one that fails is logged and rings again. A wall clock that
jumps does no harm: forward, each due alarm runs once; backward, repeating alarms are set anew
within a few seconds (the library alone would sleep until the old time comes round).

Left to others: what happens in an alarm; it must be short, since all the others wait for it. Known
limit: ``at`` follows the wall clock and moves with it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from exchanged.clock import Clock, Randomness

_LOG: Final = logging.getLogger(__name__)
_LIBRARY_LOG: Final = "apscheduler"
_CLOCK_CHECK_SECONDS: Final = 5.0
_NO_LIMIT: Final = 1_000_000
# Setting an alarm takes time of its own; only what is further off than this is a jump.
_TOLERANCE: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class _Repeating:
    seconds: float
    jitter_seconds: float
    callback: Callable[[], None]


class AlarmClock:
    """Alarms by name; setting one replaces the alarm of that name. Started and stopped once.

    Alarms may be set before ``start`` and from within alarms; ``stop`` may not be called there.
    """

    def __init__(self, clock: Clock, randomness: Randomness) -> None:
        self._clock = clock
        self._randomness = randomness
        self._lock = threading.Lock()
        self._repeating: dict[str, _Repeating] = {}
        self._stopped = threading.Event()
        self._guard = threading.Thread(target=self._watch_clock, name="clock-guard", daemon=True)
        self._ringing = threading.Lock()
        # Late is better than never (no grace time), and one ring is enough (coalesce). The one worker
        # keeps alarms apart; the library's own count of instances would drop an alarm for good that
        # is due again before its last ring was booked as ended.
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(1)},
            job_defaults={"coalesce": True, "max_instances": _NO_LIMIT, "misfire_grace_time": None},
        )

    def every(
        self, seconds: float, name: str, callback: Callable[[], None], jitter_seconds: float = 0.0
    ) -> None:
        """Ring ``seconds`` from now and again ``seconds`` after each ring has ended.

        Up to ``jitter_seconds`` are added each time, so that many nodes do not ring together.
        Raises ValueError for a time that is not positive.
        """
        if seconds <= 0 or jitter_seconds < 0:
            raise ValueError("an alarm needs a positive time")
        repeating = _Repeating(seconds, jitter_seconds, callback)
        with self._lock:
            self._repeating[name] = repeating
            self._arm(name, repeating)

    def at(self, when: datetime, name: str, callback: Callable[[], None]) -> None:
        """Ring once at ``when`` (aware), at once if that has passed. Raises ValueError if naive."""
        if when.tzinfo is None:
            raise ValueError("an alarm needs a time with its zone")
        with self._lock:
            self._repeating.pop(name, None)
            self._set(when, name, lambda: self._ring(name, callback))

    def cancel(self, name: str) -> None:
        """Drop the alarm of that name; none is fine. One that rings at this moment rings on."""
        with self._lock:
            self._repeating.pop(name, None)
            if self._scheduler.get_job(name) is not None:
                self._scheduler.remove_job(name)

    def start(self) -> None:
        """Begin to ring."""
        logging.getLogger(_LIBRARY_LOG).setLevel(logging.ERROR)
        self._scheduler.start()
        self._guard.start()

    def stop(self) -> None:
        """Ring no more; waits for an alarm that rings at this moment."""
        self._stopped.set()
        if not self._scheduler.running:
            return
        # The library cannot be shut down in the middle of a round, and while it waits for its worker
        # it holds the lock that an alarm needs to set another one: so first let the round end, ...
        self._scheduler.pause()
        self._scheduler.get_jobs()
        self._scheduler.shutdown(wait=False)
        self._guard.join()
        # ... then wait for the alarm that rings; those still queued find that all is over.
        with self._ringing:
            pass

    def check_clock(self) -> None:
        """Set repeating alarms anew that lie further off than they can: the wall clock went back."""
        now = self._clock.now()
        with self._lock:
            for name, repeating in self._repeating.items():
                job = self._scheduler.get_job(name)
                longest = timedelta(seconds=repeating.seconds + repeating.jitter_seconds)
                if job is not None and job.next_run_time - now > longest + _TOLERANCE:
                    _LOG.warning("event=clock-went-back alarm=%s", name)
                    self._arm(name, repeating)
        # After a jump forward the library still waits for as long as it meant to before.
        self._scheduler.wakeup()

    def _watch_clock(self) -> None:
        while not self._stopped.wait(_CLOCK_CHECK_SECONDS):
            self.check_clock()

    def _arm(self, name: str, repeating: _Repeating) -> None:
        delay = repeating.seconds + repeating.jitter_seconds * self._randomness.fraction()
        when = self._clock.now() + timedelta(seconds=delay)
        self._set(when, name, lambda: self._ring_and_arm(name, repeating))

    def _set(self, when: datetime, name: str, act: Callable[[], None]) -> None:
        self._scheduler.add_job(act, "date", run_date=when, id=name, replace_existing=True)

    def _ring_and_arm(self, name: str, repeating: _Repeating) -> None:
        self._ring(name, repeating.callback)
        with self._lock:
            # It may have been replaced or cancelled meanwhile, even by itself.
            if self._repeating.get(name) is repeating and not self._stopped.is_set():
                self._arm(name, repeating)

    def _ring(self, name: str, callback: Callable[[], None]) -> None:
        with self._ringing:
            if self._stopped.is_set():
                return
            try:
                callback()
            except Exception:  # noqa: BLE001 - a callback is not ours
                # The next ring comes all the same; what this one failed to do is still in the ledger.
                _LOG.exception("event=alarm-failed alarm=%s", name)
