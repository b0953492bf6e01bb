"""Rows that tests of the suite prove: what is counted, what is short, and what proves nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from certainty.matrix import Row, load_matrix
from certainty.shard import Violation
from certainty.suite import RanTest, SuiteError, _tried_elsewhere, outcome_of, read_junit

ROW = Row("R1", "Part", "<fault>", "promise", "I1", "goal", ("tests/a.py",), "")
REPORT = """<testsuites><testsuite>
<testcase file="tests/a.py" name="test_x[1]" time="0.1"/>
<testcase file="tests/a.py" name="test_x[2]" time="0.1"><failure message="no"/></testcase>
<testcase file="tests/b.py" name="test_y" time="0.1">{}</testcase>
</testsuite></testsuites>"""
COUNTED = """<properties><property name="steps" value="9000"/><property name="seconds" value="1.5"/>
</properties>"""


def test_tests_of_the_suite_count_for_their_rows(tmp_path: Path) -> None:
    (tmp_path / "r.xml").write_text(REPORT.format(""))
    cases = read_junit(tmp_path / "r.xml")
    found = outcome_of(replace(ROW, tests=("tests/a.py::test_x", "tests/b.py")), cases)
    assert (found.cases, found.violations) == (3, (Violation("I1", "tests/a.py::test_x", "no"),))
    with pytest.raises(SuiteError, match="no test ran"):
        outcome_of(replace(ROW, tests=("tests/c.py",)), cases)


def test_a_test_that_was_skipped_proves_nothing(tmp_path: Path) -> None:
    (tmp_path / "r.xml").write_text(REPORT.format("<skipped/>"))
    with pytest.raises(SuiteError, match="skipped"):
        read_junit(tmp_path / "r.xml")


def test_what_a_test_reports_is_read_and_counted(tmp_path: Path) -> None:
    (tmp_path / "r.xml").write_text(REPORT.format(COUNTED))
    row = replace(ROW, tests=("tests/b.py",), least={"steps": 9_000}, most={"seconds": 1.5})
    found = outcome_of(row, read_junit(tmp_path / "r.xml"))
    assert (found.cases, found.shortfalls) == (9_000, ())
    assert found.measured == "1 tests of the suite, 9,000 steps, at most 1.5 seconds."


@pytest.mark.parametrize(
    ("row", "short"),
    [
        (replace(ROW, least={"steps": 10_000}), "9,500 of 10,000 steps"),
        (replace(ROW, most={"seconds": 1.0}), "2 seconds, where 1 are allowed"),
        (replace(ROW, least={"moves": 1}, most={"peak_mib": 20}),
         "no test reports its moves; no test reports its peak_mib"),
        (replace(ROW, goal="0 of 10,000 doubled"), "the goal names a figure, and no test reports one"),
        (replace(ROW, goal="0 doubled, 100% refused"), ""),
        (replace(ROW, least={"steps": 9_500}, most={"seconds": 2.0}), ""),
    ],
)  # fmt: skip
def test_a_figure_that_was_not_reached_or_not_reported_makes_its_row_short(row: Row, short: str) -> None:
    cases = [
        RanTest("tests/a.py::test_x", 0.1, "", {"steps": 9_000, "seconds": 0.5}),
        RanTest("tests/a.py::test_y", 0.1, "", {"steps": 500, "seconds": 2.0}),
    ]
    assert outcome_of(row, cases).short == short


def test_a_figure_that_another_shard_measures_is_not_asked_of_tests() -> None:
    row = replace(ROW, goal="0 of 10,000 doubled")
    assert outcome_of(row, [RanTest("tests/a.py::test_x", 0.1, "")], is_alone=False).short == ""


def test_every_figure_that_tests_alone_must_reach_is_reported_by_one_of_them() -> None:
    root = Path(__file__).resolve().parents[2]
    for row in load_matrix():
        if row.tests and row.part != "Simulation" and row.id not in _tried_elsewhere():
            assert bool(row.least or row.most) or not row.has_figure, row.id
        texts = [(root / node.partition("::")[0]).read_text(encoding="utf-8") for node in row.tests]
        for name in (*row.least, *row.most):
            assert any(f'record_property("{name}"' in text for text in texts), (row.id, name)
