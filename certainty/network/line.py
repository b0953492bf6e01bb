"""A TCP line to a server that can be slow, far, cut, silent, or change bytes: the trial's own relay.

Every connection is relayed by threads of its own. What happens to it is decided when it is made, by
``Trouble``; what crossed it is counted. Known limit: it delays and keeps order within a direction, as TCP
does; loss and silence below TCP are the business of namespaces.
"""

from __future__ import annotations

import queue
import random
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Self

HOST: Final = "127.0.0.1"
_BLOCK: Final = 32 * 1024
_LINGER_NONE: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What befalls one connection.

    ``cut_up`` and ``cut_down``: reset after so many bytes towards the server, or from it. ``flip_up`` and
    ``flip_down``: the byte at that offset changes by ``mask``. ``delay`` and ``jitter``: seconds, each way.
    """

    cut_up: int | None = None
    cut_down: int | None = None
    flip_up: int | None = None
    flip_down: int | None = None
    mask: int = 1
    delay: float = 0.0
    jitter: float = 0.0


NONE: Final = Trouble()


@dataclass(slots=True)
class Crossing:
    """One connection: what befell it and what crossed it, in bytes towards the server and from it."""

    trouble: Trouble
    up: int = 0
    down: int = 0
    happened: bool = False
    began: float = field(default_factory=time.monotonic)


class Line:
    """A relay on a free port of ``host`` to ``target``. ``choose`` says what befalls connection number n."""

    def __init__(
        self,
        target: tuple[str, int],
        choose: Callable[[int], Trouble] = lambda _: NONE,
        *,
        host: str = HOST,
        seed: int = 0,
    ) -> None:
        self.target = target
        self.choose = choose
        self._random = random.Random(seed)
        self._listener = socket.create_server((host, 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._pairs: dict[int, tuple[socket.socket, socket.socket]] = {}
        self.crossings: list[Crossing] = []
        self.silent = False
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def happened(self) -> int:
        """How many connections met their trouble."""
        return sum(crossing.happened for crossing in self.crossings)

    @property
    def up_bytes(self) -> int:
        """What was handed to the server over all connections."""
        return sum(crossing.up for crossing in self.crossings)

    def cut(self) -> int:
        """Reset every connection that stands; returns how many."""
        with self._lock:
            pairs, self._pairs = self._pairs, {}
        for pair in pairs.values():
            for end in pair:
                _reset(end)
        return len(pairs)

    def close(self) -> None:
        """Cut, and take no more connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        number = 0
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self.target, timeout=20)
            except OSError:
                _reset(near)
                continue
            far.settimeout(None)
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            crossing = Crossing(self.choose(number))
            with self._lock:
                self._pairs[number] = (near, far)
                self.crossings.append(crossing)
            for up in (True, False):
                self._relay(number, near, far, crossing, up=up)
            number += 1

    def _relay(
        self, number: int, near: socket.socket, far: socket.socket, crossing: Crossing, *, up: bool
    ) -> None:
        source, target = (near, far) if up else (far, near)
        trouble = crossing.trouble
        if not trouble.delay and not trouble.jitter:
            threading.Thread(
                target=self._pump, args=(number, source, target, crossing, up, None), daemon=True
            ).start()
            return
        waiting: queue.Queue[tuple[float, bytes]] = queue.Queue(maxsize=64)
        for work in (self._pump, self._late):
            threading.Thread(
                target=work, args=(number, source, target, crossing, up, waiting), daemon=True
            ).start()

    def _pump(
        self,
        number: int,
        source: socket.socket,
        target: socket.socket,
        crossing: Crossing,
        up: bool,
        waiting: queue.Queue[tuple[float, bytes]] | None,
    ) -> None:
        trouble = crossing.trouble
        cut, flip = (trouble.cut_up, trouble.flip_up) if up else (trouble.cut_down, trouble.flip_down)
        passed, due = 0, 0.0
        try:
            while data := source.recv(_BLOCK):
                if self.silent:
                    continue
                if flip is not None and passed <= flip < passed + len(data):
                    at = flip - passed
                    data = data[:at] + bytes([data[at] ^ trouble.mask]) + data[at + 1 :]
                    crossing.happened = True
                if cut is not None and passed + len(data) > cut:
                    crossing.happened = True
                    if rest := data[: cut - passed]:
                        self._hand_over(target, rest, crossing, up=up)
                    self._drop(number)
                    return
                passed += len(data)
                if waiting is None:
                    self._hand_over(target, data, crossing, up=up)
                else:
                    delay = trouble.delay + self._random.random() * trouble.jitter
                    # A later piece never overtakes an earlier one.
                    due = max(due, time.monotonic() + delay)
                    waiting.put((due, data))
            if waiting is None:
                target.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(number)
        finally:
            if waiting is not None:
                waiting.put((0.0, b""))

    def _late(
        self,
        number: int,
        _source: socket.socket,
        target: socket.socket,
        crossing: Crossing,
        up: bool,
        waiting: queue.Queue[tuple[float, bytes]],
    ) -> None:
        broken = False
        while True:
            due, data = waiting.get()
            if not data:
                with suppress(OSError):
                    target.shutdown(socket.SHUT_WR)
                return
            if broken:
                continue
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                self._hand_over(target, data, crossing, up=up)
            except OSError:
                broken = True
                self._drop(number)

    def _hand_over(self, target: socket.socket, data: bytes, crossing: Crossing, *, up: bool) -> None:
        """Send it, counted before: who got it may ask at once. Raises OSError."""
        self._count(crossing, len(data), up=up)
        try:
            target.sendall(data)
        except OSError:
            self._count(crossing, -len(data), up=up)
            raise

    def _count(self, crossing: Crossing, size: int, *, up: bool) -> None:
        if up:
            crossing.up += size
        else:
            crossing.down += size

    def _drop(self, number: int) -> None:
        with self._lock:
            pair = self._pairs.pop(number, None)
        for end in pair or ():
            _reset(end)


def _reset(end: socket.socket) -> None:
    """End a connection with a reset, also for the thread that reads from it now."""
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
