"""Many agencies on one machine: processes that carry several front-ends, each with its own keys and ledger.

Limits are those of a node as it is shipped, not the short ones of a lab. The server reads the login keys from
a file, because a lab's program for that keeps no answers, and hundreds of logins would measure little else.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice, zip_longest
from pathlib import Path
from typing import Final, Self

import psutil

from bench.meter import cpu_of, memory_of
from bench.province import NotArrivedError, lab_in
from certainty.kills.nodes import Nodes, NotReadyError
from cli.fiction.agencies import LabAgency
from cli.lab.errors import LabError
from cli.lab.lab import Lab, create_lab
from cli.lab.layout import SSHD
from cli.lab.plan import LabPlan, default_plan
from cli.lab.processes import descendants, kill, read_record, send
from cli.lab.starting import last_word
from exchanged.clock import SystemClock

_ROOT: Final = Path(__file__).resolve().parents[1]
TOGETHER: Final = 50
"""Front-ends in one process; it has one interpreter for all of them."""
_LEAST_FREE_MIB: Final = 1_500
# Limits to waiting only: a node as it is shipped tries a line again after up to five minutes.
_CONNECT_SECONDS: Final = 900.0
_LAB_ONLY: Final = re.compile(
    r"^(order_wait_seconds|retry_first_seconds|retry_max_seconds|link_scan_seconds|settle_seconds|scan_seconds)"
    r" = .*\n",
    re.MULTILINE,
)
# What the server writes at each login: the fingerprint of the key.
_ACCEPTED: Final = re.compile(rb"Accepted publickey for \S+ .* (SHA256:\S+)")
_LOOK_SECONDS: Final = 0.5
_INSTANCES: Final = Path("/proc/sys/fs/inotify/max_user_instances")


class NotEnoughMemoryError(RuntimeError):
    """So many daemons do not fit this machine."""


class Crowd:
    """A context manager: a province with ``count`` front-ends, all connected; afterwards nothing runs.

    With the lab that lies in ``folder``, if there is one.
    """

    def __init__(self, folder: Path, count: int, tell: Callable[[str], None]) -> None:
        plan = default_plan(count)
        self.agencies: tuple[LabAgency, ...] = plan.agencies
        self._tell = tell
        tell(f"making {count} agencies")
        self.lab = lab_in(folder, partial(_make_lab, plan))
        self._nodes = Nodes(self.lab)
        self._hives: list[subprocess.Popen[str]] = []
        self._watches = ""
        self._restarted, self._log_bytes = 0.0, 0

    def __enter__(self) -> Self:
        self._allow_watches()
        try:
            # The server of a call that was killed lives on, in a session of its own.
            self.lab.stop()
            self._nodes.__enter__()
            self._nodes.start(self.lab.province)
            # With the ledger of a long sitting.
            self._nodes.await_ready(self.lab.province, _CONNECT_SECONDS)
            codes = self.lab.agencies
            for first in range(0, len(codes), TOGETHER):
                group = codes[first : first + TOGETHER]
                self._start(group)
                self.require_health()
                self._tell(f"{first + len(group)} of {len(codes)} front-ends run")
            self._await_lines()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._tell("ending all nodes")
        for hive in self._hives:
            hive.kill()
            hive.communicate()
        try:
            # What does not end in time is ended with the row: what was measured stays.
            with suppress(LabError, subprocess.TimeoutExpired):
                self._nodes.__exit__(None, None, None)
        finally:
            if self._watches:
                _INSTANCES.write_text(self._watches, encoding="ascii")

    def frontend_cpu(self) -> float:
        """Seconds of processor time so far of all front-ends together, with their workers."""
        return sum(map(cpu_of, self._frontends()))

    def province_cpu(self) -> float:
        """Seconds of processor time of the province's node and of the server's sessions so far."""
        record = read_record(self.lab.layout.record(SSHD))
        sessions = () if record is None else (record, *descendants(record))
        served = 0.0
        for each in sessions:
            with suppress(psutil.Error):
                spent = psutil.Process(each.pid).cpu_times()
                served += spent.user + spent.system
        return sum(map(cpu_of, _family(self._nodes.pid(self.lab.province)))) + served

    def frontend_memory(self) -> float:
        """The proportional shares of all front-ends and their workers together, in MiB."""
        return sum(map(memory_of, self._frontends()))

    def require_health(self) -> None:
        """Raises NotReadyError when some have ended, NotEnoughMemoryError while there is still a little."""
        if any(hive.poll() is not None for hive in self._hives):
            raise NotReadyError("front-ends have ended")
        free = psutil.virtual_memory().available >> 20
        if free < _LEAST_FREE_MIB:
            used = self.frontend_memory()
            told = f"{len(self.agencies)} front-ends use {used:.0f} MiB"
            raise NotEnoughMemoryError(f"{free} MiB of memory are left; {told}")

    def restart_province(self) -> None:
        """The province's machine starts again: its node and its server."""
        self._nodes.stop(self.lab.province)
        record = read_record(self.lab.layout.record(SSHD))
        clock = SystemClock()
        if record is not None:
            # Front-ends come back at once: who is let in meanwhile would have to be thrown out again.
            send(record, signal.SIGSTOP)
            kill(descendants(record), clock)
            kill((record,), clock)
        self._restarted, self._log_bytes = time.monotonic(), self.lab.log(SSHD).stat().st_size
        self.lab._start_sshd()  # noqa: SLF001 - the server alone, without the lab's own daemons
        self._nodes.start(self.lab.province)
        # Hundreds of logins take the same processors.
        self._nodes.await_ready(self.lab.province, _CONNECT_SECONDS)

    def back_after(self, seconds: float) -> list[float]:
        """Seconds from the restart until the server let each front-end in again; without those it did not."""
        names = {_fingerprint(self.lab.layout.login_key(code)): code for code in self.lab.agencies}
        found: dict[str, float] = {}
        while True:
            with self.lab.log(SSHD).open("rb") as log:
                log.seek(self._log_bytes)
                seen = {name.decode() for name in _ACCEPTED.findall(log.read())}
            for name in seen & names.keys() - found.keys():
                found[name] = time.monotonic() - self._restarted
            if len(found) == len(names) or time.monotonic() > self._restarted + seconds:
                return sorted(found.values())
            time.sleep(_LOOK_SECONDS)

    def _frontends(self) -> list[psutil.Process]:
        return [process for hive in self._hives for process in _family(hive.pid)]

    def _start(self, codes: Sequence[str]) -> None:
        """One process for these. Raises NotReadyError."""
        log = self.lab.log(codes[0])
        log.parent.mkdir(parents=True, exist_ok=True)
        configs = [str(self.lab.node_config(code)) for code in codes]
        with log.open("ab") as errors:
            hive = subprocess.Popen(
                (sys.executable, "-P", "-m", "bench.hive", *configs),
                cwd=_ROOT,
                env={**os.environ, "PYTHONPATH": str(_ROOT)},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        self._hives.append(hive)
        for code, line in zip_longest(codes, islice(hive.stdout or (), len(codes))):
            if line != f"ready {code}\n":
                raise NotReadyError(f"{code} did not become ready: {last_word(log)}")

    def _await_lines(self) -> None:
        """Every front-end has put a first word into its mailbox."""
        deadline = time.monotonic() + _CONNECT_SECONDS
        acks = [self.lab.layout.mailbox(code) / "up" / "ack.batch" for code in self.lab.agencies]
        while waiting := [ack for ack in acks if not ack.exists()]:
            if time.monotonic() > deadline:
                raise NotArrivedError(f"{len(waiting)} of {len(acks)} front-ends did not connect")
            time.sleep(_LOOK_SECONDS)

    def _allow_watches(self) -> None:
        """One machine per front-end has instances of its own to watch with; here all share them."""
        wanted = 2 * len(self.lab.nodes) + 128
        with suppress(OSError):
            allowed = _INSTANCES.read_text(encoding="ascii")
            if int(allowed) < wanted:
                _INSTANCES.write_text(str(wanted), encoding="ascii")
                self._watches = allowed


def _make_lab(plan: LabPlan, place: Path) -> Lab:
    lab = create_lab(place, plan)
    for code in lab.nodes:
        path = lab.node_config(code)
        path.write_text(_LAB_ONLY.sub("", path.read_text(encoding="utf-8")), encoding="utf-8")
    keys = lab.layout.sshd / "authorized_keys"
    lines = [lab.layout.login_key(code).with_suffix(".pub") for code in lab.agencies]
    keys.write_text("".join(path.read_text(encoding="utf-8") for path in lines), encoding="utf-8")
    config = lab.layout.sshd / "sshd_config"
    text = re.sub(r"^AuthorizedKeys.*\n", "", config.read_text(encoding="utf-8"), flags=re.MULTILINE)
    listen, rest = text.split("\n", 1)
    config.write_text(f'{listen}\nAuthorizedKeysFile "{keys}"\n{rest}', encoding="utf-8")
    return lab


def _fingerprint(key: Path) -> str:
    """As the server writes it: SHA-256 of the public key, in base64 without the filling."""
    blob = base64.b64decode(key.with_suffix(".pub").read_text(encoding="ascii").split()[1])
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _family(pid: int) -> list[psutil.Process]:
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []
