"""Rows that tests of the suite prove: the tests are run once more, and counted row by row.

A test that fails is a violation of its row; a test that was skipped or not found means that the shard is
broken, since nothing was shown. Tests assert no times and do not know the figures of goals: they report what
they counted and measured (``record_property``), and a row whose figures were not reached, or that nobody
reports, is short.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from certainty.matrix import Row, load_matrix
from certainty.shard import Outcome, Run, Violation, Work
from certainty.shards import SHARDS

ROOT: Final = Path(__file__).resolve().parents[1]


class SuiteError(RuntimeError):
    """The tests could not be run, or some of them were not there."""


@dataclass(frozen=True, slots=True)
class RanTest:
    """One test that ran: its node id without parameters, what went wrong (empty: nothing), and the figures
    that it reports, by their names.
    """

    node: str
    seconds: float
    failure: str
    figures: Mapping[str, float] = field(default_factory=dict)


def work_of(*parts: str) -> Work:
    """The body of a shard for the rows of these parts of the matrix."""

    def work(run: Run) -> Iterator[Outcome]:
        rows = [row for row in load_matrix() if row.tests and row.part in parts]
        nodes = sorted({node for row in rows for node in row.tests})
        run.progress(0, len(nodes), "tests")
        cases = run_tests(nodes, run.folder)
        run.progress(len(nodes), len(nodes), "tests")
        elsewhere = _tried_elsewhere()
        yield from (outcome_of(row, cases, is_alone=row.id not in elsewhere) for row in rows)

    return work


def _tried_elsewhere() -> frozenset[str]:
    """The rows that other shards try, which measure the goal. Simulated worlds are further evidence only."""
    shards = (shard for shard in SHARDS if not shard.name.startswith(("suite-", "simulation-")))
    return frozenset(row for shard in shards for row in shard.rows)


def outcome_of(row: Row, cases: Sequence[RanTest], *, is_alone: bool = True) -> Outcome:
    """What the tests say of a row. ``is_alone``: nothing else tries it.

    A test counts as one case, or as many as it reports under the names of ``row.least``. Raises SuiteError
    when one of the row's tests did not run at all.
    """
    of_row: list[RanTest] = []
    for node in row.tests:
        found = [case for case in cases if case.node == node or case.node.startswith(f"{node}::")]
        if not found:
            raise SuiteError(f"{row.id}: no test ran for {node}")
        of_row += [case for case in found if case not in of_row]
    violations = tuple(Violation(row.invariants, case.node, case.failure) for case in of_row if case.failure)
    counted = sum(_counted(row, case) or 1 for case in of_row)
    told, short = _figures(row, of_row)
    if row.has_figure and is_alone and not (row.least or row.most):
        short.append("the goal names a figure, and no test reports one")
    measured = ", ".join([f"{len(of_row)} tests of the suite", *told])
    return Outcome(row.id, int(counted), violations, measured=f"{measured}.", short="; ".join(short))


def _counted(row: Row, case: RanTest) -> float:
    return sum(case.figures.get(name, 0) for name in row.least)


def _figures(row: Row, cases: Sequence[RanTest]) -> tuple[list[str], list[str]]:
    """What was reported of the figures of a row, and which of them were not reached."""
    told: list[str] = []
    short: list[str] = []
    for name, goal in (*row.least.items(), *row.most.items()):
        found = [case.figures[name] for case in cases if name in case.figures]
        if not found:
            short.append(f"no test reports its {name}")
            continue
        value = sum(found) if name in row.least else max(found)
        if name in row.least:
            told.append(f"{value:,.0f} {name}")
            if value < goal:
                short.append(f"{value:,.0f} of {goal:,.0f} {name}")
        else:
            told.append(f"at most {value:g} {name}")
            if value > goal:
                short.append(f"{value:g} {name}, where {goal:g} are allowed")
    return told, short


def run_tests(nodes: Sequence[str], folder: Path) -> tuple[RanTest, ...]:
    """Run these tests on two processes. Raises SuiteError when pytest itself fails or a test is skipped.

    What needs the machine as root is run as ``./run system`` does, in a private /etc.
    """
    as_root = [node for node in nodes if node.startswith("tests/system/")]
    others = [node for node in nodes if node not in as_root]
    # An option on the command line replaces the markers that would leave slow tests out.
    pytest = (sys.executable, "-m", "pytest", "--quiet", "-n", "2", "--dist", "load")
    cases = _run(pytest, others, folder / "others") if others else ()
    return cases + (_run((str(ROOT / "run"), "system"), as_root, folder / "system") if as_root else ())


def _run(command: Sequence[str], nodes: Sequence[str], folder: Path) -> tuple[RanTest, ...]:
    folder.mkdir()
    report = folder / "junit.xml"
    options = (
        *("-p", "no:cacheprovider", "-o", "faulthandler_timeout=900", "-o", "junit_family=xunit1"),
        *(f"--junit-xml={report}", f"--basetemp={folder / 'tests'}"),
    )
    with (folder / "pytest.log").open("wb") as log:
        code = subprocess.run(
            [*command, *options, *nodes], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, check=False
        ).returncode
    if code not in {0, 1} or not report.exists():
        raise SuiteError((folder / "pytest.log").read_text(errors="replace")[-2000:])
    cases = read_junit(report)
    if bool(code) != any(case.failure for case in cases):
        # It ended badly for a reason that is no test's, or a failure is not in its report.
        raise SuiteError((folder / "pytest.log").read_text(errors="replace")[-2000:])
    return cases


def read_junit(report: Path) -> tuple[RanTest, ...]:
    """The cases of a report of pytest. Raises SuiteError for a skipped one."""
    cases = []
    # Written by pytest a moment ago.
    for element in ET.parse(report).getroot().iter("testcase"):  # noqa: S314
        name = f"{element.get('file')}::{str(element.get('name')).split('[', 1)[0]}"
        if element.find("skipped") is not None:
            raise SuiteError(f"{name} was skipped")
        problem = element.find("failure")
        problem = element.find("error") if problem is None else problem
        failure = "" if problem is None else (problem.get("message") or "failed")[:300]
        figures = {
            str(each.get("name")): float(str(each.get("value"))) for each in element.iterfind("*/property")
        }
        cases.append(RanTest(name, float(element.get("time") or 0), failure, figures))
    return tuple(cases)


disk = work_of("Crash, power, disk")
intake = work_of("Intake folder (outbox)")
content = work_of("Content")
network = work_of("Network and transfer")
identity = work_of("Identity, keys, time, receipts")
operation = work_of("Restore, upgrade, operation")
