"""The report of the bench: a table for a terminal of 80 columns, and everything as JSON.

Each row has its verdict on its first line, then one line for each figure with its goal, then one for each
reference with its usual figure: a reference that is far from it is why a row has no verdict.
"""

from __future__ import annotations

import os
import platform
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench.result import BROKEN, MET, NO_VERDICT, NOT_RUN, SHORT, Check, Reference, Result, Row

VERDICTS: Final = (MET, SHORT, NO_VERDICT, NOT_RUN, BROKEN)
WIDTH: Final = 80
_NAME: Final = 15
_WHAT: Final = 31
_FOUND: Final = 12
_GOAL: Final = 14
_MIB: Final = 1 << 20


def machine(folder: Path) -> dict[str, object]:
    """What was measured on: processor, cores, memory, kernel, the file system of ``folder``, the day."""
    return {
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MIB,
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "file_system": _file_system(folder),
        "date": datetime.now(UTC).date().isoformat(),
    }


def make_report(
    rows: Sequence[Row], results: Mapping[str, Result], *, kind: str, source: str, told: Mapping[str, object]
) -> dict[str, Any]:
    """The whole report as a value for JSON: ``kind`` is quick or full, ``told`` what ``machine`` says."""
    found = [(row, results[row.name]) for row in rows if row.name in results]
    return {
        "format": 1,
        "set": kind,
        "source": source,
        "command": f"./run bench{' --full' if kind == 'full' else ''}",
        "machine": dict(told),
        "seconds": round(sum(result.seconds for _, result in found), 1),
        "verdicts": {word: sum(result.verdict == word for _, result in found) for word in VERDICTS},
        "rows": [
            {"name": row.name, "title": row.title, "reach": row.reach, **result.to_json()}
            for row, result in found
        ],
    }


def table(rows: Sequence[Row], results: Mapping[str, Result]) -> str:
    """Every row that has a result, in the order of ``rows``; no line is wider than 80 columns."""
    lines: list[str] = []
    for row in rows:
        if row.name in results:
            lines += [line[:WIDTH].rstrip() for line in _row_lines(row, results[row.name])]
    counts = [(word, sum(result.verdict == word for result in results.values())) for word in VERDICTS]
    lines.append(", ".join(f"{number} {word}" for word, number in counts if number) or "nothing was run")
    return "\n".join(lines)


def _row_lines(row: Row, result: Result) -> Iterator[str]:
    width = WIDTH - _NAME - 11
    title = textwrap.wrap(row.title, width)
    yield f"{row.name:{_NAME}}{title[0]:{width}} {result.verdict:>10}"
    for rest in title[1:]:
        yield f"{'':{_NAME}}{rest}"
    for check in result.checks:
        word = "" if check.holds else SHORT
        yield from _figure(check.what, _with_unit(check.found, check.unit), goal_text(check), word)
    for reference in result.references:
        usual = f"usual {number(reference.usual)}" if reference.usual else ""
        found = _with_unit(reference.found, reference.unit)
        yield from _figure(f"~ {reference.name}", found, usual, _off(reference))
    for text in filter(None, (*result.notes, result.not_run, result.broken)):
        for line in textwrap.wrap(text, WIDTH - _NAME):
            yield f"{'':{_NAME}}{line}"


def _figure(what: str, found: str, goal: str, word: str) -> Iterator[str]:
    *before, last = textwrap.wrap(what, _WHAT) or [""]
    for line in before:
        yield f"{'':{_NAME}}{line}"
    yield f"{'':{_NAME}}{last:{_WHAT}}{found:>{_FOUND}} {goal:>{_GOAL}} {word}"


def _off(reference: Reference) -> str:
    return "off" if reference.is_off else ""


def goal_text(check: Check) -> str:
    """The goal with its direction, or the aim where there is no goal."""
    if not check.goal and check.aim is not None:
        return f"aim {number(check.aim)}"
    return f"{'>=' if check.at_least else '<='} {number(check.goal)}"


def number(value: float) -> str:
    """A figure with as many digits as say something."""
    for least, digits in ((100.0, 0), (10.0, 1), (1.0, 2)):
        if abs(value) >= least:
            return f"{value:,.{digits}f}"
    return f"{value:.3f}".rstrip("0").rstrip(".") or "0"


def _with_unit(value: float, unit: str) -> str:
    return f"{number(value)} {unit}".rstrip()


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def _file_system(folder: Path) -> str:
    """The kind of the mount that ``folder`` lies on."""
    best, kind = "", "unknown"
    place = str(folder.resolve())
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return kind
    for line in mounts:
        _, where, what, *_ = line.split(" ")
        if f"{place}/".startswith(f"{where.rstrip('/')}/") and len(where) >= len(best):
            best, kind = where, what
    return kind
