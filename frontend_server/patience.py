"""Asking folders that may hang, from a thread that need not (matrix F33).

Guarantees: whoever asks waits for a limited time; while an earlier question still hangs in the kernel, a new
one is answered at once by ``FolderHangsError``, so nothing piles up. What is asked runs in one thread, in
order. Leaves to others: what a hang means. Known limit: what was begun may still happen after the asker gave
up.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from packet_spec.errors import ExchangeError

T = TypeVar("T")

PATIENCE_SECONDS: Final = 10.0


class FolderHangsError(ExchangeError):
    """The agency's folders do not answer: a file server or the network to it stands still."""

    reference = "folder-hangs"
    temporary = True


class Patience:
    """One thread for questions that may hang. Started at the first; it ends with the process."""

    def __init__(self, seconds: float = PATIENCE_SECONDS) -> None:
        self._seconds = seconds
        self._questions: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        self._open: Future[Any] | None = None
        self._thread: threading.Thread | None = None

    def ask(self, question: Callable[[], T]) -> T:
        """What ``question`` gives. Raises what it raises, and FolderHangsError. Used by one thread."""
        if self._open is not None and not self._open.done():
            raise FolderHangsError("the agency's folders do not answer")
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="patience", daemon=True)
            self._thread.start()
        answer: Future[T] = Future()
        self._open = answer
        self._questions.put((question, answer))
        try:
            return answer.result(self._seconds)
        except TimeoutError:
            if answer.done():
                raise
            raise FolderHangsError("the agency's folders do not answer") from None

    def _run(self) -> None:
        while True:
            question, answer = self._questions.get()
            try:
                answer.set_result(question())
            except BaseException as error:  # noqa: BLE001 - handed over to the asker
                answer.set_exception(error)
