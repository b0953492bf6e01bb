"""Worker processes for real: one piece of work never costs another, and a pool that broke is made anew."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import pytest
from pebble.pool.process import TaskManager

from exchanged.errors import CheckTakesLongError, ProgramReplacedError, WorkerDiedError
from exchanged.pool import ProcessWorkPool
from exchanged.program import Program
from exchanged.slow_lane import Piece
from packet_spec.errors import FormatError, XmlRefusedError
from packet_spec.limits import MIB
from tests.contract.hostile_work import Task, work
from tests.support.clock import FakeClock

pytestmark = pytest.mark.process

MEMORY = 256 * MIB


def answers_or_raises(pool: ProcessWorkPool) -> bool:
    """No value comes of it, whether the pool or the piece of work says so."""
    try:
        return isinstance(pool.run(work, [Task("double", 1)])[0], WorkerDiedError)
    except WorkerDiedError:
        return True


@pytest.fixture
def start() -> Iterator[Callable[..., ProcessWorkPool]]:
    """Pools with a clock that stands still: only what really hangs runs out of patience."""
    made: list[ProcessWorkPool] = []

    def make(workers: int = 1, timeout: float = 60.0, patience: float = 2.0) -> ProcessWorkPool:
        made.append(ProcessWorkPool(workers, timeout, MEMORY, patience, FakeClock()))
        return made[-1]

    yield make
    for pool in made:
        pool.close()


@pytest.fixture
def pool(start: Callable[..., ProcessWorkPool]) -> ProcessWorkPool:
    return start(patience=30.0)


def doubles(count: int, origin: str = "") -> list[Task]:
    return [Task("double", number, origin) for number in range(count)]


@pytest.mark.parametrize("moment", ["before", "meanwhile"])
def test_no_answer_counts_once_the_program_was_replaced(tmp_path: Path, moment: str) -> None:
    """Workers that are started from then on run the new one; what they make of a piece says nothing of it."""
    installed = tmp_path / "__init__.py"
    installed.write_text("", encoding="utf-8")
    pool = ProcessWorkPool(1, 60.0, MEMORY, 30.0, FakeClock(), program=Program((installed,)))
    try:
        assert pool.run(work, doubles(3)) == [0, 2, 4]
        if moment == "before":
            installed.unlink()
            tasks = doubles(1)
        else:
            tasks = [Task("replaced", gate=str(installed))]
        with pytest.raises(ProgramReplacedError):
            pool.run(work, tasks)
    finally:
        pool.close()


def test_workers_that_could_not_be_started_are_started_later(
    pool: ProcessWorkPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program of the workers was not to be had for a while: afterwards all goes on without a restart."""
    resource_tracker.ensure_running()
    with monkeypatch.context() as broken:
        broken.setattr("multiprocessing.spawn._python_exe", b"/nonexistent/python")
        assert answers_or_raises(pool)
        assert answers_or_raises(pool)
    assert pool.run(work, doubles(3)) == [0, 2, 4]


def test_a_moment_without_descriptors_stops_the_slow_lane_for_a_moment(
    pool: ProcessWorkPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Just when its process is to be started; those of the fast lane are up."""
    assert pool.run(work, doubles(1)) == [0]
    large = Task("double", 4, allowance_seconds=600.0)

    def too_many(*_: object, **__: object) -> object:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as broken:
        broken.setattr("pebble.pool.process.channels", too_many)
        for _ in range(3):
            answer, other = pool.run(work, [large, Task("double", 5)])
            assert isinstance(answer, CheckTakesLongError)
            assert other == 10
    assert _until_told(pool, large) == 8


def test_a_moment_without_descriptors_at_the_beginning_is_told(
    pool: ProcessWorkPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_many(*_: object, **__: object) -> object:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as broken:
        broken.setattr("pebble.pool.process.channels", too_many)
        for _ in range(2):
            with pytest.raises(WorkerDiedError):
                pool.run(work, doubles(1))
    assert pool.run(work, doubles(2)) == [0, 2]


def test_an_error_is_the_answer_of_its_own_piece(pool: ProcessWorkPool) -> None:
    first, second, third, fourth = pool.run(
        work, [Task("double", 1), Task("refused"), Task("refused-xml", 7), Task("double", 3)]
    )
    assert (first, fourth) == (2, 6)
    assert isinstance(second, FormatError)
    assert isinstance(third, XmlRefusedError)
    assert (third.code, third.line, str(third)) == ("xml-not-wellformed", 7, "not well-formed; where: line 7")


@pytest.mark.parametrize(
    ("kind", "found"),
    [("failing", "_NeverReadError"), ("unreadable", "TypeError"), ("unwritable", "AttributeError")],
)
def test_an_answer_that_cannot_be_carried_is_the_fault_of_its_own_piece(
    pool: ProcessWorkPool, kind: str, found: str
) -> None:
    bad, good = pool.run(work, [Task(kind), Task("double", 1)])
    assert isinstance(bad, WorkerDiedError)
    assert bad.found == found
    assert good == 2


def test_a_closed_pool_says_so(pool: ProcessWorkPool) -> None:
    pool.close()
    with pytest.raises(WorkerDiedError):
        pool.run(work, doubles(1))


@pytest.mark.parametrize(("kind", "says"), [("killed", "died"), ("memory", "out of memory")])
def test_a_crash_among_64_pieces_is_the_answer_of_its_own_piece(
    pool: ProcessWorkPool, kind: str, says: str
) -> None:
    answers = pool.run(work, [*doubles(40), Task(kind), *doubles(23)])
    assert isinstance(answers[40], WorkerDiedError)
    assert says in answers[40].summary
    del answers[40]
    assert answers == [*(2 * n for n in range(40)), *(2 * n for n in range(23))]


@pytest.mark.slow
def test_a_bomb_among_64_pieces_holds_up_none_of_the_others(start: Callable[..., ProcessWorkPool]) -> None:
    """Each of the others is answered in the same run; the bomb's answer is for later."""
    pool = start(workers=2)
    answers = pool.run(work, [*doubles(40), Task("for-ever"), *doubles(23)])
    assert isinstance(answers[40], CheckTakesLongError)
    assert answers[40].temporary
    del answers[40]
    assert answers == [*(2 * n for n in range(40)), *(2 * n for n in range(23))]
    # While it goes on in the slow lane, the others do not even notice.
    assert pool.run(work, doubles(64)) == [2 * n for n in range(64)]
    assert isinstance(pool.run(work, [Task("for-ever")])[0], CheckTakesLongError)


@pytest.mark.slow
@pytest.mark.parametrize("bomb", ["pattern", "keys"])
def test_a_schema_that_blows_up_is_held_within_its_time(
    start: Callable[..., ProcessWorkPool], bomb: str
) -> None:
    """libxml2 sits in one call for minutes: the worker ends all the same, and blames nobody."""
    pool = start(timeout=1.0, patience=0.5)
    pool.run(work, doubles(1))
    (answer,) = pool.run(work, [Task(bomb)])
    assert isinstance(answer, CheckTakesLongError)
    assert isinstance(_until_told(pool, Task(bomb)), WorkerDiedError)
    assert pool.run(work, doubles(2)) == [0, 2]


def test_what_was_slow_is_answered_when_it_is_asked_for_again(
    start: Callable[..., ProcessWorkPool], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    task = Task("gated", 21, gate=str(gate))
    pool = start(patience=0.5)
    assert isinstance(pool.run(work, [task])[0], CheckTakesLongError)
    assert isinstance(pool.run(work, [task])[0], CheckTakesLongError)
    gate.write_bytes(b"")
    assert _until_told(pool, task) == 42


@pytest.mark.parametrize("days", [1, -1])
def test_i15_a_wall_clock_that_jumps_is_no_time_that_a_check_took(
    start: Callable[..., ProcessWorkPool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    task = Task("gated", 21, gate=str(gate))
    pool = start(patience=0.5, timeout=3600.0 if days > 0 else 3.0)
    assert isinstance(pool.run(work, [task])[0], CheckTakesLongError)
    looks, timed_out, real = threading.Semaphore(0), TaskManager.timeout, time.time

    def look(each: Any) -> bool:
        if each.started:
            looks.release()
        return timed_out(each)

    monkeypatch.setattr(TaskManager, "timeout", staticmethod(look))
    assert looks.acquire(timeout=60)
    monkeypatch.setattr(time, "time", lambda: real() + days * 86_400)
    if days > 0:
        for _ in range(3):
            assert looks.acquire(timeout=60)
        # Whoever was ended reads no more.
        os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
        assert _until_told(pool, task) == 42
    else:
        # It hangs, and its time comes to an end all the same.
        assert isinstance(_until_told(pool, task), WorkerDiedError)


@pytest.mark.slow
def test_many_bombs_of_one_origin_cost_the_others_one_time(
    start: Callable[..., ProcessWorkPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in pieces that ran out of patience in the fast lane: at most a chunk, and one piece alone."""
    pool = start()
    tried: list[list[str]] = []
    begin = pool._begin

    def watched(processes: object, pieces: list[object]) -> object:
        tried.append([piece.work.kind for piece in pieces])  # type: ignore[attr-defined]
        return begin(processes, pieces)  # type: ignore[arg-type]

    monkeypatch.setattr(pool, "_begin", watched)
    bombs = [Task("for-ever", number, "to-a") for number in range(24)]
    answers = pool.run(work, [*bombs, *doubles(8, "to-b")])
    assert answers[24:] == [2 * n for n in range(8)]
    assert all(isinstance(answer, CheckTakesLongError) for answer in answers[:24])
    assert sum("for-ever" in kinds for kinds in tried) <= 4
    assert sum(kinds == ["for-ever"] for kinds in tried) == 1
    tried.clear()
    more = [Task("for-ever", number, "to-a") for number in range(100, 124)]
    answers = pool.run(work, [*more, *doubles(8, "to-b"), *doubles(1, "to-a")])
    assert answers[24:32] == [2 * n for n in range(8)]
    assert isinstance(answers[32], CheckTakesLongError)
    assert tried == [["double"] * 8]


@pytest.mark.slow
def test_bombs_of_nobody_in_particular_stop_a_run_after_two(start: Callable[..., ProcessWorkPool]) -> None:
    pool = start(patience=0.5)
    answers = pool.run(work, [Task("double", 1), *(Task("for-ever", n) for n in range(5)), Task("double", 2)])
    assert answers[0] == 2
    # What stands behind the second was not tried: it is asked for again, and nothing counts against it.
    assert [type(answer) for answer in answers[1:]] == [CheckTakesLongError] * 6
    assert pool.run(work, [Task("double", 2)]) == [4]


def test_what_needs_long_because_of_its_size_does_not_enter_the_fast_lane(
    start: Callable[..., ProcessWorkPool],
) -> None:
    pool = start()
    task = Task("double", 4, allowance_seconds=600.0)
    first, second = pool.run(work, [task, Task("double", 5)])
    assert isinstance(first, CheckTakesLongError)
    assert second == 10
    assert _until_told(pool, task) == 8


def test_a_pool_closes_while_the_slow_lane_is_at_work(start: Callable[..., ProcessWorkPool]) -> None:
    pool = start(patience=0.3)
    pool.run(work, [Task("for-ever", 1), Task("for-ever", 2)])
    pool.close()
    with pytest.raises(WorkerDiedError):
        pool.run(work, [Task("for-ever", 1)])


def test_who_waits_is_called_once_the_slow_lane_can_answer(pool: ProcessWorkPool) -> None:
    called = threading.Event()
    pool.when_answered(called.set)
    large = Task("double", 4, allowance_seconds=600.0)
    (answer,) = pool.run(work, [large])
    assert isinstance(answer, CheckTakesLongError)
    assert called.wait(60)
    assert pool.slow_pieces() == {Piece(work, large).number: True}
    assert pool.run(work, [large]) == [8]


def _until_told(pool: ProcessWorkPool, task: Task) -> object:
    """As a held packet is: asked for again until it is told."""
    while True:
        (answer,) = pool.run(work, [task])
        if not isinstance(answer, CheckTakesLongError):
            return answer
