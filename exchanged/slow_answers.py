"""What one station was told of that it takes long: which of its things may be looked at again, and when.

Guarantees: a thing is named as soon as the slow lane has an answer for it, whatever its retry delay; once,
and no longer than the lane itself knows of the piece, so what is remembered here is as bounded as the lane.

Leaves to others: waking the station (``WorkPool.when_answered``), and what is held in its own rows.
Known limit: pieces are told apart by their hash; two with the same cost a look too many.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from exchanged.errors import CheckTakesLongError
from exchanged.pool import WorkPool
from exchanged.slow_lane import Piece

T = TypeVar("T", bound=Hashable)


class SlowAnswers(Generic[T]):
    """Things of one station by the pieces that they wait for. Used by one thread."""

    def __init__(self, pool: WorkPool) -> None:
        self._pool = pool
        self._waiting: dict[int, T] = {}

    def note(self, function: Callable[[Any], Any], work: Hashable, answer: object, thing: T) -> None:
        """``answer`` came for this piece of ``thing``; remembered if the slow lane has the piece."""
        if not isinstance(answer, CheckTakesLongError):
            return
        number = Piece(function, work).number
        if number in self._pool.slow_pieces():
            self._waiting[number] = thing

    def take(self) -> set[T]:
        """The things with an answer that can be asked for now; each is named once."""
        if not self._waiting:
            return set()
        pieces = self._pool.slow_pieces()
        ready = {thing for number, thing in self._waiting.items() if pieces.get(number)}
        self._waiting = {
            number: thing for number, thing in self._waiting.items() if pieces.get(number) is False
        }
        return ready
