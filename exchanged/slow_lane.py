"""The slow lane: what runs out of patience goes on here, one after the other, and nobody waits for it.

Guarantees: at most one piece is at work; pieces of different origins take turns; the same piece of work,
asked for again, gets the finished answer once, and until then the same temporary error. Who asks is told when
there is an answer to ask for. What is remembered is bounded, in pieces and in bytes; a forgotten answer costs
a repetition.

Leaves to others: running a piece in a process (``pool``, which hands in how), and when to ask again. Whoever
needs the answers of several pieces at once remembers those that were told (``frontend_server.documents``):
here they are not told together, and need not even have room together. Known
limit: pieces are recognised by equality, so a work is a hashable value that says all its answer depends on.
"""

from __future__ import annotations

import pickle
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final

from exchanged.errors import CheckTakesLongError, WorkerDiedError

LONGEST_SECONDS: Final = 10.0
"""What may take longer than this because of its size does not begin in the fast lane."""
# Pieces of one origin that wait here: the rest waits where it is, and asks again.
_OF_ONE_ORIGIN: Final = 16
# Pieces in all, waiting or answered, and the bytes of their works.
_PIECES: Final = 256
_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of work with the function that does it."""

    function: Callable[[Any], Any]
    work: Hashable

    @property
    def number(self) -> int:
        """What it is told apart by where the work itself would be too much to keep."""
        return hash(self)

    @property
    def origin(self) -> str:
        """Whose it is; empty where the work does not say."""
        return str(getattr(self.work, "origin", ""))

    @property
    def allowance_seconds(self) -> float:
        """What it may take beyond everybody's time because of its size."""
        return float(getattr(self.work, "allowance_seconds", 0.0))

    @property
    def is_large(self) -> bool:
        """So large that it comes here at once. That is no sign of malice: nobody goes behind it."""
        return self.allowance_seconds > LONGEST_SECONDS


@dataclass(slots=True)
class _Entry:
    number: int
    size: int
    is_done: bool = False
    answer: object = None


Done = Callable[[object], None]
"""Called once with the answer of a piece, from any thread; with None when it was lost."""
Start = Callable[[Piece, Done, bool], bool]
"""Begins a piece and says whether it has begun. With False as the third it must not wait for anything."""


def takes_long() -> CheckTakesLongError:
    """The answer for now."""
    return CheckTakesLongError("a check takes long, or waits behind one that does")


class SlowLane:
    """Remembers what is slow. Used by several threads, and by those of the processes' library.

    The guard is never held while ``start`` runs: that may wait for a thread which reports here. Nor while
    ``answered`` does, which is called whenever there is a new answer, by the thread that brought it.
    """

    def __init__(self, start: Start, answered: Callable[[], None] = lambda: None) -> None:
        self._start = start
        self._answered = answered
        self._guard = threading.Lock()
        self._entries: OrderedDict[Piece, _Entry] = OrderedDict()
        self._waiting: OrderedDict[str, deque[Piece]] = OrderedDict()
        # Pieces of an origin that wait or are at work.
        self._open: Counter[str] = Counter()
        # Of these, what ran out of patience, or waits behind such a piece.
        self._slow: Counter[str] = Counter()
        # Hashes of what was told once, and was slow: not tried in the fast lane again.
        self._known: OrderedDict[int, None] = OrderedDict()
        self._at_work: Piece | None = None
        self._bytes = 0

    def look(self, piece: Piece) -> object:
        """The answer of ``piece`` if it is slow or its origin has something slow open, else None.

        Raises TypeError for a work that is not hashable.
        """
        number = piece.number
        with self._guard:
            entry = self._entries.get(piece)
            if entry is not None and entry.is_done:
                self._forget(piece)
                self._remember(number)
                return entry.answer
            is_open = bool(piece.origin) and not piece.is_large and self._slow[piece.origin] > 0
            if entry is None and number not in self._known and not is_open:
                return None
        return self.take(piece)

    def take(self, piece: Piece) -> CheckTakesLongError:
        """Let ``piece`` go on here, if there is room. The answer for now."""
        with self._guard:
            if piece not in self._entries and self._open[piece.origin] < _OF_ONE_ORIGIN:
                self._enter(piece)
        self._advance(may_wait=True)
        return takes_long()

    def pieces(self) -> dict[int, bool]:
        """The numbers of all pieces here: whether there is an answer that was not told yet."""
        with self._guard:
            return {entry.number: entry.is_done for entry in self._entries.values()}

    def lost(self) -> None:
        """Whatever is at work will not be answered: it is forgotten."""
        piece = self._at_work
        if piece is not None:
            self._done(piece, None)

    def _enter(self, piece: Piece) -> None:
        size = len(pickle.dumps(piece.work))
        if self._make_room(size):
            self._entries[piece] = _Entry(piece.number, size)
            self._bytes += size
            self._open[piece.origin] += 1
            self._slow[piece.origin] += not piece.is_large
            self._waiting.setdefault(piece.origin, deque()).append(piece)

    def _advance(self, *, may_wait: bool) -> None:
        piece = self._pick()
        if piece is None:
            return
        try:
            begun = self._start(piece, lambda answer: self._done(piece, answer), may_wait)
        except WorkerDiedError:
            begun = False
        except BaseException:
            # Else the lane would wait for this piece for ever.
            self._put_back(piece)
            raise
        if not begun:
            self._put_back(piece)

    def _pick(self) -> Piece | None:
        """The next piece, of the origin whose turn it is."""
        with self._guard:
            if self._at_work is not None or not self._waiting:
                return None
            origin, pieces = self._waiting.popitem(last=False)
            self._at_work = pieces.popleft()
            if pieces:
                self._waiting[origin] = pieces
            return self._at_work

    def _put_back(self, piece: Piece) -> None:
        with self._guard:
            if self._at_work != piece:
                return  # lost meanwhile
            self._at_work = None
            self._waiting.setdefault(piece.origin, deque()).appendleft(piece)
            self._waiting.move_to_end(piece.origin, last=False)

    def _done(self, piece: Piece, answer: object) -> None:
        with self._guard:
            if self._at_work != piece:
                return
            self._at_work = None
            self._open -= Counter({piece.origin: 1})
            self._slow -= Counter({piece.origin: int(not piece.is_large)})
            if answer is None:
                self._forget(piece)
            else:
                entry = self._entries[piece]
                entry.is_done, entry.answer = True, answer
                self._entries.move_to_end(piece)
        if answer is not None:
            self._answered()
        self._advance(may_wait=False)

    def _forget(self, piece: Piece) -> None:
        self._bytes -= self._entries.pop(piece).size

    def _remember(self, number: int) -> None:
        self._known[number] = None
        self._known.move_to_end(number)
        if len(self._known) > _PIECES:
            self._known.popitem(last=False)

    def _make_room(self, size: int) -> bool:
        """Forget answers that nobody has asked for, the oldest first."""
        for piece in [piece for piece, entry in self._entries.items() if entry.is_done]:
            if self._has_room(size):
                break
            self._forget(piece)
        return self._has_room(size)

    def _has_room(self, size: int) -> bool:
        # A single piece of any size has room.
        return not self._entries or (len(self._entries) < _PIECES and self._bytes + size <= _BYTES)
