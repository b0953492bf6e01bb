"""F78: one front-end does its worst to the server that all share."""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import ExitStack, suppress

from certainty.network.asking import settings_of
from certainty.network.crowd import JUSTICE, p95, shipped_limits
from certainty.network.stage import COURT, POLICE, Stage, wait_until
from certainty.network.traffic import settle
from certainty.shard import Outcome, Run, Violation
from exchanged.sftp_connection import SftpConnection
from packet_spec.errors import ExchangeError


def flood(run: Run) -> Outcome:
    """F78: one front-end storms the server with logins and fills its mailbox with tiny files."""
    count = 4 if run.quick else 20
    files = 2_000 if run.quick else 30_000
    found: list[Violation] = []
    with ExitStack() as stack:
        codes = (POLICE, COURT, JUSTICE)
        stage = stack.enter_context(Stage(run.folder / "f78", codes, seed=run.seed))
        shipped_limits(stage)
        stage.lab.start()
        stage.drop(COURT, JUSTICE)
        settle(stage, 60)
        calm = _times(stage, count)
        flooder = _Flooder(stage, files)
        stack.callback(flooder.stop)
        is_flooded = wait_until(lambda: flooder.files > files // 4 and flooder.logins > 20, 60)
        logins = flooder.logins
        stormy = _times(stage, count)
        # The flood went on while they were measured.
        is_flooded = is_flooded and flooder.logins > logins
        flooder.stop()
        settle(stage, 120)
        found += stage.violations(f"seed {run.seed}")
    quiet, during = p95(calm), p95(stormy)
    told = (
        f"{flooder.logins} logins ({flooder.refused} refused) and {flooder.files} tiny files of one"
        f" front-end, on the same"
        f" two cores as everybody: the others' p95 from drop to receipt {quiet:.1f} s before and"
        f" {during:.1f} s meanwhile."
    )
    short = (
        ""
        if during <= 2 * quiet
        else "others' p95 is more than doubled; flooder and server share two cores here"
    )
    cases = len(stormy) if is_flooded else 0
    return Outcome("F78", cases, tuple(found), (), told, short, planned=count)


class _Flooder:
    """A front-end that does what its key and its mailbox let it do, as fast as it can."""

    def __init__(self, stage: Stage, files: int) -> None:
        self.logins = self.refused = self.files = 0
        self._most = files
        self._ended = threading.Event()
        self._up = stage.mailbox(POLICE) / "up"
        self._settings = settings_of(stage, POLICE)
        self._threads = [threading.Thread(target=self._log_in, daemon=True) for _ in range(4)]
        self._threads.append(threading.Thread(target=self._litter, daemon=True))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Peace again."""
        self._ended.set()
        for thread in self._threads:
            thread.join(30)
        for path in self._up.glob("*-feedfeedfeedfeed.batch"):
            path.unlink(missing_ok=True)
        for path in self._up.glob("tiny-*"):
            path.unlink(missing_ok=True)

    def _log_in(self) -> None:
        while not self._ended.is_set():
            connection = SftpConnection(self._settings)
            try:
                connection.open_window()
                self.logins += 1
            except ExchangeError:
                self.refused += 1
            connection.drop()

    def _litter(self) -> None:
        while not self._ended.wait(0.0005) and self.files < self._most:
            number = 10_000_000 + self.files
            name = (
                f"tiny-{secrets.token_hex(8)}" if self.files % 2 else f"{number:08d}-feedfeedfeedfeed.batch"
            )
            with suppress(OSError):
                (self._up / name).write_bytes(b"x")
            self.files += 1


def _times(stage: Stage, count: int) -> list[float]:
    """Seconds from drop to receipt of packets between two others, one after the other."""
    found: list[float] = []
    for _ in range(count):
        sent = stage.drop(COURT, JUSTICE)
        stage.wait(120, [sent])
        found.append(time.monotonic() - sent.at)
    return found
