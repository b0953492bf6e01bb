"""Worker processes for real: one piece of work never costs another, and a pool that broke is made anew."""

from __future__ import annotations

import select
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker

import pytest

from exchanged.errors import WorkerDiedError
from exchanged.pool import ProcessWorkPool
from packet_spec.errors import FormatError

pytestmark = pytest.mark.process


def double(number: int) -> int:
    if number < 0:
        raise FormatError("a number below nought")
    return 2 * number


def answers_or_raises(pool: ProcessWorkPool) -> bool:
    """No value comes of it, whether the pool or the piece of work says so."""
    try:
        return isinstance(pool.run(double, [1])[0], WorkerDiedError)
    except WorkerDiedError:
        return True


@pytest.fixture
def pool() -> Iterator[ProcessWorkPool]:
    made = ProcessWorkPool(1, 30.0)
    yield made
    made.close()


def test_workers_that_could_not_be_started_are_started_later(
    pool: ProcessWorkPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program of the workers was not to be had for a while: afterwards all goes on without a restart."""
    resource_tracker.ensure_running()
    with monkeypatch.context() as broken:
        broken.setattr("multiprocessing.spawn._python_exe", b"/nonexistent/python")
        assert answers_or_raises(pool)
        assert answers_or_raises(pool)
    assert pool.run(double, [1, 2]) == [2, 4]


def test_an_error_is_the_answer_of_its_own_piece(pool: ProcessWorkPool) -> None:
    first, second, third = pool.run(double, [1, -1, 3])
    assert (first, third) == (2, 6)
    assert isinstance(second, FormatError)


@dataclass(frozen=True)
class Waiting:
    seconds: float
    allowance_seconds: float


def wait(work: Waiting) -> str:
    select.select([], [], [], work.seconds)
    return "done"


def test_a_piece_of_work_may_have_more_time_than_others() -> None:
    pool = ProcessWorkPool(2, 1.0)
    try:
        short, long = pool.run(wait, [Waiting(30.0, 0.0), Waiting(2.0, 60.0)])
    finally:
        pool.close()
    assert isinstance(short, WorkerDiedError)
    assert long == "done"


def test_a_closed_pool_says_so(pool: ProcessWorkPool) -> None:
    pool.close()
    with pytest.raises(WorkerDiedError):
        pool.run(double, [1])
