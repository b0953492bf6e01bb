"""The report of a run: one JSON document with everything, and one HTML page that a person reads.

A verdict per row: *violated* when a promise was broken; *broken* when a shard of it did not come to its end;
*short* when no promise was broken and a figure of the goal was not reached; *not run* when nothing was
tried; *held in part* when one of several sources did not run; else *held*. Unknown is never held. The quick
set tries fewer cases than the goals ask for: what held there, held for those.
"""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from html import escape
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

from certainty.matrix import Row
from certainty.runner import FULL_ONLY, ShardResult
from certainty.shard import Outcome, Shard

VERDICTS: Final = ("violated", "broken", "short", "not run", "held in part", "held")
_STYLE: Final = Path(__file__).with_name("report.css")


def machine() -> dict[str, object]:
    """What the run ran on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    ssh = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=False).stderr.strip()
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30, 1),
        "python": platform.python_version(),
        "ssh": ssh.split(",")[0],
        "libraries": {name: version(name) for name in ("lxml", "paramiko", "pynacl", "xmlschema")},
    }


def row_value(
    row: Row, shards: Sequence[Shard], results: Sequence[ShardResult], *, left_out: Sequence[Shard] = ()
) -> dict[str, Any]:
    """What the report says of one row. Of a shard that ran more than once every run counts.

    ``left_out``: shards that the set does not have, and the full one has.
    """
    sources = [shard for shard in shards if row.id in shard.rows]
    outcomes: list[Outcome] = []
    gaps: list[str] = []
    broken: list[str] = []
    for shard in sources:
        runs = [result for result in results if result.name == shard.name]
        if not runs:
            gaps.append(f"{shard.name} was not run")
        for result in runs:
            mine = [each for each in result.outcomes if each.row == row.id]
            outcomes += mine
            gaps += [f"{shard.name}: {each.not_run}" for each in mine if each.not_run]
            if result.state == "not-run":
                gaps.append(f"{shard.name}: {result.reason}")
            elif result.state == "broken":
                broken.append(f"{shard.name}: {result.reason}")
    if not sources:
        is_left_out = any(row.id in shard.rows for shard in left_out)
        gaps.append(row.without or (FULL_ONLY if is_left_out else "nothing tries it"))
    cases = sum(outcome.cases for outcome in outcomes)
    violations = [
        {"invariant": each.invariant, "case": each.case, "what": each.what}
        for outcome in outcomes
        for each in outcome.violations
    ]
    short = [each for outcome in outcomes for each in outcome.shortfalls]
    return {
        "id": row.id,
        "part": row.part,
        "fault": row.fault,
        "promise": row.promise,
        "invariants": row.invariants,
        "goal": row.goal,
        "cases": cases,
        "violations": violations,
        "recovery": _recovery([second for outcome in outcomes for second in outcome.recovery_seconds]),
        "measured": [outcome.measured for outcome in outcomes if outcome.measured],
        "short": short,
        "gaps": gaps,
        "broken": broken,
        "shards": [shard.name for shard in sources],
        "verdict": _verdict(cases, violations, short, gaps, broken),
    }


def _verdict(
    cases: int, violations: Sequence[object], short: Sequence[str], gaps: Sequence[str], broken: Sequence[str]
) -> str:
    if violations:
        return "violated"
    if broken:
        return "broken"
    if not cases:
        return "not run"
    if short:
        return "short"
    return "held in part" if gaps else "held"


def _recovery(seconds: Sequence[float]) -> dict[str, float] | None:
    if not seconds:
        return None
    high = quantiles(seconds, n=20)[-1] if len(seconds) > 1 else seconds[0]
    return {
        "count": len(seconds),
        "median": round(median(seconds), 3),
        "p95": round(high, 3),
        "most": round(max(seconds), 3),
    }


def make_report(
    rows: Sequence[Row],
    shards: Sequence[Shard],
    results: Sequence[ShardResult],
    *,
    kind: str,
    source: str,
    seed: int,
    left_out: Sequence[Shard] = (),
) -> dict[str, Any]:
    """The whole report as a value for JSON. ``shards`` are those of the set ``kind`` (quick or full), and
    ``left_out`` those that only the full set has.
    """
    values = [row_value(row, shards, results, left_out=left_out) for row in rows]
    done = [result for result in results if result.state != "not-run"]
    return {
        "format": 1,
        "set": kind,
        "source": source,
        "seed": seed,
        "began": min((result.began for result in done), default=""),
        "seconds": round(sum(result.seconds for result in results), 1),
        "command": f"./run certainty{' --quick' if kind == 'quick' else ''} --seed {seed}",
        "machine": machine(),
        "verdicts": {verdict: sum(v["verdict"] == verdict for v in values) for verdict in VERDICTS},
        "cases": sum(value["cases"] for value in values),
        "violations": sum(len(value["violations"]) for value in values),
        "rows": values,
        "shards": [
            {
                "name": result.name, "title": result.title, "state": result.state, "reason": result.reason,
                "seed": result.seed, "source": result.source, "began": result.began,
                "seconds": result.seconds,
            }
            for result in results
        ],
    }  # fmt: skip


def make_page(report: Mapping[str, Any]) -> str:
    """The report as one HTML page that needs nothing else."""
    counts = "".join(
        f'<li class="{_class(name)}"><b>{number}</b> {name}</li>'
        for name, number in report["verdicts"].items()
        if number
    )
    parts: dict[str, list[Mapping[str, Any]]] = {}
    for row in report["rows"]:
        parts.setdefault(row["part"], []).append(row)
    goal = _goal_words(report)
    tables = "".join(f"<h2>{escape(part)}</h2>{_table(rows, goal)}" for part, rows in parts.items())
    told = report["machine"]
    head = (
        f"{report['cases']:,} cases, {report['violations']} violations. {report['set'].capitalize()} set of "
        f"{escape(report['began'])}, source {escape(report['source'][:19])}, seed {report['seed']}, "
        f"{report['seconds'] / 60:.0f} minutes on {told['cores']} cores, {told['memory_gib']} GiB, "
        f"{escape(str(told['system']))}, Python {told['python']}, {escape(str(told['ssh']))}."
    )
    shards = "".join(
        f"<tr><td>{escape(each['name'])}</td><td>{escape(each['title'])}, seed {each['seed']}"
        f"{escape(_other_source(each['source'], report['source']))}</td>"
        f"<td>{each['state']}</td>"
        f"<td class=n>{each['seconds']:.0f} s</td><td>{escape(each['reason'])}</td></tr>"
        for each in report["shards"]
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Certainty: what was tried and what held'
        '</title><meta name="viewport" content="width=device-width"><style>'
        f"{_STYLE.read_text(encoding='utf-8')}</style><h1>What was tried, and what held</h1>"
        f"<p>{head} {_size_words(report)}Again: <code>{escape(report['command'])}</code></p>"
        f"<ul class=counts>{counts}</ul>{tables}"
        f"<h2>Shards</h2><table><tr><th>Shard<th>What<th>State<th>Time<th>Reason</tr>{shards}</table></html>\n"
    )


def _other_source(source: str, told: str) -> str:
    """Where the same product and judges ran under another commit: documents or other tests differed."""
    return f", source {source[:19]}" if source and source != told else ""


def _goal_words(report: Mapping[str, Any]) -> str:
    return "Goal of the full set" if report["set"] == "quick" else "Goal"


def _size_words(report: Mapping[str, Any]) -> str:
    small = "The quick set tries fewer cases than the goals ask for: held means that these held. "
    return small if report["set"] == "quick" else ""


def _table(rows: Sequence[Mapping[str, Any]], goal: str) -> str:
    names = ("Row", "Fault and promise", "Cases", "Violations", "Recovery", "Goal and figures", "Verdict")
    head = f"<tr>{''.join(f'<th>{name}' for name in names)}</tr>"
    return f"<table>{head}{''.join(_line(row, goal) for row in rows)}</table>"


def _line(row: Mapping[str, Any], goal: str) -> str:
    recovery = row["recovery"]
    took = (
        f"{recovery['median']:.2f} s, p95 {recovery['p95']:.2f}, most {recovery['most']:.2f}"
        if recovery
        else ""
    )
    figures = [f"{goal}: {row['goal']}.", *row["measured"]]
    figures += [f"Short: {each}" for each in row["short"]]
    figures += [f"Broken: {each}" for each in row["broken"]]
    figures += [f"Not run: {each}" for each in row["gaps"]]
    figures += [f"{each['invariant']}, {each['case']}: {each['what']}" for each in row["violations"][:10]]
    told = "<br>".join(escape(each) for each in figures)
    return (
        f'<tr id="{row["id"]}"><td>{row["id"]}<td><b>{escape(row["fault"])}</b><br>{escape(row["promise"])}'
        f"<br><small>{row['invariants']}</small><td class=n>{row['cases']:,}<td class=n>"
        f'{len(row["violations"])}<td>{took}<td>{told}'
        f'<td class="{_class(row["verdict"])}">{row["verdict"]}</tr>'
    )


def _class(verdict: str) -> str:
    return verdict.replace(" ", "-")


def show(report: Mapping[str, Any]) -> None:
    """The report for a terminal of 80 columns. Rows that only the full set has are named in one line."""
    left_out = [row["id"] for row in report["rows"] if row["gaps"] == [FULL_ONLY] and not row["shards"]]
    for row in report["rows"]:
        if row["id"] in left_out:
            continue
        recovery = f"{row['recovery']['most']:5.2f} s" if row["recovery"] else "       "
        line = f"{row['id']:5}{row['fault'][:38]:39}{row['cases']:8,}{len(row['violations']):4} {recovery}"
        print(f"{line}  {row['verdict']}")
        for violation in row["violations"][:5]:
            print(f"     {violation['invariant']} {violation['case']}: {violation['what']}"[:400])
        for text in (*row["broken"], *row["short"], *row["gaps"]):
            print(f"     {text}"[:400])
    if left_out:
        print(f"{FULL_ONLY}: {', '.join(left_out)}")
    told = ", ".join(f"{number} {name}" for name, number in report["verdicts"].items() if number)
    print(f"{report['cases']:,} cases, {report['violations']} violations; rows: {told}")
    if told_of_size := _size_words(report):
        print(told_of_size.strip())
