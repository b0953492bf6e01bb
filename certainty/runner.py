"""Runs shards one after the other, each in a process of its own, and keeps what they found.

Guarantees: a shard that crashes, hangs or is killed is told as *broken* and stops no other; a shard whose
needs are missing is *not run*; what a shard found is on disk before the next one begins, so that a run that
was broken off goes on where it stood, as long as the source is the same.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from certainty.shard import MOST_SECONDS, Outcome, Shard, Violation

ROOT: Final = Path(__file__).resolve().parents[1]
# A slow machine, or one with other work, is given so much more: its size ends a shard, not its time.
SLACK: Final = 3.0
# What is told of a row that the quick set leaves to the full one, and of one that was not reached in time.
FULL_ONLY: Final = "only the full set tries it"
_NO_TIME: Final = "the time of the shard was over before its first case"
# A shard stops between two cases; what does not end this long after its time hangs.
_GRACE_SECONDS: Final = 180.0
_LAST_LINES: Final = 3000
_CLEANING_SECONDS: Final = 30.0
_EARLIER: Final = "-earlier-"
# The processes of shards that run now.
_running: dict[int, subprocess.Popen[str]] = {}


@dataclass(frozen=True, slots=True)
class ShardResult:
    """What one run of a shard gave. ``state`` is done, broken or not-run; ``reason`` says why not done.

    ``source``: the state of the whole source at that time (``source_of``).
    """

    name: str
    title: str
    rows: tuple[str, ...]
    state: str
    reason: str
    seed: int
    began: str
    seconds: float
    outcomes: tuple[Outcome, ...]
    source: str = ""

    @property
    def has_violations(self) -> bool:
        """A promise was broken."""
        return any(outcome.violations for outcome in self.outcomes)


def missing_needs(shard: Shard) -> tuple[str, ...]:
    """What this machine lacks for a shard."""
    return tuple(need for need in shard.needs if not _has(need))


def _has(need: str) -> bool:
    if need == "root":
        return os.geteuid() == 0
    if need.startswith("/"):
        return Path(need).exists()
    # Programs of the system's administrator are not on every user's path.
    return shutil.which(need, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None


def run_shard(
    shard: Shard, *, quick: bool, seed: int, progress: Callable[[int, int, str], None], keep: bool = False
) -> ShardResult:
    """Run one shard to its end, or to the end of its time. ``keep``: its folder stays in any case."""
    began, clock = datetime.now(UTC), time.monotonic()

    def result(state: str, reason: str, outcomes: tuple[Outcome, ...] = ()) -> ShardResult:
        seconds = round(time.monotonic() - clock, 1)
        when = began.isoformat(timespec="seconds")
        return ShardResult(
            shard.name, shard.title, shard.rows, state, reason, seed, when, seconds, outcomes
        )

    missing = missing_needs(shard)
    if missing:
        return result("not-run", f"this machine has no {', '.join(missing)}")
    folder = Path(tempfile.mkdtemp(prefix=f"certainty-{shard.name}-"))
    folder.chmod(0o755)
    allowed = min(SLACK * (shard.quick_seconds if quick else shard.full_seconds), MOST_SECONDS)
    outcomes, last, is_done = _run_process(shard, folder, seed, allowed, progress, quick=quick)
    told = {outcome.row for outcome in outcomes}
    if is_done and quick:
        left = [row for row in shard.full_only if row not in told]
        outcomes += tuple(Outcome(row, 0, not_run=FULL_ONLY) for row in left)
        told |= {*left}
    if time.monotonic() - clock > allowed:
        outcomes = tuple(map(_without_time, outcomes))
    silent = [row for row in shard.rows if row not in told]
    idle = [outcome.row for outcome in outcomes if _is_idle(outcome)]
    if is_done and (silent or idle):
        last, is_done = f"it said nothing about {', '.join((*silent, *idle))}", False
    if not is_done:
        return result("broken", f"{last} (see {folder})", outcomes)
    found = result("done", f"see {folder}", outcomes)
    if keep or found.has_violations:
        return found
    shutil.rmtree(folder, ignore_errors=True)
    return result("done", "", outcomes)


def _is_idle(outcome: Outcome) -> bool:
    return not (outcome.cases or outcome.not_run)


def _without_time(outcome: Outcome) -> Outcome:
    """Of a shard whose time was over: nothing was tried, which is no break of it."""
    is_left_out = _is_idle(outcome) and not outcome.violations
    return replace(outcome, not_run=_NO_TIME) if is_left_out else outcome


def _run_process(
    shard: Shard,
    folder: Path,
    seed: int,
    seconds: float,
    progress: Callable[[int, int, str], None],
    *,
    quick: bool,
) -> tuple[tuple[Outcome, ...], str, bool]:
    work = folder / "work"
    work.mkdir()
    command = [sys.executable, "-m", "certainty.one", shard.module, str(work), str(seed), str(seconds)]
    if quick:
        command.append("--quick")
    outcomes: list[Outcome] = []
    is_done = False
    errors = folder / "stderr.log"
    with (
        errors.open("wb") as log,
        subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
        ) as process,
    ):
        timer = threading.Timer(seconds + _GRACE_SECONDS, _kill_group, [process.pid])
        timer.start()
        _running[process.pid] = process
        try:
            assert process.stdout is not None
            for line in process.stdout:
                value = json.loads(line)
                if "progress" in value:
                    progress(*value["progress"])
                elif "outcome" in value:
                    outcomes.append(outcome_from(value["outcome"]))
                is_done = is_done or "done" in value
            code = process.wait()
        finally:
            timer.cancel()
            del _running[process.pid]
    tail = errors.read_text(errors="replace")[-_LAST_LINES:].strip()
    reason = (tail.splitlines() or ["it said nothing"])[-1]
    return tuple(outcomes), f"ended with {code}: {reason}", is_done and code == 0


def end_all() -> None:
    """Ctrl-C: every shard cleans up what it mounted, then it is ended for certain."""
    for process in tuple(_running.values()):
        process.terminate()
    for process in tuple(_running.values()):
        try:
            process.wait(_CLEANING_SECONDS)
        except subprocess.TimeoutExpired:
            _kill_group(process.pid)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def outcome_from(value: dict[str, Any]) -> Outcome:
    """The outcome that ``asdict`` and JSON made of one."""
    violations = tuple(Violation(**each) for each in value["violations"])
    return Outcome(**{
        **value,
        "violations": violations,
        "recovery_seconds": tuple(value["recovery_seconds"]),
    })


class Results:
    """The results of one set on one state of the source, below ``folder``, a file for each shard and seed.

    ``state`` is that of what every shard tries, ``of_suite`` that of what the tests of the suite try; without
    it they are one. Guarantees: what broke a promise once stays for as long as the state is the same,
    whatever ran since.
    """

    def __init__(self, folder: Path, state: str, kind: str, *, of_suite: str = "") -> None:
        self._folder = folder / state / kind
        self._of_suite = folder / (of_suite or state) / kind

    def read(self, name: str, seed: int) -> ShardResult | None:
        """What a shard found before; None when it did not come to its end. Not-run is looked at anew."""
        result = _read(self._path(name, seed))
        return result if result is not None and result.state == "done" else None

    def write(self, result: ShardResult) -> None:
        """Keep what a shard found, and what it found before if that was a violation."""
        path = self._path(result.name, result.seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        before = _read(path)
        if before is not None and before.has_violations:
            number = len(list(path.parent.glob(f"{path.stem}{_EARLIER}*.json"))) + 1
            path.rename(path.with_name(f"{path.stem}{_EARLIER}{number}.json"))
        partial = path.with_suffix(".part")
        partial.write_text(json.dumps(asdict(result), ensure_ascii=False, indent=1), encoding="utf-8")
        partial.replace(path)

    def for_report(self, seed: int) -> list[ShardResult]:
        """Every result of that seed, and of any seed those that broke a promise."""
        folders = sorted({self._folder, self._of_suite})
        found = [(path, _read(path)) for folder in folders for path in sorted(folder.glob("*.json"))]
        return [
            result
            for path, result in found
            if result is not None
            and (result.has_violations or (result.seed == seed and _EARLIER not in path.stem))
        ]

    def _path(self, name: str, seed: int) -> Path:
        folder = self._of_suite if name.startswith("suite-") else self._folder
        return folder / f"{name}-seed-{seed}.json"


def _read(path: Path) -> ShardResult | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        value["rows"] = tuple(value["rows"])
        value["outcomes"] = tuple(outcome_from(each) for each in value["outcomes"])
        return ShardResult(**value)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
