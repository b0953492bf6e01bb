"""The disk floor: below it nothing new is taken in, so that what is under way can be finished (I10).

Guarantees: intake stops when less than the floor is free, and goes on only when the margin is free as well,
so it does not stop and start with every packet; a change is logged once, whoever looked. One per node:
outbox and links judge by the same look.

Leaves to others: what is small enough to be taken all the same, and telling people (``notices``, and in the
outbox ``frontend_server.pause_sign``). Known limit: the room that others take between a look and a write is
not reserved.
"""

from __future__ import annotations

import logging
import threading
from typing import Protocol

from exchanged.errors import NoSpaceError
from exchanged.log import event_line


class Measured(Protocol):
    """What knows how much room there is: the spool."""

    def free_bytes(self) -> int:
        """What is free for us on its volume. Raises FileOperationError."""


class DiskFloor:
    """The floor of the volume of data_dir, in bytes. May be asked by every thread.

    ``floor_bytes`` 0 means that there is no floor.
    """

    def __init__(self, volume: Measured, floor_bytes: int, margin_bytes: int) -> None:
        self.floor_bytes = floor_bytes
        self._volume = volume
        self._margin_bytes = margin_bytes
        self._guard = threading.Lock()
        self._is_low = False

    def is_low(self) -> bool:
        """Look now: intake has to stop, or may not go on yet. Raises FileOperationError."""
        return self._look()[0]

    def require(self, size: int) -> None:
        """Raises NoSpaceError unless ``size`` bytes may be taken in now, and FileOperationError."""
        is_low, free = self._look()
        if is_low or (self.floor_bytes and free - size < self.floor_bytes):
            raise NoSpaceError(
                "too little room is left to take anything in", expected=f"{self.floor_bytes} bytes"
            )

    def _look(self) -> tuple[bool, int]:
        if not self.floor_bytes:
            return False, 0
        free = self._volume.free_bytes()
        with self._guard:
            wanted = self.floor_bytes + (self._margin_bytes if self._is_low else 0)
            has_changed = self._is_low is not (free < wanted)
            self._is_low = free < wanted
            is_low = self._is_low
        if has_changed:
            level = logging.ERROR if is_low else logging.INFO
            event_line("disk-floor", level=level, is_low=is_low, free_bytes=free, floor=self.floor_bytes)
        return is_low, free
