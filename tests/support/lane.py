"""A pool whose slow lane has no process: its pieces are done when the test says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from exchanged.errors import CheckTakesLongError
from exchanged.pool import InlinePool
from exchanged.slow_lane import Done, Piece, SlowLane


class LanePool(InlinePool):
    """Everything else is done at once. ``done`` counts the pieces of the slow lane that were done.

    ``put_off`` counts the answers that something takes long.
    ``is_slow``: what runs out of patience; what is large goes to the slow lane in any case.
    """

    def __init__(self, is_slow: Callable[[Piece], bool] = lambda _: False) -> None:
        self.is_slow = is_slow
        self.begun: list[tuple[Piece, Done]] = []
        self.done = 0
        self.put_off = 0
        self.wake: Callable[[], None] = lambda: None
        self.lane = SlowLane(self._start, self._answered)

    def when_answered(self, wake: Callable[[], None]) -> None:
        self.wake = wake

    def slow_pieces(self) -> Mapping[int, bool]:
        return self.lane.pieces()

    def _answered(self) -> None:
        self.wake()

    def _start(self, piece: Piece, done: Done, may_wait: bool) -> bool:
        self.begun.append((piece, done))
        return True

    def finish(self, most: int = 1000) -> None:
        """So many pieces are done, as far as there are any."""
        for _ in range(most):
            if not self.begun:
                return
            piece, done = self.begun.pop()
            self.done += 1
            done(self.answer(piece))

    def run(self, function: Callable[[Any], Any], works: Sequence[Any]) -> list[Any]:
        answers: list[Any] = []
        for piece in [Piece(function, work) for work in works]:
            answer = self.lane.look(piece)
            if answer is None and (piece.is_large or self.is_slow(piece)):
                answer = self.lane.take(piece)
            self.put_off += isinstance(answer, CheckTakesLongError)
            answers.append(self.answer(piece) if answer is None else answer)
        return answers

    def answer(self, piece: Piece) -> Any:
        """What comes of a piece, wherever it is done."""
        return super().run(piece.function, [piece.work])[0]
