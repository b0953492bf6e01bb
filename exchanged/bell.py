"""The bell of a mailbox: a FIFO by which the serving side wakes a waiting dialler (C7).

Guarantees: ringing never blocks, never follows a link and never writes into anything. A bell is a
hint; the slow scan is the truth, so a bell that cannot be rung is logged and no error. Waiting for
it is the business of ``exchanged.sftp_bell``.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from pathlib import Path
from typing import Final

from exchanged.errors import TransportError

_LOG: Final = logging.getLogger(__name__)
_RING: Final = os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC

FIRST_REPEAT_SECONDS: Final = 0.02
LAST_REPEAT_SECONDS: Final = 60.0


def ring_again_in(attempt: int) -> float:
    """Seconds until ring number ``attempt`` (from 0) is repeated: 20 ms doubling to 60 s (C7)."""
    # 2**12 is already beyond the last step; a larger exponent would only overflow one day.
    return min(LAST_REPEAT_SECONDS, FIRST_REPEAT_SECONDS * 2.0 ** min(attempt, 12))


class Bell:
    """The serving side's end of one bell. Holds nothing open."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def ensure(self) -> None:
        """Make the FIFO, mode 0640, if it is missing. Raises TransportError if it is something else.

        In production the jail script made it before, with the agency's group.
        """
        try:
            os.mkfifo(self.path, 0o640)
            self.path.chmod(0o640)
        except FileExistsError:
            pass
        except OSError as error:
            raise self._unusable(error.strerror or "") from error
        try:
            mode = self.path.lstat().st_mode
        except OSError as error:
            raise self._unusable(error.strerror or "") from error
        if not stat.S_ISFIFO(mode):
            raise self._unusable("something that is no FIFO")

    def ring(self) -> bool:
        """Wake whoever waits. False: nobody waits, or there is no usable bell (logged)."""
        try:
            descriptor = os.open(self.path, _RING)
        except OSError as error:
            if error.errno != errno.ENXIO:
                _LOG.warning("event=bell-unusable where=%s found=%s", self.path, error.strerror)
            return False
        try:
            if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                return True
        finally:
            os.close(descriptor)
        _LOG.warning("event=bell-unusable where=%s found=no FIFO", self.path)
        return False

    def _unusable(self, found: str) -> TransportError:
        return TransportError("the bell cannot be used", where=str(self.path), expected="a FIFO", found=found)
