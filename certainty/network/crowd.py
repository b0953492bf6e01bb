"""F77: a hundred front-ends that come back at once."""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from certainty.network.judging import Sent
from certainty.network.refusing_server import FAILED
from certainty.network.stage import COURT, POLICE, PROCURATORATE, Stage, wait_until
from certainty.network.traffic import settle
from certainty.shard import Outcome, Run, Violation
from cli.fiction.agencies import more_agencies

JUSTICE = "620199-05-00"
_BACK_SECONDS = 120.0
_DELIVERED_SECONDS = 60.0
# From how many pauses on they are compared, and their spread; and which share must differ.
_FEW, _MANY = 5, 20
# They are told in thousandths of a second, and a hundred first ones lie within half a second.
_DIFFERENT = 0.5
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
        times = _delivery_times(stage, more, 180)
        settle(stage, 180)
        found += stage.violations(case)
        pauses = _pauses(stage, codes, began)
        found += [Violation("I9", case, what) for what in alike(pauses)]
        if len(waits) < crowd:
            what = f"{crowd - len(waits)} of {crowd} front-ends did not come back"
            found.append(Violation("I16", case, what))
        dropped = len(stage.log_lines("sshd", "MaxStartups"))
    middle = statistics.median(waits) if waits else 0.0
    told = (
        f"{crowd} real daemons (forked from one process that had loaded the program; sshd with the shipped"
        f" limits and a"
        f" program asked for keys at each login), down for {outage:.0f} s{'' if downs else ' and more'}:"
        f" the last back within {max(waits, default=0):.0f} s, p95 {p95(waits):.0f} s, half of them within"
        f" {middle:.0f} s; {dropped} connections refused by MaxStartups;"
        f" {sum(map(len, pauses.values()))} pauses, compared with each other; {len(during)} packets were"
        f" dropped meanwhile, and of {len(more)} right after p95 took {p95(times):.1f} s."
    )
    # A few do not spread as many do: their last one says nothing of the goal.
    short = []
    if not run.quick and waits and max(waits) > 3 * max(middle, 1.0):
        short.append("the last waited more than three times the median")
    if p95(times) > _DELIVERED_SECONDS:
        short.append(f"p95 of what was dropped right after took {p95(times):.0f} s")
    if not any(len(each) >= _FEW for each in pauses.values()):
        short.append("too few pauses to compare")
    cases = min(noticed, len(waits))
    return Outcome(
        "F77", cases, tuple(found), tuple(waits), told, "; ".join(short),
        planned=crowd, goal_seconds=_BACK_SECONDS,
    )  # fmt: skip


def _connected(stage: Stage, codes: tuple[str, ...]) -> int:
    """How many have put something into their mailbox."""
    return sum((stage.mailbox(code) / "up" / "ack.batch").exists() for code in codes)


def _count(stage: Stage, codes: tuple[str, ...], kind: str, since: datetime) -> int:
    return sum(any(at >= since for at, _ in stage.events(code, kind)) for code in codes)


def _waits(stage: Stage, codes: tuple[str, ...], since: datetime) -> list[float]:
    """Seconds from ``since`` until each had its link again."""
    firsts = [[at for at, _ in stage.events(code, "link-up") if at >= since] for code in codes]
    return sorted((found[0] - since).total_seconds() for found in firsts if found)


def alike(pauses: Mapping[int, Sequence[float]]) -> Iterator[str]:
    """Pauses of a crowd that do not differ, in words; by how often each node had failed in a row, in seconds.

    Those that failed together and wait equally long come back together. Of a pause the half is chance: twenty
    of them lie within a quarter of the longest with a chance of one in ten thousand.
    """
    for failures, each in sorted(pauses.items()):
        if len(each) >= _FEW and len(set(each)) < _DIFFERENT * len(each):
            yield f"after failure {failures} {len(each)} front-ends had {len(set(each))} different pauses"
        elif len(each) >= _MANY and max(each) - min(each) < max(each) / 4:
            yield f"after failure {failures} {len(each)} pauses lay between {min(each)} and {max(each)} s"


def _pauses(stage: Stage, codes: Sequence[str], since: datetime) -> dict[int, list[float]]:
    """What each front-end waited since then, by how often it had failed in a row."""
    found: dict[int, list[float]] = defaultdict(list)
    for code in codes:
        for match in filter(None, map(FAILED.match, stage.log_lines(code))):
            if datetime.fromisoformat(match[1]) >= since:
                found[int(match[3])].append(float(match[4]))
    return found


def _delivery_times(stage: Stage, sent: Sequence[Sent], seconds: float) -> list[float]:
    """Seconds from drop to receipt of each that came in that time."""
    found: dict[str, float] = {}

    def look() -> bool:
        for each in sent:
            if each.name not in found and stage.wait(0, [each]):
                found[each.name] = time.monotonic() - each.at
        return len(found) == len(sent)

    wait_until(look, seconds, 0.2)
    return list(found.values())


def p95(times: list[float]) -> float:
    """In seconds, as the times; 0 of none."""
    return sorted(times)[max(0, round(len(times) * 0.95) - 1)] if times else 0.0
