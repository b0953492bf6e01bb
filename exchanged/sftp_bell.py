"""Waiting at the bell of a mailbox on an SFTP server (C7).

How it works: opening a FIFO for reading blocks OpenSSH's SFTP server until its side opens the FIFO
for writing. So an OPEN request that is not answered is a wait, and its answer is the ring.

Guarantees: after each ring the bell is armed again before ``on_ring`` is called, and the old end is
known to be closed by then, so that a ring after the caller's next listing either wakes us or finds
nobody and is repeated. A bell is a hint: a lost one costs time until the slow scan, nothing else.
Known limit: a session whose network died leaves its waiter on the server until the next ring.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from exchanged.errors import TransportError
from exchanged.mailbox import BELL_NAME
from exchanged.sftp_connection import SftpConnection, SftpSettings
from exchanged.sftp_window import SftpWindow

_LOG: Final = logging.getLogger(__name__)
# A server that answers at once, again and again, must not turn this thread into a hot loop.
_REST_SECONDS: Final = 0.02
_STOP_SECONDS: Final = 1.0


class BellListener:
    """A thread that waits at the bell and calls back; started once, stopped once.

    ``on_ring`` says: look into the mailbox. ``on_state(True)`` says that the bell is armed from now
    on, ``on_state(False)`` that it no longer is; after ``True`` look as well, since rings before
    it were not heard. Both are called in the listener's thread and must be short.
    ``delays(attempt)`` gives the seconds to wait after failure number ``attempt`` (from 0, counted
    anew after each arming); it should grow and vary. Given a connection, the bell is one more
    session on it; given settings, it has a connection of its own.
    """

    def __init__(
        self,
        server: SftpSettings | SftpConnection,
        on_ring: Callable[[], None],
        on_state: Callable[[bool], None],
        delays: Callable[[int], float],
    ) -> None:
        self._owns_connection = isinstance(server, SftpSettings)
        self._connection = SftpConnection(server) if isinstance(server, SftpSettings) else server
        self._path = f"{self._connection.settings.mailbox.rstrip('/')}/{BELL_NAME}"
        self._on_ring = on_ring
        self._on_state = on_state
        self._delays = delays
        self._stopping = threading.Event()
        self._window: SftpWindow | None = None
        self._thread = threading.Thread(target=self._run, name="bell", daemon=True)

    def start(self) -> None:
        """Begin to wait."""
        self._thread.start()

    def stop(self) -> None:
        """Stop within a second, also while waiting; no callback begins after it returns."""
        self._stopping.set()
        window = self._window
        if window is not None:
            window.close()
        if self._owns_connection:
            self._connection.close()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        attempt = 0
        while not self._stopping.is_set():
            armed = False
            try:
                window = self._window = self._connection.open_window()
                try:
                    request = self._arm_first(window)
                    armed, attempt = True, 0
                    self._call(lambda: self._on_state(True))
                    while not self._stopping.is_set():
                        request = self._wait_and_rearm(window, request)
                        self._call(self._on_ring)
                        self._stopping.wait(_REST_SECONDS)
                finally:
                    window.close()
            except TransportError as error:
                if not self._stopping.is_set():
                    _LOG.info("event=bell-lost attempt=%d error=%s", attempt, error.reference)
            if armed:
                self._call(lambda: self._on_state(False))
            self._stopping.wait(self._delays(attempt))
            attempt += 1

    def _arm_first(self, window: SftpWindow) -> int:
        found = window.lstat(self._path)
        if found is None or not found.is_fifo:
            raise TransportError("the mailbox has no bell", where=self._path, expected="a FIFO")
        return window.start_open_to_read(self._path)

    def _wait_and_rearm(self, window: SftpWindow, request: int) -> int:
        handle = window.wait_open(request)
        # While the old end is open a ring finds a reader, though nobody waits: it would be lost.
        # So the next opening follows the closing at once, and the closing is awaited.
        closing = window.start_close(handle)
        request = window.start_open_to_read(self._path)
        window.finish_close(closing)
        return request

    def _call(self, callback: Callable[[], None]) -> None:
        if self._stopping.is_set():
            return
        try:
            callback()
        except Exception:  # noqa: BLE001 - a callback is not ours
            # The bell must outlive a mistake of its listener; the slow scan does the work meanwhile.
            _LOG.exception("event=bell-callback-failed")
