"""The turn of a blob: for so long it has a link for itself, whichever side moves it, and however."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Generic, TypeVar

from exchanged.transport import TURN_SECONDS

B = TypeVar("B")


class Turn(Generic[B]):
    """Blocks until a turn is over, but at least one. ``is_over``: that is why they ended."""

    def __init__(self, blocks: Iterator[B], monotonic: Callable[[], float]) -> None:
        self._blocks = blocks
        self._monotonic = monotonic
        self.is_over = False

    def blocks(self) -> Iterator[B]:
        """The turn begins with the first of them."""
        ends = self._monotonic() + TURN_SECONDS
        for block in self._blocks:
            yield block
            if self._monotonic() >= ends:
                self.is_over = True
                break
        if isinstance(self._blocks, Generator):
            # What was asked for ahead is not wanted any more.
            self._blocks.close()
