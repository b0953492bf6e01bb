from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from exchanged.clock import SystemClock
from exchanged.schedule import AlarmClock

WAIT_SECONDS = 20
LONG = 3_600.0


class ShiftedClock(SystemClock):
    """The machine's clock, off by so much."""

    def __init__(self) -> None:
        self.shift = timedelta()

    def now(self) -> datetime:
        return super().now() + self.shift


class Fixed:
    """A random source that is none."""

    def __init__(self, fraction: float = 0.0) -> None:
        self._fraction = fraction

    def token(self, size_bytes: int) -> bytes:
        return bytes(size_bytes)

    def fraction(self) -> float:
        return self._fraction


class Rings:
    def __init__(self) -> None:
        self.semaphore = threading.Semaphore(0)

    def __call__(self) -> None:
        self.semaphore.release()

    def wait(self, count: int = 1) -> bool:
        return all(self.semaphore.acquire(timeout=WAIT_SECONDS) for _ in range(count))

    def none_more(self) -> bool:
        return not self.semaphore.acquire(blocking=False)


@pytest.fixture
def clock() -> ShiftedClock:
    return ShiftedClock()


@pytest.fixture
def alarms(clock: ShiftedClock) -> Iterator[AlarmClock]:
    alarms = AlarmClock(clock, Fixed())
    alarms.start()
    yield alarms
    alarms.stop()


@pytest.fixture
def rings() -> Rings:
    return Rings()


def passed() -> datetime:
    return datetime.now(UTC) - timedelta(days=1)


def test_every_rings_again_and_again(alarms: AlarmClock, rings: Rings) -> None:
    alarms.every(0.01, "scan", rings)
    assert rings.wait(5)


def test_at_rings_once_also_for_a_time_that_has_passed(alarms: AlarmClock, rings: Rings) -> None:
    alarms.at(passed(), "late", rings)
    assert rings.wait()
    alarms.at(datetime.now(UTC) + timedelta(seconds=0.01), "soon", rings)
    assert rings.wait()
    assert rings.none_more()


def test_an_alarm_replaces_the_one_of_its_name(alarms: AlarmClock, rings: Rings) -> None:
    dropped = Rings()
    alarms.every(0.01, "name", dropped)
    alarms.every(LONG, "name", dropped)
    alarms.at(passed(), "name", rings)
    assert rings.wait()
    while not dropped.none_more():  # what rang before it was replaced
        pass
    alarms.at(passed(), "other", rings)
    assert rings.wait()
    assert dropped.none_more()


def test_a_cancelled_alarm_is_silent(alarms: AlarmClock, rings: Rings) -> None:
    alarms.at(datetime.now(UTC) + timedelta(seconds=LONG), "name", rings)
    alarms.cancel("name")
    alarms.cancel("name")
    assert alarms._scheduler.get_job("name") is None


def test_an_alarm_may_cancel_and_set_alarms(alarms: AlarmClock, rings: Rings) -> None:
    def once() -> None:
        alarms.cancel("scan")
        alarms.at(passed(), "after", rings)

    alarms.every(0.01, "scan", once)
    assert rings.wait()
    assert alarms._scheduler.get_job("scan") is None


def test_a_failing_alarm_is_logged_and_rings_again(
    alarms: AlarmClock, rings: Rings, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        rings()
        raise RuntimeError("a mistake")

    alarms.every(0.01, "scan", fail)
    assert rings.wait(2)
    assert "event=alarm-failed alarm=scan" in caplog.text


def test_alarms_never_run_beside_each_other(alarms: AlarmClock, rings: Rings) -> None:
    running = threading.Lock()
    overlaps: list[str] = []

    def work() -> None:
        if not running.acquire(blocking=False):
            overlaps.append("overlap")
            return
        rings()
        running.release()

    for name in ("a", "b", "c"):
        alarms.every(0.002, name, work)
    assert rings.wait(60)
    assert overlaps == []


def test_jitter_is_added() -> None:
    alarms = AlarmClock(SystemClock(), Fixed(0.5))
    alarms.start()
    before = datetime.now(UTC)
    alarms.every(LONG, "scan", lambda: None, jitter_seconds=100.0)
    due = alarms._scheduler.get_job("scan").next_run_time
    assert timedelta(seconds=LONG + 50) <= due - before < timedelta(seconds=LONG + 60)
    alarms.stop()


def test_a_clock_that_went_back_does_not_silence_repeating_alarms(
    alarms: AlarmClock, clock: ShiftedClock, rings: Rings
) -> None:
    clock.shift = timedelta(days=3650)
    alarms.every(0.01, "scan", rings)
    clock.shift = timedelta()
    alarms.check_clock()
    assert rings.wait(2)


def test_a_steady_clock_leaves_alarms_as_they_are(alarms: AlarmClock) -> None:
    alarms.every(LONG, "scan", lambda: None)
    due = alarms._scheduler.get_job("scan").next_run_time
    alarms.check_clock()
    assert alarms._scheduler.get_job("scan").next_run_time == due


def test_a_clock_that_went_ahead_rings_once_and_not_as_often_as_was_missed(
    alarms: AlarmClock, clock: ShiftedClock, rings: Rings
) -> None:
    clock.shift = timedelta(days=-3650)
    alarms.every(LONG, "scan", rings)
    clock.shift = timedelta()
    assert rings.wait()
    alarms.at(passed(), "after", rings)
    assert rings.wait()
    assert rings.none_more()


def test_impossible_alarms_are_refused(alarms: AlarmClock) -> None:
    for seconds, jitter in ((0.0, 0.0), (-1.0, 0.0), (1.0, -1.0)):
        with pytest.raises(ValueError, match="positive"):
            alarms.every(seconds, "scan", lambda: None, jitter)
    with pytest.raises(ValueError, match="zone"):
        alarms.at(datetime(2026, 1, 1), "name", lambda: None)  # noqa: DTZ001 - the point of it


def test_alarms_set_before_the_start_ring_after_it(rings: Rings) -> None:
    alarms = AlarmClock(SystemClock(), Fixed())
    alarms.every(0.01, "scan", rings)
    alarms.at(passed(), "once", rings)
    alarms.cancel("nothing")
    assert rings.none_more()
    alarms.start()
    assert rings.wait(3)
    alarms.stop()


def test_an_alarm_set_again_for_now_by_itself_is_never_lost(alarms: AlarmClock, rings: Rings) -> None:
    def again() -> None:
        rings()
        alarms.at(passed(), "again", again)

    alarms.at(passed(), "again", again)
    assert rings.wait(200)
    alarms.cancel("again")


def test_stop_while_an_alarm_sets_alarms() -> None:
    for _ in range(20):
        alarms = AlarmClock(SystemClock(), Fixed())
        rings = Rings()

        def busy(alarms: AlarmClock = alarms, rings: Rings = rings) -> None:
            rings()
            alarms.at(passed(), "other", rings)

        alarms.every(0.0001, "busy", busy)
        alarms.start()
        assert rings.wait(3)
        alarms.stop()


def test_nothing_rings_after_stop(rings: Rings) -> None:
    alarms = AlarmClock(SystemClock(), Fixed())
    alarms.every(0.001, "scan", rings)
    alarms.start()
    assert rings.wait()
    alarms.stop()
    while not rings.none_more():
        pass
    assert not [thread for thread in threading.enumerate() if thread.name == "clock-guard"]
    AlarmClock(SystemClock(), Fixed()).stop()
