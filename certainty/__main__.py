"""``./run certainty``: try what can break, and say what held.

    ./run certainty [--quick] [--seed N] [--only SHARD ...] [--jobs N] [--again] [--keep]
                    [--list] [--json] [--report DIR]

Results are kept below ``.certainty/`` for the state of the product and the judges that they belong to: a run
that was broken off goes on where it stood, also when documents or other tests were changed meanwhile. Exit
codes: 0 nothing was violated and no shard broke, 1 otherwise, 2 usage.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from certainty.matrix import load_matrix, rows_without_source
from certainty.progress import Progress
from certainty.report import make_page, make_report, show
from certainty.runner import ROOT, Results, ShardResult, end_all, run_shard
from certainty.shard import Shard
from certainty.shards import SHARDS
from certainty.source import UNKNOWN, source_of
from cli.closed_pipe import run_program

KEPT: Final = ROOT / ".certainty"
# What a result depends on. The shards that run tests of the suite depend on all of them as well.
TRIED: Final = (
    "certainty", "cli", "examples", "exchanged", "frontend_server", "packet_spec", "pyproject.toml", "run",
    "setup.cfg", "systemd", "tests/support",
)  # fmt: skip
TRIED_BY_SUITE: Final = (*TRIED, "tests")
_BAD: Final = ("violated", "broken")


def run_all(
    shards: Sequence[Shard],
    results: Results,
    *,
    quick: bool,
    seed: int,
    keep: bool = False,
    again: bool = False,
    jobs: int = 1,
    source: str = "",
    is_same: Callable[[], bool] = lambda: True,
) -> dict[str, ShardResult]:
    """Every shard once; those that came to their end before are not repeated unless ``again``.

    ``jobs`` run side by side, after those that fill the machine by themselves. ``source`` stands in each
    result. ``is_same``: the source is still what it was at the beginning; what a shard found while that
    changed is of no source, and broken.
    """

    def run_one(number: int, shard: Shard) -> ShardResult:
        progress = Progress(f"[{number}/{len(shards)}] {shard.name}", shows_steps=jobs == 1)
        before = None if again else results.read(shard.name, seed)
        if before is not None:
            progress.end("was run before")
            return before
        result = run_shard(shard, quick=quick, seed=seed, progress=progress, keep=keep)
        if not is_same():
            progress.end("the source was changed meanwhile")
            return replace(result, state="broken", reason="the source was changed while it ran")
        result = replace(result, source=source)
        results.write(result)
        violations = sum(len(outcome.violations) for outcome in result.outcomes)
        cases = sum(outcome.cases for outcome in result.outcomes)
        told = f"{cases:,} cases, {violations} violations" if result.state == "done" else ""
        told = ", ".join(filter(None, (told, result.reason)))
        progress.end(f"{result.state} in {result.seconds:.0f} s: {told}")
        return result

    ordered = sorted(shards, key=lambda shard: not shard.fills_machine)
    alone = sum(shard.fills_machine for shard in shards)
    with ThreadPoolExecutor(jobs) as pool:
        try:
            found = [pool.submit(run_one, *each).result() for each in enumerate(ordered[:alone], start=1)]
            found += pool.map(run_one, range(alone + 1, len(shards) + 1), ordered[alone:])
            return {each.name: each for each in found}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            end_all()
            raise


def write_report(report: dict[str, Any], folder: Path) -> None:
    """``<set>.json`` and ``<set>.html`` in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, ensure_ascii=False, indent=1)
    (folder / f"{report['set']}.json").write_text(f"{text}\n", encoding="utf-8")
    (folder / f"{report['set']}.html").write_text(make_page(report), encoding="utf-8")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="./run certainty", description=(__doc__ or "").splitlines()[0], add_help=True
    )
    parser.add_argument("--quick", action="store_true", help="the small set, under ten minutes")
    parser.add_argument("--seed", type=int, default=1, help="what everything drawn at random follows from")
    parser.add_argument("--only", nargs="+", default=[], metavar="SHARD", help="these shards alone")
    parser.add_argument("--list", action="store_true", help="show the shards and end")
    parser.add_argument("--again", action="store_true", help="also what came to its end before")
    parser.add_argument("--keep", action="store_true", help="keep the folders of the shards")
    parser.add_argument("--jobs", type=int, default=1, help="as many shards side by side")
    parser.add_argument("--json", action="store_true", help="the report on standard output as JSON")
    parser.add_argument("--report", type=Path, default=None, metavar="DIR", help="where the report goes")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the set, write the report, show it."""
    given = parse(arguments)
    rows = load_matrix()
    forgotten = rows_without_source(rows, SHARDS)
    if forgotten:
        print(f"nobody tries {', '.join(forgotten)}, and no reason is given", file=sys.stderr)
    shards = [shard for shard in SHARDS if not given.quick or shard.in_quick]
    chosen = [shard for shard in shards if not given.only or shard.name in given.only]
    unknown = set(given.only) - {shard.name for shard in shards}
    if unknown:
        print(f"there is no shard {', '.join(sorted(unknown))}; --list shows them", file=sys.stderr)
        return 2
    if given.list:
        for shard in shards:
            took = f"{shard.quick_seconds} s" if given.quick else f"{shard.full_seconds // 60} min"
            print(f"{shard.name:24}{took:>6}  {shard.title[:50]}")
        return 0
    # As Ctrl-C: the shards are ended, and clean up.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(128 + signal.SIGTERM))
    kind, source = "quick" if given.quick else "full", source_of(ROOT)
    state = source_of(ROOT, TRIED)
    results = Results(KEPT, state, kind, of_suite=source_of(ROOT, TRIED_BY_SUITE))
    if source == UNKNOWN:
        print("not a git repository: what was found before is not used", file=sys.stderr)
    found = run_all(
        chosen,
        results,
        quick=given.quick,
        seed=given.seed,
        keep=given.keep,
        again=given.again or source == UNKNOWN,
        jobs=given.jobs,
        source=source,
        is_same=lambda: source_of(ROOT) == source,
    )
    # What other calls found on this source belongs to the report too.
    kept = [] if source == UNKNOWN else results.for_report(given.seed)
    told = [*found.values(), *(each for each in kept if each not in found.values())]
    places = {shard.name: place for place, shard in enumerate(shards)}
    told.sort(key=lambda result: places[result.name])
    left_out = [shard for shard in SHARDS if shard not in shards]
    report = make_report(rows, shards, told, kind=kind, source=source, seed=given.seed, left_out=left_out)
    folder = given.report or KEPT / state
    write_report(report, folder)
    if given.json:
        print(json.dumps(report, ensure_ascii=False, indent=1))
    else:
        show(report)
        print(f"report: {folder / kind}.html")
    return int(any(row["verdict"] in _BAD for row in report["rows"]))


if __name__ == "__main__":
    sys.exit(run_program(main))
