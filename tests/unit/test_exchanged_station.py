"""The runner: a station that hangs keeps its thread, and another thread takes its place."""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator

import pytest

from exchanged.errors import LedgerDamagedError, TransportError, VolumeDamagedError
from exchanged.retry import Backoff
from exchanged.station import Runner
from packet_spec.errors import ExchangeError
from tests.support.clock import FakeClock, FakeRandomness

PATIENCE = 20.0


class Hanging:
    """Hangs in its first step until it is let go."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.hangs = threading.Event()
        self.released = threading.Event()

    def step(self) -> float | None:
        self.hangs.set()
        assert self.released.wait(PATIENCE)
        return None


class Counting:
    """Says that it ran."""

    name = "other"

    def __init__(self) -> None:
        self.ran = threading.Event()

    def step(self) -> float | None:
        self.ran.set()
        return None


class Bench:
    def __init__(self, *stations: Hanging | Counting, threads: int = 1) -> None:
        self.clock = FakeClock()
        self.runner = Runner(self.clock, FakeRandomness(), lambda *_: None, lambda _: None, threads=threads)
        for station in stations:
            self.runner.add(station, Backoff())
        self.runner.start()


@pytest.fixture
def share() -> Iterator[Hanging]:
    station = Hanging("delivery")
    yield station
    station.released.set()


def station_threads() -> int:
    return sum(thread.name.startswith("station-") for thread in threading.enumerate())


def test_a_dead_share_takes_one_thread_and_the_others_go_on(share: Hanging) -> None:
    other, before = Counting(), station_threads()
    bench = Bench(share, other)
    assert share.hangs.wait(PATIENCE)
    assert not other.ran.wait(0.1)
    bench.clock.advance(31)
    assert bench.runner.slow(30) == {"delivery": 31.0}
    bench.runner.relieve(bench.runner.slow(30))
    assert other.ran.wait(PATIENCE)
    # Once is enough, however long it takes.
    bench.clock.advance(300)
    bench.runner.relieve(bench.runner.slow(30))
    assert station_threads() == before + 2
    assert bench.runner.is_whole()
    share.released.set()
    assert bench.runner.stop(PATIENCE)
    assert station_threads() == before


def test_the_thread_that_comes_back_is_one_too_many_and_ends(share: Hanging) -> None:
    bench, before = Bench(share), station_threads()
    assert share.hangs.wait(PATIENCE)
    returning = next(thread for thread in threading.enumerate() if thread.name == "station-0")
    bench.clock.advance(31)
    bench.runner.relieve(["delivery"])
    assert station_threads() == before + 1
    share.released.set()
    returning.join(PATIENCE)
    assert station_threads() == before
    assert bench.runner.is_whole()
    # The station is still run, by the thread that took over.
    share.hangs.clear()
    bench.runner.wake("delivery")
    assert share.hangs.wait(PATIENCE)
    assert bench.runner.slow(30) == {}
    assert bench.runner.stop(PATIENCE)


def test_a_station_that_hangs_is_told_at_the_end(share: Hanging) -> None:
    bench = Bench(share)
    assert share.hangs.wait(PATIENCE)
    assert not bench.runner.stop(0)
    bench.runner.relieve(["delivery"])
    share.released.set()
    assert bench.runner.stop(PATIENCE)


class Failing:
    """Fails each time. ``runs`` says how often it was tried."""

    name = "link:x"

    def __init__(self) -> None:
        self.runs: queue.SimpleQueue[int] = queue.SimpleQueue()

    def step(self) -> float | None:
        self.runs.put(1)
        raise TransportError("the server refuses")


class Refused:
    """A runner with one failing station and one that works; alarms are kept, and called by hand."""

    def __init__(self, backoff: Backoff) -> None:
        self.clock = FakeClock()
        self.alarms: queue.SimpleQueue[tuple[float, Callable[[], None]]] = queue.SimpleQueue()
        self.station, self.other = Failing(), Counting()
        self.runner = Runner(
            self.clock,
            FakeRandomness(),
            lambda seconds, _name, call: self.alarms.put((seconds, call)),
            lambda _: None,
            threads=1,
        )
        self.runner.add(self.station, backoff)
        self.runner.add(self.other, Backoff())
        self.runner.start()
        self.station.runs.get(timeout=PATIENCE)
        self.pause, self.call = self.alarms.get(timeout=PATIENCE)

    def hear(self) -> None:
        """Wake it ten times; the only thread has then done whatever came of that."""
        for _ in range(10):
            self.runner.wake("link:x")
        self.runner.wake_all()
        self.other.ran.clear()
        self.runner.wake("other")
        assert self.other.ran.wait(PATIENCE)


def test_hints_do_not_shorten_the_pause_of_a_station_that_failed() -> None:
    world = Refused(Backoff(first_seconds=4.0, max_seconds=20.0))
    world.hear()
    assert world.station.runs.empty()
    # The alarm counts, not our own look at the clock: they may differ by a moment.
    world.clock.advance(world.pause - 0.01)
    world.call()
    world.station.runs.get(timeout=PATIENCE)
    longer, _ = world.alarms.get(timeout=PATIENCE)
    assert longer > world.pause
    world.runner.stop(PATIENCE)


def test_of_a_long_pause_only_the_first_half_minute_is_deaf() -> None:
    world = Refused(Backoff(first_seconds=1000.0, max_seconds=1000.0))
    world.clock.advance(29)
    world.hear()
    assert world.station.runs.empty()
    world.clock.advance(2)
    world.runner.wake("link:x")
    world.station.runs.get(timeout=PATIENCE)
    world.runner.stop(PATIENCE)


class Noted:
    """Writes down that it ran."""

    def __init__(self, name: str, ran: queue.SimpleQueue[str]) -> None:
        self.name = name
        self._ran = ran

    def step(self) -> float | None:
        self._ran.put(self.name)
        return None


def test_what_is_woken_goes_before_what_the_slow_alarm_looks_at(share: Hanging) -> None:
    ran: queue.SimpleQueue[str] = queue.SimpleQueue()
    clock = FakeClock()
    runner = Runner(clock, FakeRandomness(), lambda *_: None, lambda _: None, threads=1)
    names = [f"link:{number}" for number in range(5)]
    runner.add(share, Backoff())
    for name in (*names, "judge"):
        runner.add(Noted(name, ran), Backoff())
    runner.start()
    assert share.hangs.wait(PATIENCE)
    share.released.set()
    first = [ran.get(timeout=PATIENCE) for _ in range(6)]
    assert sorted(first) == sorted([*names, "judge"])
    share.hangs.clear()
    share.released.clear()
    runner.wake("delivery")
    assert share.hangs.wait(PATIENCE)
    runner.wake_all()
    runner.wake("judge")
    share.released.set()
    assert ran.get(timeout=PATIENCE) == "judge"
    assert [ran.get(timeout=PATIENCE) for _ in range(5)] == names
    assert runner.stop(PATIENCE)


def test_links_that_hang_when_the_slow_alarm_looks_at_them_leave_threads_for_what_is_woken() -> None:
    hanging = [Hanging(f"link:{number}") for number in range(4)]
    other = Counting()
    clock = FakeClock()
    runner = Runner(clock, FakeRandomness(), lambda *_: None, lambda _: None, threads=4)
    runner.add(other, Backoff())
    for each in hanging:
        each.released.set()
        runner.add(each, Backoff())
    runner.start()
    for each in hanging:
        assert each.hangs.wait(PATIENCE)
    assert other.ran.wait(PATIENCE)
    try:
        for each in hanging:
            each.hangs.clear()
            each.released.clear()
        runner.wake_all()
        for _ in range(3):
            other.ran.clear()
            runner.wake("other")
            assert other.ran.wait(PATIENCE)
        assert sum(each.hangs.is_set() for each in hanging) <= 2
    finally:
        for each in hanging:
            each.released.set()
        runner.stop(PATIENCE)


class Unreadable:
    """Its ledger cannot be read."""

    name = "judge"

    def __init__(self, what: str) -> None:
        self.what = what

    def step(self) -> float | None:
        raise sqlite3.DatabaseError(self.what)


def test_i12_a_ledger_that_cannot_be_read_stops_the_node_by_its_name() -> None:
    told: list[ExchangeError] = []
    stopped = threading.Event()

    def on_fatal(error: ExchangeError) -> None:
        told.append(error)
        stopped.set()

    runner = Runner(FakeClock(), FakeRandomness(), lambda *_: None, on_fatal, threads=1)
    runner.add(Unreadable("disk I/O error"), Backoff())
    runner.start()
    assert stopped.wait(PATIENCE)
    assert runner.stop(PATIENCE)
    assert [type(error) for error in told] == [VolumeDamagedError]


def test_i12_a_refused_reading_of_the_ledger_is_named_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    again = threading.Event()
    runner = Runner(FakeClock(), FakeRandomness(), lambda *_: again.set(), lambda _: None, threads=1)
    runner.add(Unreadable("no such table: packet"), Backoff())
    runner.start()
    assert again.wait(PATIENCE)
    assert runner.stop(PATIENCE)
    (record,) = caplog.records
    assert (record.message, record.fields["error"]) == ("station-failed", LedgerDamagedError.reference)
