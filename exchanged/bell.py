"""The bell of a mailbox: a FIFO by which the serving side wakes a waiting dialler (C7).

Guarantees: ringing never blocks, never follows a link, never writes into anything and raises nothing. A bell
is a hint; the slow scan is the truth, so a bell that cannot be made or rung is told once, tried again at each
ring, and no error. Waiting for it is the business of ``exchanged.sftp_bell``.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from pathlib import Path
from typing import Final

from exchanged.log import event_line

_RING: Final = os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_OWN: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE: Final = 0o640

FIRST_REPEAT_SECONDS: Final = 0.02
LAST_REPEAT_SECONDS: Final = 60.0


def ring_again_in(attempt: int) -> float:
    """Seconds until ring number ``attempt`` (from 0) is repeated: 20 ms doubling to 60 s (C7)."""
    # 2**12 is already beyond the last step; a larger exponent would only overflow one day.
    return min(LAST_REPEAT_SECONDS, FIRST_REPEAT_SECONDS * 2.0 ** min(attempt, 12))


class Bell:
    """The serving side's end of one bell. Holds nothing open. Used by one thread.

    ``makes``: a FIFO that is missing is made by ringing, mode 0640. In a jail only root could, and the jail
    script did it before, with the agency's group.
    """

    def __init__(self, path: Path, *, makes: bool = False) -> None:
        self.path = path
        self._makes = makes
        self._is_told = False

    def ring(self) -> bool:
        """Wake whoever waits. False: nobody waits, or there is no usable bell (told once, until there is)."""
        try:
            found, heard = self._ring()
        except OSError as error:
            found, heard = error.strerror or type(error).__name__, False
        if found and not self._is_told:
            event_line("bell-unusable", level=logging.WARNING, where=str(self.path), found=found)
        self._is_told = bool(found)
        return heard

    def _ring(self) -> tuple[str, bool]:
        """What is wrong with the bell, if anything, and whether somebody woke."""
        try:
            descriptor = os.open(self.path, _RING)
        except FileNotFoundError:
            if not self._makes:
                raise
            # Nobody waits at what was not there.
            return self._make(), False
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            # Without a reader; the same is said of a socket.
            return _other_kind(self.path.lstat()), False
        try:
            found = _other_kind(os.fstat(descriptor))
        finally:
            os.close(descriptor)
        return found, not found

    def _make(self) -> str:
        os.mkfifo(self.path, _MODE)
        # The umask may have taken from the mode; what lies there by now may be something else.
        descriptor = os.open(self.path, _OWN)
        try:
            found = _other_kind(os.fstat(descriptor))
            if not found:
                os.fchmod(descriptor, _MODE)
        finally:
            os.close(descriptor)
        return found


def _other_kind(found: os.stat_result) -> str:
    return "" if stat.S_ISFIFO(found.st_mode) else "something that is no FIFO"
