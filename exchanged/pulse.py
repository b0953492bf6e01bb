"""Whether this node's own volume still takes writes, asked in a thread of its own.

One beat is a transaction of the ledger's writer and a small file written and flushed beside the ledger. A
volume that hangs lets the beat hang, and nothing else: the main thread sees that no answer came, tells the
service manager nothing more, and is ended by its watchdog. So a station that takes long while the beat
answers hangs on something foreign: a share, a server, a worker.

Guarantees: at most one beat is under way; a beat that fails for want of room has answered all the same; a
volume that is damaged is fatal as everywhere (exit code 6). Known limit: a spool on another volume than
``data_dir`` is not asked.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from exchanged.durable import DurableFiles
from exchanged.errors import VolumeDamagedError
from exchanged.ledger import Ledger, questions_queue
from exchanged.log import event_line
from exchanged.places import PULSE_FILE
from packet_spec.errors import ExchangeError

COUNTED: Final = 10_000
"""So many waiting packets are counted; a longer queue is told as this many."""


class Pulse:
    """A thread that beats when it is asked to. Started once, stopped once."""

    def __init__(
        self, ledger: Ledger, files: DurableFiles, on_fatal: Callable[[ExchangeError], None]
    ) -> None:
        self._ledger = ledger
        self._files = files
        self._path = ledger.path.with_name(PULSE_FILE)
        self._on_fatal = on_fatal
        self._asked = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
        self.waiting = 0
        """Packets that the exchange still owes something, as of the last beat; COUNTED and more are one."""

    def start(self) -> None:
        """Begin with a first beat."""
        self._asked.set()
        self._thread.start()

    def has_answered(self) -> bool:
        """The last beat that was asked for is over."""
        return not self._asked.is_set() and self._thread.is_alive()

    def ask(self) -> None:
        """Beat once more. After ``has_answered``."""
        self._asked.set()

    def stop(self, timeout_seconds: float) -> bool:
        """End after the beat under way. False when it does not come to an end in time."""
        self._stopping = True
        self._asked.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping:
            self._asked.wait()
            try:
                if not self._stopping:
                    self._beat()
            except VolumeDamagedError as error:
                self._on_fatal(error)
                return
            except ExchangeError as error:
                event_line("pulse-failed", level=logging.WARNING, error=error.reference, what=str(error))
            except Exception:
                # Whatever it is, the volume has answered; and silence would end the whole node.
                logging.getLogger("exchanged").exception("event=pulse-bug")
            self._asked.clear()

    def _beat(self) -> None:
        self._ledger.write(lambda _: None)
        self.waiting = questions_queue.count_open(self._ledger.read(), COUNTED)
        self._files.write_file(self._path, (b"alive\n",))
