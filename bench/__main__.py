"""``./run bench``: measure the exchange, and whatever else would do the work, on this machine.

    ./run bench [--full] [--only ROW ...] [--list] [--again] [--json]
                [--packets N] [--report DIR]

Without ``--full`` it takes about twenty minutes on two idle cores; with it, hours. Results are kept below
``.bench/`` for the state of what is measured: a run that was broken off goes on where it stood, ``growth``
and ``volume`` within themselves. What broke, was broken off or had no verdict is tried again, but behind the
others.
Exit codes: 0 nothing fell short and nothing broke, 1 otherwise, 2 usage.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from bench.chart import chart
from bench.keeping import Kept, work_folder
from bench.report import machine, make_report, table
from bench.result import BROKEN, SHORT, Result, Row
from bench.rows import ROWS
from bench.runner import missing, run_all
from certainty.source import source_of
from cli.closed_pipe import run_program

ROOT: Final = Path(__file__).resolve().parents[1]
KEPT: Final = ROOT / ".bench"
# What a figure depends on: a change of documents or tests costs no hours.
MEASURED: Final = (
    "bench", "certainty", "cli", "exchanged", "frontend_server", "packet_spec", "pyproject.toml", "setup.cfg",
)  # fmt: skip


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="./run bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--full", action="store_true", help="also what takes hours, and the large sizes")
    parser.add_argument("--only", nargs="+", default=[], metavar="ROW", help="these rows alone")
    parser.add_argument("--packets", type=int, default=0, metavar="N", help="so many in the row volume")
    parser.add_argument("--list", action="store_true", help="show the rows and end")
    parser.add_argument("--again", action="store_true", help="also what came to its end before")
    parser.add_argument("--json", action="store_true", help="the report on standard output as JSON")
    parser.add_argument("--report", type=Path, default=None, metavar="DIR", help="where the report goes")
    return parser.parse_args(arguments)


def write_report(
    rows: Sequence[Row], results: Mapping[str, Result], folder: Path, *, kind: str, source: str
) -> dict[str, object]:
    """``<set>.json``, ``<set>.txt`` and ``<set>.svg`` in ``folder``; the value of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    told = machine(work_folder())
    report = make_report(rows, results, kind=kind, source=source, told=told)
    caption = f"exchanged, {kind} bench of {told['date']}: {told['cores']} cores, {told['cpu']}"
    files = {
        "json": json.dumps(report, ensure_ascii=False, indent=1) + "\n",
        "txt": table(rows, results) + "\n",
        "svg": chart(rows, results, caption),
    }
    for suffix, text in files.items():
        (folder / f"{kind}.{suffix}").write_text(text, encoding="utf-8")
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the set, write the report, show it."""
    given = parse(arguments)
    rows = [row for row in ROWS if given.full or not row.full_only]
    unknown = set(given.only) - {row.name for row in rows}
    if unknown:
        print(f"there is no row {', '.join(sorted(unknown))}; --list shows them", file=sys.stderr)
        return 2
    if given.list:
        for row in rows:
            lacking = missing(row)
            print(f"{row.name:15}{row.title}{f'  (no {lacking[0]})' if lacking else ''}")
            print(f"{'':15}{row.reach}")
        return 0
    heed_signals()
    kind, source = "full" if given.full else "quick", source_of(ROOT)
    if given.packets:
        # What was only tried is no result of the set.
        kind += f"-{given.packets}"
    state = source_of(ROOT, MEASURED)
    kept = Kept(KEPT, state, kind)
    began = time.monotonic()
    chosen = [row for row in rows if not given.only or row.name in given.only]
    tell, ended = _teller(began), 0
    try:
        run_all(chosen, kept, full=given.full, again=given.again, tell=tell, packets=given.packets)
    except KeyboardInterrupt:
        ended = 128 + signal.SIGINT
    except SystemExit as end:
        ended = int(end.code or 0)
    # What another call found belongs to the report too, and what none has begun.
    found = {row.name: _told(kept, row) for row in rows}
    folder = given.report or KEPT / state
    report = write_report(rows, found, folder, kind=kind, source=source)
    if ended:
        tell(f"broken off; the same call goes on. Report: {folder / kind}.json, .txt and .svg")
        return ended
    if given.json:
        print(json.dumps(report, ensure_ascii=False, indent=1))
    else:
        print(table(rows, found))
        print(f"report: {folder / kind}.json, .txt and .svg")
    return int(any(result.verdict in {SHORT, BROKEN} for result in found.values()))


def _told(kept: Kept, row: Row) -> Result:
    """What came of a row in this call or before; *not run* when nothing did yet."""
    begun = (
        "it was begun, and the same call goes on with it" if kept.place(row.name) else "it was not begun yet"
    )
    return kept.last(row.name) or Result(not_run=begun)


def heed_signals() -> None:
    """As with Ctrl-C, what was started is ended. Under nohup a terminal that goes away ends nothing."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def _end(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def _teller(began: float) -> Callable[[str], None]:
    """One line per step, with the minutes since the beginning; into a terminal that went away, nothing."""

    def tell(text: str) -> None:
        with suppress(OSError):
            print(f"{(time.monotonic() - began) / 60:5.1f} min  {text}", file=sys.stderr, flush=True)

    return tell


if __name__ == "__main__":
    sys.exit(run_program(main))
