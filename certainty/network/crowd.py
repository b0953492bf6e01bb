"""F77 and F78: a hundred front-ends that come back at once, and one that does its worst."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from certainty.network.asking import settings_of
from certainty.network.stage import COURT, POLICE, PROCURATORATE, Stage, wait_until
from certainty.network.traffic import settle
from certainty.shard import Outcome, Run, Violation
from cli.fiction.agencies import more_agencies
from exchanged.sftp_connection import SftpConnection
from packet_spec.errors import ExchangeError

JUSTICE = "620199-05-00"
_BACK_SECONDS = 120.0
_ROOT = Path(__file__).resolve().parents[2]
# As a node is shipped: the lab's own pauses are short.
_SHIPPED = {"retry_first_seconds": "1.0", "retry_max_seconds": "300.0", "link_scan_seconds": "30.0"}
_LIMITS_OF_SSHD = re.compile(
    r"^(MaxStartups|MaxSessions|LoginGraceTime|ClientAlive\w+|PerSourceMaxStartups) .*$", re.MULTILINE
)
_BODY = "import sys; sys.stdout.write(open({path!r}).read())\n"


def shipped_limits(stage: Stage) -> None:
    """Give the lab's sshd the limits of systemd/sshd_config, and a program to ask for keys at each login.

    The program costs what the product's key command costs once its answers are kept: a Python that starts.
    """
    shipped = (_ROOT / "systemd" / "sshd_config").read_text(encoding="utf-8")
    lines = [match[0] for match in _LIMITS_OF_SSHD.finditer(shipped)]
    script = stage.folder / "sshd" / "keys.py"
    script.write_text(_BODY.format(path=str(stage.folder / "sshd" / "authorized_keys")), encoding="utf-8")

    def change(text: str) -> str:
        text = _LIMITS_OF_SSHD.sub("", text)
        asked = f"AuthorizedKeysCommand {sys.executable} -I {script} %u\nAuthorizedKeysCommandUser root"
        text = re.sub(
            r"^AuthorizedKeysFile .*$", f"AuthorizedKeysFile none\n{asked}", text, flags=re.MULTILINE
        )
        return text + "\n".join(lines) + "\n"

    stage.change_sshd(change)


@contextmanager
def forked(stage: Stage, codes: tuple[str, ...]) -> Iterator[subprocess.Popen[bytes]]:
    """The daemons of these agencies, forked from one process; all end with the block."""
    plan = stage.folder / "many.json"
    stage.lab.layout.log(codes[0]).parent.mkdir(exist_ok=True)
    plan.write_text(
        json.dumps([[str(stage.lab.node_config(code)), str(stage.lab.layout.log(code))] for code in codes]),
        encoding="utf-8",
    )
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "certainty.network.many", str(plan)],
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        for number, seconds in ((signal.SIGTERM, 12), (signal.SIGKILL, 5)):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            # The parent waits for nobody; the group is gone when nobody answers to it.
            wait_until(lambda: not _group_lives(process), seconds)
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)


def _group_lives(process: subprocess.Popen[bytes]) -> bool:
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def all_at_once(run: Run) -> Outcome:
    """F77: the province and its server restart; every front-end dials in again by its own pauses."""
    crowd = 8 if run.quick else 100
    outage = 3.0 if run.quick else 45.0
    codes = (POLICE, PROCURATORATE, COURT, JUSTICE, *(each.code for each in more_agencies(crowd - 4)))
    found: list[Violation] = []
    case = f"seed {run.seed}"
    with ExitStack() as stack:
        # The small set cannot wait for half a minute between two looks.
        limits = {**_SHIPPED, "link_scan_seconds": "3.0"} if run.quick else _SHIPPED
        stage = stack.enter_context(Stage(run.folder / "f77", codes, seed=run.seed, limits=limits))
        shipped_limits(stage)
        # The lab starts the server and the province; the front-ends are forked.
        agencies, stage.lab.agencies = stage.lab.agencies, ()
        stage.lab.start()
        stage.lab.agencies = agencies
        parent = stack.enter_context(forked(stage, codes))
        wait_until(lambda: _connected(stage, codes) >= crowd or parent.poll() is not None, 240, 1.0)
        if _connected(stage, codes) < crowd:
            raise RuntimeError(f"only {_connected(stage, codes)} of {crowd} front-ends came up")
        stage.drop(POLICE, PROCURATORATE)
        settle(stage, 90)
        run.progress(1, 3, "F77 all connected")
        began = datetime.now(UTC)
        stage.lab.stop_node(stage.lab.province)
        stage.stop_sshd()
        downs = wait_until(lambda: _count(stage, codes, "link-down", began) >= crowd, outage + 60, 1.0)
        time.sleep(outage)
        during = [stage.drop(POLICE, PROCURATORATE), stage.drop(COURT, JUSTICE), stage.drop(JUSTICE, POLICE)]
        stage.restart_sshd_alone()
        again = datetime.now(UTC)
        stage.lab.start_node(stage.lab.province)
        wait_until(lambda: _count(stage, codes, "link-up", again) >= crowd, _BACK_SECONDS + 60, 1.0)
        waits = _waits(stage, codes, again)
        # Who had not noticed that the server was away does not come back.
        noticed = _count(stage, codes, "link-down", began)
        run.progress(2, 3, "F77 back")
        more = [
            stage.drop(*way)
            for way in ((POLICE, PROCURATORATE), (COURT, JUSTICE), (PROCURATORATE, COURT), (JUSTICE, POLICE))
            for _ in range(1 if run.quick else 5)
        ]
        settle(stage, 180)
        found += stage.violations(case)
        if len(waits) < crowd:
            what = f"{crowd - len(waits)} of {crowd} front-ends did not come back"
            found.append(Violation("I16", case, what))
        dropped = len(stage.log_lines("sshd", "MaxStartups"))
    middle = statistics.median(waits) if waits else 0.0
    told = (
        f"{crowd} real daemons (forked from one process that had loaded the program; sshd with the shipped"
        f" limits and a"
        f" program asked for keys at each login), down for {outage:.0f} s{'' if downs else ' and more'}:"
        f" the last back within {max(waits, default=0):.0f} s, p95 {_p95(waits):.0f} s, half of them within"
        f" {middle:.0f} s; {dropped} connections refused by MaxStartups; {len(during) + len(more)} packets"
        f" were dropped meanwhile and right after. 500 were not tried."
    )
    # A few do not spread as many do: their last one says nothing of the goal.
    short = (
        ""
        if run.quick or not waits or max(waits) <= 3 * max(middle, 1.0)
        else "the last waited more than three times the median"
    )
    cases = min(noticed, len(waits))
    return Outcome(
        "F77", cases, tuple(found), tuple(waits), told, short, planned=crowd, goal_seconds=_BACK_SECONDS
    )


def _connected(stage: Stage, codes: tuple[str, ...]) -> int:
    """How many have put something into their mailbox."""
    return sum((stage.mailbox(code) / "up" / "ack.batch").exists() for code in codes)


def _count(stage: Stage, codes: tuple[str, ...], kind: str, since: datetime) -> int:
    return sum(any(at >= since for at, _ in stage.events(code, kind)) for code in codes)


def _waits(stage: Stage, codes: tuple[str, ...], since: datetime) -> list[float]:
    """Seconds from ``since`` until each had its link again."""
    firsts = [[at for at, _ in stage.events(code, "link-up") if at >= since] for code in codes]
    return sorted((found[0] - since).total_seconds() for found in firsts if found)


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
    quiet, during = _p95(calm), _p95(stormy)
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


def _p95(times: list[float]) -> float:
    return sorted(times)[max(0, round(len(times) * 0.95) - 1)] if times else 0.0
