"""Worker processes: where bytes from outside are parsed and checked, without keys, with limits.

Guarantees: a piece that crashes its worker costs itself alone: its answer is a ``WorkerDiedError``, and the
worker is replaced. One that takes long is no crash: its answer is a ``CheckTakesLongError`` until the slow
lane, a process of its own, has finished it. ``run`` waits for at most a few times the patience, however
many pieces are slow. Workers are fresh interpreters: they hold no private keys, no ledger and no
connection, and they end when their parent ends.

Pieces travel in chunks. A chunk that fails is repeated piece by piece, until two pieces have failed alone or
twice the patience is spent; what is not proved by then is left for the next time. A piece whose origin has
something slow open goes behind it into the slow lane, so that one origin with many slow pieces costs the
others nothing more.

Where the program was replaced meanwhile no answer counts: one of another version may have given it.

Leaves to others: the limits inside a worker (``worker``), what is slow (``slow_lane``).
"""

from __future__ import annotations

import multiprocessing
import pickle
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Final, Protocol, TypeVar

import pebble.pool.process
from pebble import ProcessExpired, ProcessPool

from exchanged.clock import STEADY_TIME, Clock, SystemClock
from exchanged.errors import WorkerDiedError
from exchanged.program import Program
from exchanged.slow_lane import Done, Piece, SlowLane, takes_long
from exchanged.worker import OUT_OF_MEMORY, Failed, begin, each, ready
from packet_spec.errors import ExchangeError
from packet_spec.limits import MIB

MEMORY_BYTES: Final = 1024 * MIB
"""Address space of one worker while it checks; the largest packets take a third of it (docs/adr/0013)."""

# How often a waiting caller asks whether the workers are still there.
_LOOK_SECONDS: Final = 1.0
# For a chunk, and for one piece by itself. A packet of 5 KB takes some milliseconds, the largest valid one
# about a second.
_PATIENCE_SECONDS: Final = 2.0
_CHUNK: Final = 16
_CHUNK_SECONDS: Final = 0.25
# Pieces that may fail alone in one run, and how many patiences all that are tried alone may take.
_FAILURES: Final = 2
_PATIENCES: Final = 2
# The share of the patience after which a piece alone counts as slow, though it was answered.
_SLOW: Final = 0.25
# Then a worker is replaced: libraries leak.
_CHUNKS_OF_A_WORKER: Final = 500

A = TypeVar("A")
B = TypeVar("B")


# The library counts time-outs by the wall clock, which may jump: forward, and whatever is at work has run out
# of time, which counts as a crash; backward, and what hangs never has.
pebble.pool.process.time = STEADY_TIME  # type: ignore[assignment, attr-defined]


class WorkPool(Protocol):
    """Runs a top-level function over pieces of work; each answer is a value or an error of ours.

    A piece of work is a hashable value that pickles. It may have ``origin`` (a text: whose it is) and
    ``allowance_seconds`` (what it may take because of its size, beyond the time that everybody has). No
    function returns None.
    """

    def run(self, function: Callable[[A], B], works: Sequence[A]) -> list[B | ExchangeError]:
        """One answer for each piece of work, in order. Never raises for a single piece."""

    def when_answered(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` when the slow lane has finished a piece; from any thread, so it may only hint."""

    def slow_pieces(self) -> Mapping[int, bool]:
        """What is in the slow lane, by ``Piece.number``: whether its answer can be asked for now."""

    def await_ready(self) -> None:
        """Return when a worker is up, so that work that begins now is not waiting for one."""

    def close(self) -> None:
        """Stop the workers."""


class InlinePool:
    """Runs the work in the caller: for single-threaded simulation and for the vendor's desk."""

    def run(self, function: Callable[[A], B], works: Sequence[A]) -> list[B | ExchangeError]:
        """Each piece in turn."""
        answers: list[B | ExchangeError] = []
        for work in works:
            try:
                answers.append(function(work))
            except ExchangeError as error:
                answers.append(error)
        return answers

    def when_answered(self, wake: Callable[[], None]) -> None:
        """Nothing is ever finished later."""

    def slow_pieces(self) -> Mapping[int, bool]:
        """None."""
        return {}

    def await_ready(self) -> None:
        """The caller is."""

    def close(self) -> None:
        """Nothing to stop."""


class ProcessWorkPool:
    """Worker processes, started at the first piece of work; that of the slow lane at the first slow one."""

    def __init__(
        self,
        workers: int,
        timeout_seconds: float,
        memory_bytes: int = MEMORY_BYTES,
        patience_seconds: float = _PATIENCE_SECONDS,
        clock: Clock | None = None,
        modules: tuple[str, ...] = (),
        program: Program | None = None,
    ) -> None:
        """``timeout_seconds`` is the time of a slow piece, ``memory_bytes`` the address space of a worker.

        ``modules`` are loaded before a worker takes its first piece, outside of anybody's time. ``program``:
        the one that this process was started from, where it runs long enough to outlive it.
        """
        self._clock = clock or SystemClock()
        self._timeout = timeout_seconds
        self._memory = memory_bytes
        self._patience = min(patience_seconds, timeout_seconds)
        self._at_once = workers + 1  # one chunk waits, so that no worker does
        self._fast = _Processes(workers, modules)
        self._slow = _Processes(1, modules)
        self._program = program or Program(())
        self._wake: Callable[[], None] = lambda: None
        self._slow_lane = SlowLane(self._start_slow, self._answered)

    def run(self, function: Callable[[A], B], works: Sequence[A]) -> list[B | ExchangeError]:
        """The pieces in parallel; a crash or time-out is the answer of its own piece only.

        Raises WorkerDiedError when the pool is closed before all have answered, or cannot start workers, and
        ProgramReplacedError.
        """
        self._program.require_as_started()
        if self._slow.is_broken():
            self._slow_lane.lost()
        pieces = [Piece(function, work) for work in works]
        answers: dict[int, Any] = {}
        for index, piece in enumerate(pieces):
            answer = self._slow_lane.look(piece)
            if answer is None and piece.is_large:
                answer = self._slow_lane.take(piece)
            if answer is not None:
                answers[index] = answer
        fresh = [index for index in range(len(pieces)) if index not in answers]
        if fresh:
            pool = self._started()
            again = self._in_chunks(pool, pieces, fresh, answers)
            self._one_by_one(pool, pieces, again, answers)
        self._fast.refuse_if_closed()
        self._program.require_as_started()
        return [answers[index] for index in range(len(pieces))]

    def when_answered(self, wake: Callable[[], None]) -> None:
        """From now on ``wake`` is called, by a thread of the processes' library."""
        self._wake = wake

    def slow_pieces(self) -> Mapping[int, bool]:
        """What is in the slow lane."""
        return self._slow_lane.pieces()

    def _answered(self) -> None:
        self._wake()

    def await_ready(self) -> None:
        """Started, with its modules loaded. Raises WorkerDiedError when closed, or when none can start."""
        self.run(ready, (0,))

    def close(self) -> None:
        """End the workers without waiting for the work in hand."""
        self._fast.close()
        self._slow.close()

    def _in_chunks(
        self, pool: ProcessPool, pieces: Sequence[Piece], fresh: Sequence[int], answers: dict[int, Any]
    ) -> list[int]:
        """Answers in chunks, until one fails. Returns what is to be tried piece by piece."""
        waiting = deque(_chunks(pieces, fresh))
        running: dict[Future[bytes], list[int]] = {}
        again: list[int] = []
        while waiting or running:
            while waiting and len(running) < self._at_once:
                chunk = waiting.popleft()
                running[self._begin(pool, [pieces[index] for index in chunk])] = chunk
            for future in _some_done(pool, running):
                chunk = running.pop(future)
                outcome = self._outcome(future)
                if isinstance(outcome, list):
                    answers.update(zip(chunk, outcome, strict=True))
                else:
                    # No chunk is begun any more: what is slow may be spread over all of them.
                    again += chunk
                    again += [index for each_chunk in waiting for index in each_chunk]
                    waiting.clear()
        return sorted(again)

    def _one_by_one(
        self, pool: ProcessPool, pieces: Sequence[Piece], again: Iterable[int], answers: dict[int, Any]
    ) -> None:
        failures, until = 0, self._clock.monotonic() + _PATIENCES * self._patience
        slow: set[str] = set()
        for index in again:
            piece = pieces[index]
            answer = self._slow_lane.look(piece)
            if answer is None and piece.origin in slow:
                answer = self._slow_lane.take(piece)
            if answer is None and (failures == _FAILURES or self._clock.monotonic() > until):
                answer = takes_long()
            if answer is None:
                answer, seconds, has_failed = self._alone(pool, piece)
                failures += has_failed
                if piece.origin and seconds > _SLOW * self._patience:
                    slow.add(piece.origin)
            answers[index] = answer

    def _alone(self, pool: ProcessPool, piece: Piece) -> tuple[object, float, bool]:
        """The answer, the seconds that it took beyond its allowance, and whether the piece failed.

        What runs out of patience goes to the slow lane.
        """
        began = self._clock.monotonic()
        future = self._begin(pool, [piece])
        _some_done(pool, [future])
        seconds = self._clock.monotonic() - began - piece.allowance_seconds
        outcome = self._outcome(future)
        if isinstance(outcome, list):
            return outcome[0], seconds, False
        return outcome or self._slow_lane.take(piece), seconds, True

    def _begin(self, pool: ProcessPool, pieces: Sequence[Piece]) -> Future[bytes]:
        allowance = sum(piece.allowance_seconds for piece in pieces)
        return _begin(pool, pieces, self._memory, self._patience + allowance)

    def _started(self) -> ProcessPool:
        return self._fast.started()

    def _outcome(self, future: Future[bytes]) -> list[object] | WorkerDiedError | None:
        """The answers of a finished chunk, why its worker died, or None: it ran out of patience."""
        try:
            answers = pickle.loads(future.result())  # noqa: S301 - from our own worker
        except FutureTimeoutError:
            return None
        except ProcessExpired as error:
            if error.exitcode == OUT_OF_MEMORY:
                most = f"at most {self._memory // MIB} MiB"
                return WorkerDiedError("a check ran out of memory", expected=most)
            return WorkerDiedError("a worker process died on a check", found=f"exit {error.exitcode}")
        except Exception as error:  # noqa: BLE001 - a work or an answer that does not pickle raises anything
            self._fast.refuse_if_closed()
            return _failed(type(error).__name__)
        if isinstance(answers, Failed):
            return _failed(answers.error)
        return [_failed(one.error) if isinstance(one, Failed) else one for one in answers]

    def _start_slow(self, piece: Piece, done: Done, may_wait: bool) -> bool:
        pool = self._slow.started() if may_wait else self._slow.running()
        if pool is None:
            return False
        limit = self._timeout + piece.allowance_seconds
        future = _begin(pool, [piece], self._memory, limit)
        future.add_done_callback(lambda finished: done(self._slow_answer(finished, limit)))
        return True

    def _slow_answer(self, future: Future[bytes], limit: float) -> object:
        """None when the process was ended from outside: no piece of work is to blame for that."""
        if self._slow.is_closed or future.cancelled() or self._slow.is_broken():
            return None
        outcome = self._outcome(future)
        if outcome is None:
            return WorkerDiedError("a check ran out of time", expected=f"at most {limit:g} seconds")
        return outcome[0] if isinstance(outcome, list) else outcome


class _Processes:
    """A pool of the library, made when first needed and made anew when it broke."""

    def __init__(self, workers: int, modules: tuple[str, ...]) -> None:
        self.is_closed = False
        self._workers = workers
        self._modules = modules
        # Not a fork server: that one leaves a socket folder behind whenever this process is killed.
        self._context = multiprocessing.get_context("spawn")
        self._pool: ProcessPool | None = None
        self._guard = threading.Lock()

    def started(self) -> ProcessPool:
        """The running pool. Raises WorkerDiedError when it is closed."""
        with self._guard:
            self.refuse_if_closed()
            if self._pool is not None and not _runs(self._pool):
                # It broke, or never began, because for a while no worker could be started, or there were no
                # descriptors: that must not last for ever.
                self._pool.stop()  # type: ignore[no-untyped-call]
                self._pool.join()
                self._pool = None
            if self._pool is None:
                self._pool = ProcessPool(
                    max_workers=self._workers,
                    max_tasks=_CHUNKS_OF_A_WORKER,
                    initializer=begin,
                    initargs=self._modules,
                    context=self._context,
                )
            return self._pool

    def running(self) -> ProcessPool | None:
        """The pool if it runs; waits for nothing."""
        pool = self._pool
        return pool if pool is not None and _runs(pool) and not self.is_closed else None

    def is_broken(self) -> bool:
        """It was started, and does not run any more."""
        pool = self._pool
        return pool is not None and not _runs(pool)

    def refuse_if_closed(self) -> None:
        """Raises WorkerDiedError: whatever ended was ended by us, and no piece of work is to blame."""
        if self.is_closed:
            raise WorkerDiedError("the node is stopping")

    def close(self) -> None:
        """End the processes."""
        with self._guard:
            self.is_closed = True
            if self._pool is not None:
                self._pool.stop()  # type: ignore[no-untyped-call]
                self._pool.join()
                self._pool = None


def _runs(pool: ProcessPool) -> bool:
    """It is up, or could be started just now: the library starts a new one when it is asked."""
    try:
        return bool(pool.active)
    except (OSError, RuntimeError):
        return False


def _begin(
    pool: ProcessPool, pieces: Sequence[Piece], memory_bytes: int, timeout_seconds: float
) -> Future[bytes]:
    works = [piece.work for piece in pieces]
    try:
        return pool.schedule(each, args=(pieces[0].function, works, memory_bytes), timeout=timeout_seconds)
    except (OSError, RuntimeError) as error:
        raise WorkerDiedError("the workers cannot be started", found=str(error)) from error


def _some_done(pool: ProcessPool, futures: Iterable[Future[Any]]) -> set[Future[Any]]:
    """Wait for an answer. Raises WorkerDiedError when the pool broke: then none would ever come."""
    while not (done := wait(futures, _LOOK_SECONDS, FIRST_COMPLETED).done):
        if not _runs(pool):
            raise WorkerDiedError("the workers cannot be started")
    return done


def _chunks(pieces: Sequence[Piece], indexes: Iterable[int]) -> Iterable[list[int]]:
    chunk: list[int] = []
    seconds = 0.0
    for index in indexes:
        allowance = pieces[index].allowance_seconds
        if chunk and (len(chunk) == _CHUNK or seconds + allowance > _CHUNK_SECONDS):
            yield chunk
            chunk, seconds = [], 0.0
        chunk.append(index)
        seconds += allowance
    if chunk:
        yield chunk


def _failed(error: str) -> WorkerDiedError:
    return WorkerDiedError("a check failed inside", found=error)
