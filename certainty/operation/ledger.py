"""The shard ``operation-ledger``: F108, a ledger of ten years under a real daemon and a real operator.

The ledger of a lab's province is written by ``growth`` (five million rows; quick fifty thousand). Then the
daemon is started on it, questions are asked while it runs, it is stopped, and the ledger is verified.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from contextlib import closing, redirect_stdout
from pathlib import Path
from statistics import median
from typing import Final

from certainty.operation.growth import BookClock, count_rows, fill, key_of
from certainty.operation.town import PROVINCE, Town, town
from certainty.shard import Outcome, Run, Violation
from cli.lab.errors import LabError
from cli.main import main as exchangectl
from exchanged.ledger import Ledger, open_read_only
from exchanged.ledger.verify import examine_ledger

FULL_ROWS: Final = 5_000_000
QUICK_ROWS: Final = 50_000
# What a packet of ``growth`` leaves in all tables, on the average; the rest of the goal is counted.
_ROWS_OF_A_PACKET: Final = 23.0
_START_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 1.0
_ROWS_A_SECOND: Final = 50_000
_TIMES: Final = 3


def missed(figures: dict[str, float], rows_a_second: float, start: float) -> Iterator[str]:
    """Which of the goals were missed, one sentence each."""
    if start > _START_SECONDS:
        yield f"ready after {start:.1f} s, and not {_START_SECONDS:.0f} s"
    for question, seconds in figures.items():
        if seconds > _ANSWER_SECONDS:
            yield f"{question} answered after {seconds:.2f} s, and not {_ANSWER_SECONDS:.0f} s"
    if rows_a_second < _ROWS_A_SECOND:
        yield f"verified {rows_a_second:,.0f} rows a second, and not {_ROWS_A_SECOND:,}"


def too_few(rows: int, wanted: int) -> Iterator[str]:
    """The ledger is smaller than the one that the goal is about."""
    if rows < wanted:
        yield f"{rows:,} of {wanted:,} rows"


def work(run: Run) -> Iterator[Outcome]:
    """Write, start, ask, stop, verify."""
    wanted = QUICK_ROWS if run.quick else FULL_ROWS
    packets = int(wanted / _ROWS_OF_A_PACKET)
    with town(run.folder / "lab", start=False) as place:
        data = place.lab.layout.data(PROVINCE)
        rows, writing, size = _write(run, data, packets, place)
        begun = time.monotonic()
        try:
            place.lab.start_node(PROVINCE)
        except LabError as error:
            yield Outcome("F108", 1, (Violation("I10", "start", str(error)),), measured=f"{rows:,} rows")
            return
        start = time.monotonic() - begun
        run.progress(90, 100, f"the daemon was ready after {start:.1f} s")
        figures = {name: _ask(place, words) for name, words in _questions(packets, place)}
        place.lab.stop_node(PROVINCE)
        begun = time.monotonic()
        with closing(open_read_only(data / "ledger.sqlite3")) as connection:
            verified = examine_ledger(connection, data)
        seconds = time.monotonic() - begun
    violations = tuple(Violation("I8", problem.what, problem.where) for problem in verified.problems[:5])
    slowest = max(figures, key=lambda name: figures[name])
    yield Outcome(
        "F108", cases=len(figures) + 2, violations=violations, recovery_seconds=(start,),
        short="; ".join((*too_few(rows, wanted), *missed(figures, rows / seconds, start))),
        measured=f"{rows:,} rows ({packets:,} packets, {size >> 20} MiB) in {writing:.0f} s;"
        f" started in {start:.1f} s; {len(figures)} questions, slowest {slowest}: {figures[slowest]:.2f} s;"
        f" verified in {seconds:.0f} s, {rows / seconds:,.0f} rows a second",
    )  # fmt: skip


def _write(run: Run, data: Path, packets: int, place: Town) -> tuple[int, float, int]:
    """Rows, seconds, and the size of the file in bytes."""
    (data / "spool").mkdir(exist_ok=True)
    clock = BookClock(packets)
    path = data / "ledger.sqlite3"
    began = time.monotonic()
    with closing(Ledger(path, clock, on_wake=lambda _names: None, threaded=False)) as ledger:
        fill(
            ledger, clock, data / "spool", packets, PROVINCE, place.lab.agencies,
            lambda done: run.progress(done * 80 // packets, 100, f"{done} packets written"),
        )  # fmt: skip
    seconds = time.monotonic() - began
    with closing(open_read_only(path)) as connection:
        return count_rows(connection), seconds, path.stat().st_size


def _questions(packets: int, place: Town) -> Iterator[tuple[str, list[str]]]:
    middle, last = key_of(packets // 2, place.lab.agencies), key_of(packets - 1, place.lab.agencies)
    agency = middle.sender
    yield "node status", ["node", "status"]
    yield "queue summary", ["queue", "summary"]
    yield "queue list", ["queue", "list"]
    yield "packet list", ["packet", "list"]
    yield "packet list --from --state", ["packet", "list", "--from", agency, "--state", "delivered"]
    yield "packet list --until", ["packet", "list", "--until", "2020-01-01"]
    yield "packet trace, old", ["packet", "trace", str(middle)]
    yield "packet trace, waiting", ["packet", "trace", str(last)]
    yield "packet show", ["packet", "show", str(middle)]
    yield "packet find by reference", ["packet", "find", f"A{agency}-{packets // 2:08d}"]
    yield "packet find by case", ["packet", "find", f"(2026)甘{packets // 16}号"]
    yield "event list", ["event", "list"]
    yield "event list --packet", ["event", "list", "--packet", str(middle)]
    yield "link list", ["link", "list"]


def _ask(place: Town, words: list[str]) -> float:
    """The median of three calls in this process: what the answer costs beyond starting an interpreter."""
    times = []
    for _ in range(_TIMES):
        began = time.monotonic()
        with redirect_stdout(io.StringIO()) as said:
            code = exchangectl(["--config", str(place.lab.node_config(PROVINCE)), *words, "--json"])
        times.append(time.monotonic() - began)
        if not said.getvalue() or "error" in json.loads(said.getvalue()):
            raise LabError(f"exchangectl {' '.join(words)} ended with {code}")
    return median(times)
