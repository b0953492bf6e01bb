"""Worker processes: where bytes from outside are parsed and checked, without keys, with limits.

A worker that crashes or runs out of time costs exactly the piece of work that it had in hand: the
answer is a ``WorkerDiedError`` and the worker is replaced. Workers are fresh interpreters: they hold
no private keys, no ledger and no connection, and they end when their parent ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as FutureTimeoutError
from multiprocessing import connection
from typing import Final, Protocol, TypeVar

from pebble import ProcessExpired, ProcessPool

from exchanged.errors import WorkerDiedError
from packet_spec.errors import ExchangeError

# How often a waiting caller asks whether the workers are still there.
_LOOK_SECONDS: Final = 1.0

A = TypeVar("A")
B = TypeVar("B")


class WorkPool(Protocol):
    """Runs a top-level function over pieces of work; each answer is a value or an error of ours.

    A piece of work may have ``allowance_seconds``: what it may take because of its size, beyond the time that
    everybody has.
    """

    def run(self, function: Callable[[A], B], works: Sequence[A]) -> list[B | ExchangeError]:
        """One answer for each piece of work, in order. Never raises for a single piece."""

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

    def close(self) -> None:
        """Nothing to stop."""


class ProcessWorkPool:
    """Worker processes, started at the first piece of work."""

    def __init__(self, workers: int, timeout_seconds: float) -> None:
        self._workers = workers
        self._timeout = timeout_seconds
        # Not a fork server: that one leaves a socket folder behind whenever this process is killed.
        self._context = multiprocessing.get_context("spawn")
        self._pool: ProcessPool | None = None
        self._guard = threading.Lock()
        self._closed = False

    def run(self, function: Callable[[A], B], works: Sequence[A]) -> list[B | ExchangeError]:
        """The pieces in parallel; a crash or time-out is the answer of its own piece only.

        Raises WorkerDiedError when the pool is closed before all have answered, or cannot start workers.
        """
        pool = self._started()
        times = [self._timeout + float(getattr(work, "allowance_seconds", 0.0)) for work in works]
        try:
            futures = [
                pool.schedule(function, args=(work,), timeout=seconds)
                for work, seconds in zip(works, times, strict=True)
            ]
        except RuntimeError as error:
            raise WorkerDiedError("the workers cannot be started", found=str(error)) from error
        answers: list[B | ExchangeError] = []
        for future, seconds in zip(futures, times, strict=True):
            _await(pool, future)
            try:
                answers.append(future.result())
            except ExchangeError as error:
                answers.append(error)
            except FutureTimeoutError:
                expected = f"at most {seconds} seconds"
                answers.append(WorkerDiedError("a check ran out of time", expected=expected))
            except ProcessExpired as error:
                answers.append(
                    WorkerDiedError("a worker process died on a check", found=f"exit {error.exitcode}")
                )
            except Exception as error:  # noqa: BLE001 - whatever a worker raises is the answer of its piece
                answers.append(WorkerDiedError("a check failed inside", found=type(error).__name__))
        if self._closed:
            # Ended by us: no piece of work is to blame for it.
            raise WorkerDiedError("the node is stopping")
        return answers

    def close(self) -> None:
        """End the workers without waiting for the work in hand."""
        with self._guard:
            self._closed = True
            if self._pool is not None:
                self._pool.stop()  # type: ignore[no-untyped-call]
                self._pool.join()
                self._pool = None

    def _started(self) -> ProcessPool:
        with self._guard:
            if self._closed:
                raise WorkerDiedError("the node is stopping")
            if self._pool is not None and not self._pool.active:
                # It broke, because no worker could be started for a while: that must not last for ever.
                self._pool.stop()  # type: ignore[no-untyped-call]
                self._pool.join()
                self._pool = None
            if self._pool is None:
                self._pool = ProcessPool(
                    max_workers=self._workers,
                    max_tasks=2000,
                    initializer=_end_with_parent,
                    context=self._context,
                )
            return self._pool


def _await(pool: ProcessPool, future: Future[B]) -> None:
    """Wait for an answer. Raises WorkerDiedError when the pool broke: then none would ever come."""
    while not wait((future,), timeout=_LOOK_SECONDS).done:
        if not pool.active:
            raise WorkerDiedError("the workers cannot be started")


def _end_with_parent() -> None:
    """A killed daemon leaves no worker behind: wait for its end in a thread, then end too."""
    # A SIGHUP sent to the whole service is for the daemon; here it would cost the piece of work in hand.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(0)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
