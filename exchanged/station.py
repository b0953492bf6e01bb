"""Stations: the places that a packet walks through, each looking at the ledger for what is due.

A station's ``step`` does what is due and says when to look again. Wakes are hints and coalesce: a
station that is woken while it works runs once more afterwards. Nothing depends on a wake arriving,
for every station is also run by a slow alarm. A station that failed is not run before its pause is
over, whoever wakes it; of a long pause only the first half minute is kept from hints, so that what
came back is met soon. One station never runs twice at once. What was woken goes before what the slow
alarm looks at, which takes half of the threads at most: a node may have hundreds of links. A station that
hangs (a dead share) keeps its thread; ``Runner.relieve`` replaces the thread, so that the others go on.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from exchanged.clock import Clock, Randomness
from exchanged.errors import VolumeDamagedError
from exchanged.exhausted import exhausted
from exchanged.ledger.damage import REFUSED, damage_by_name
from exchanged.log import event_line
from exchanged.places import LEDGER_FILE
from exchanged.retry import Backoff
from packet_spec.errors import ExchangeError

# What is written, rings and looks anew may each wake a link; a server that refuses is not asked each time.
_DEAF_SECONDS: Final = 30.0
NOW: Final = 0.0
"""Returned by ``step`` when more work is known to wait."""


class Station(Protocol):
    """A place of work. ``name`` is what wakes name; ``step`` never raises for one bad packet."""

    @property
    def name(self) -> str:
        """Unique at the node: ``judge``, ``intake``, ``link:<name>`` ..."""

    def step(self) -> float | None:
        """Do what is due. Seconds until the next look without a wake; None: wait for a wake."""


def step_of(station: Station) -> float | None:
    """One step, with a ledger that cannot be read, and a machine without handles, told by name.

    Raises what ``step`` raises.
    """
    try:
        with damage_by_name(LEDGER_FILE, REFUSED):
            return station.step()
    except OSError as error:
        if (named := exhausted(error, str(error.filename or ""))) is None:
            raise
        raise named from error


class _Place:
    def __init__(self, station: Station, backoff: Backoff) -> None:
        self.station = station
        self.backoff = backoff
        self.failures = 0
        self.deaf_until = 0.0
        # It waits in one of the two queues; ``idly``: in that of the slow alarm.
        self.queued = False
        self.idly = False
        self.running = False
        self.again = False
        self.since = 0.0
        self.relieved = False


class Runner:
    """Runs stations on a few threads; timers through ``call_later`` (the alarm clock).

    ``on_fatal`` is called once when a station reports a damaged volume: the process must exit.
    """

    def __init__(
        self,
        clock: Clock,
        randomness: Randomness,
        call_later: Callable[[float, str, Callable[[], None]], None],
        on_fatal: Callable[[ExchangeError], None],
        *,
        threads: int,
    ) -> None:
        self._clock = clock
        self._randomness = randomness
        self._call_later = call_later
        self._on_fatal = on_fatal
        self._places: dict[str, _Place] = {}
        self._guard = threading.Condition(threading.Lock())
        self._woken: deque[_Place] = deque()
        self._idle: deque[_Place] = deque()
        # Threads at what the slow alarm looks at, and how many of them there may be.
        self._idling, self._most_idling = 0, max(1, threads // 2)
        self._threads = [self._thread(index) for index in range(threads)]
        self._started = threads
        self._stopping = False

    def add(self, station: Station, backoff: Backoff) -> None:
        """Let a station be run. Before ``start``."""
        self._places[station.name] = _Place(station, backoff)

    def start(self) -> None:
        """Start the threads and look at every station once."""
        for thread in self._threads:
            thread.start()
        for name in self._places:
            self.wake(name)

    def stop(self, timeout_seconds: float) -> bool:
        """Let every station finish its step; again waits again. True when all have finished."""
        with self._guard:
            self._stopping = True
            threads = tuple(self._threads)
            self._guard.notify_all()
        deadline = self._clock.monotonic() + timeout_seconds
        for thread in threads:
            thread.join(max(0.0, deadline - self._clock.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def slow(self, seconds: float) -> dict[str, float]:
        """The stations that have been at one step for longer than ``seconds``, and for how long."""
        now = self._clock.monotonic()
        with self._guard:
            return {
                name: now - place.since
                for name, place in self._places.items()
                if place.running and now - place.since > seconds
            }

    def relieve(self, names: Iterable[str]) -> None:
        """Start one thread more for each of these stations that is still at its step.

        The thread that comes back from such a step ends, so that there are not more of them for good.
        """
        for name in names:
            with self._guard:
                place = self._places[name]
                if self._stopping or not place.running or place.relieved:
                    continue
                place.relieved = True
                thread = self._thread(self._started)
                self._started += 1
                self._threads.append(thread)
                try:
                    # Under the guard: whoever stops the runner joins only threads that run.
                    thread.start()
                except RuntimeError as error:
                    # No more threads for now; it is tried again at the next look.
                    self._threads.remove(thread)
                    place.relieved = False
                    event_line("station-not-relieved", level=logging.WARNING, station=name, what=str(error))

    def is_whole(self) -> bool:
        """No thread has died of a mistake of ours."""
        with self._guard:
            return all(thread.is_alive() for thread in self._threads)

    def wake(self, name: str) -> None:
        """Look at a station soon; at one that failed, when its pause is over.

        Unknown names are ignored: the role may lack that station.
        """
        self._wake(name, idly=False)

    def _wake(self, name: str, *, idly: bool) -> None:
        place = self._places.get(name)
        if place is None or self._stopping:
            return
        with self._guard:
            if place.failures and self._clock.monotonic() < place.deaf_until:
                # Its alarm is set.
                return
            if place.running:
                place.again = True
                return
            if place.queued and (idly or not place.idly):
                return
            if place.queued:
                self._idle.remove(place)
            place.queued, place.idly = True, idly
            (self._idle if idly else self._woken).append(place)
            self._guard.notify()

    def _look(self, name: str) -> None:
        """The station's own alarm: its pause is over, by whatever clock the alarm goes."""
        self._places[name].deaf_until = 0.0
        self.wake(name)

    def wake_all(self) -> None:
        """Look at everything, behind whatever is woken: the slow alarm."""
        for name in self._places:
            self._wake(name, idly=True)

    def _thread(self, index: int) -> threading.Thread:
        return threading.Thread(target=self._work, name=f"station-{index}", daemon=True)

    def _work(self) -> None:
        is_spare = False
        while not is_spare:
            place = self._take()
            if place is None:
                return
            delay = self._step(place)
            with self._guard:
                place.running = False
                if place.idly:
                    self._idling -= 1
                    self._guard.notify()
                again = place.again and not place.failures
                is_spare, place.relieved = place.relieved, False
                if is_spare:
                    self._threads.remove(threading.current_thread())
            if again or delay == NOW:
                self.wake(place.station.name)
            elif delay is not None:
                name = place.station.name
                self._call_later(delay, f"look:{name}", lambda name=name: self._look(name))  # type: ignore[misc]

    def _take(self) -> _Place | None:
        """The next place, which is at work from now on; None when all is over."""
        with self._guard:
            while not (self._stopping or self._woken or (self._idle and self._idling < self._most_idling)):
                self._guard.wait()
            if self._stopping:
                return None
            place = (self._woken or self._idle).popleft()
            self._idling += place.idly
            place.queued, place.running, place.again = False, True, False
            place.since = self._clock.monotonic()
            return place

    def _step(self, place: _Place) -> float | None:
        """One step; a failing station is tried again with back-off and never stops the others."""
        try:
            delay = step_of(place.station)
        except VolumeDamagedError as error:
            self._on_fatal(error)
            return None
        except ExchangeError as error:
            level = logging.WARNING if error.temporary else logging.ERROR
            return self._failed(place, error, level)
        except Exception as error:
            logging.getLogger("exchanged").exception("event=station-bug station=%s", place.station.name)
            return self._failed(place, error, logging.ERROR)
        place.failures = 0
        return delay

    def _failed(self, place: _Place, error: Exception, level: int) -> float:
        place.failures += 1
        delay = place.backoff.delay(place.failures, self._randomness.fraction())
        place.deaf_until = self._clock.monotonic() + min(delay, _DEAF_SECONDS)
        reference = getattr(error, "reference", type(error).__name__)
        event_line(
            "station-failed",
            level=level,
            station=place.station.name,
            error=reference,
            what=str(error),
            failures=place.failures,
            again_in_seconds=round(delay, 3),
        )
        return delay
