"""What runs inside a worker process: its limits, and one chunk of work.

Guarantees: every piece of a chunk has an answer of its own, in order; where one cannot be pickled, all of
the chunk have failed. While it works a worker has no more address space than it was
given, writes no core file, and ends itself when that was not enough: what is left of such a heap is not
worked with. A worker ends at once when it is told to, also inside a long call of C code, and when its
parent ends.

Leaves to others: time limits, and what to do about a worker that ended (``pool``).
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import resource
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import connection
from typing import Any, Final

from packet_spec.errors import ExchangeError

OUT_OF_MEMORY: Final = 77
"""The exit code of a worker that ran out of memory (sysexits.h: not allowed)."""


@dataclass(frozen=True, slots=True)
class Failed:
    """What a piece of work raised that is none of our errors: the name of its type, and nothing it says."""

    error: str


def begin(*modules: str) -> None:
    """At the start of a worker: how it ends, and the ``modules`` that its work will need."""
    # Not the handler of the pool's library: Python runs handlers only between two steps of its own, so a
    # worker inside libxml2 would be waited for, for seconds, with the channel to all workers locked.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # A SIGHUP sent to the whole service is for the daemon; here it would cost the piece of work in hand.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    _end_with_parent()
    for module in modules:
        import_module(module)


def ready(_work: int) -> bool:
    """A piece of work that is done as soon as a worker is up: for who must not wait for it later."""
    return True


def each(function: Callable[[Any], Any], works: Sequence[Any], memory_bytes: int) -> bytes:
    """The pickled answers to the pieces, in order: each a value, an ExchangeError, or Failed.

    A single Failed where they cannot be pickled.
    Pickled here: an answer that could not be read again would break the library's pool for everybody.
    """
    answers = [_answer(function, work, memory_bytes) for work in works]
    try:
        return pickle.dumps(answers)
    except Exception as error:  # noqa: BLE001 - pickling raises whatever the value's class raises
        return pickle.dumps(Failed(type(error).__name__))


def _answer(function: Callable[[Any], Any], work: Any, memory_bytes: int) -> object:
    try:
        with _limited(memory_bytes):
            return function(work)
    except ExchangeError as error:
        return error
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except Exception as error:  # noqa: BLE001 - whatever a check raises is the answer of its piece
        return Failed(type(error).__name__)


@contextmanager
def _limited(memory_bytes: int) -> Iterator[None]:
    """While a piece is worked on, not while pieces and answers pass through the channel.

    What were lost there, nobody would ever answer.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = [memory_bytes, *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_AS, (min(most), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _end_with_parent() -> None:
    """A killed daemon leaves no worker behind: wait for its end in a thread, then end too."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(0)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
