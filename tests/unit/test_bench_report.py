"""The report of the bench: a table of 80 columns, JSON that holds all, and a chart with every row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lxml import etree

from bench.__main__ import main, write_report
from bench.chart import chart
from bench.report import WIDTH, goal_text, machine, make_report, number, table
from bench.result import Check, Reference, Result, Row

LONG = "a figure whose name is so long that no column of a table can hold it in one line"
RESULTS = {
    "one": Result(
        (Check("x <rsync> & co", 1.62, 1.5, "x"), Check(LONG, 1234567.0, 60.0, "ms", at_least=False)),
        (Reference("rsync", 100.0, 287.0, "/s"), Reference("disk", 5.0, 0.0, "/s")),
        {"CPU": 3.5},
        ("a note that is long enough to need a second line in a table that is eighty columns wide",),
    ),
    "two": Result((Check("packets", 250.0, 0.0, "/s", aim=500.0),), seconds=2.5),
    "three": Result(not_run="this machine has no postfix"),
    "four": Result(broken="a row raised this: " + "x" * 200),
}


def work(_run: object) -> Result:
    raise AssertionError


ROWS = [Row(name, f"what the row {name} measures, {LONG}", "what it must reach", work) for name in RESULTS]
NAMES = {"cpu": "a processor", "cores": 2, "date": "2026-07-15"}


def test_no_line_of_the_table_is_wider_than_a_terminal() -> None:
    lines = table(ROWS, RESULTS).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert lines[-1] == "1 met, 1 no verdict, 1 not run, 1 broken"


def test_the_table_shows_figures_goals_and_references_with_their_usual_figures() -> None:
    text = " ".join(table(ROWS, RESULTS).split())
    for part in ("1.62 x >= 1.50", "1,234,567 ms <= 60.0 short", "250 /s aim 500"):
        assert part in text
    assert "~ rsync 100 /s usual 287 off" in text
    assert "~ disk 5.00 /s" in text
    assert "this machine has no postfix" in text


def test_a_table_of_nothing_says_so() -> None:
    assert table(ROWS, {}) == "nothing was run"


@pytest.mark.parametrize(
    ("value", "text"), [(1234.5, "1,234"), (12.34, "12.3"), (1.234, "1.23"), (0.0123, "0.012"), (0.0, "0")]
)
def test_figures_have_as_many_digits_as_say_something(value: float, text: str) -> None:
    assert number(value) == text


def test_a_goal_is_told_with_its_direction() -> None:
    assert goal_text(Check("", 0, 60.0, "ms", at_least=False)) == "<= 60.0"
    assert goal_text(Check("", 0, 0.5, "x", aim=1.0)) == ">= 0.5"
    assert goal_text(Check("", 0, 0.0, "/s", aim=500.0)) == "aim 500"


def test_the_report_holds_everything_in_the_order_of_the_rows() -> None:
    report = make_report(ROWS, RESULTS, kind="full", source="abc", told=NAMES)
    again = json.loads(json.dumps(report))
    assert [row["name"] for row in again["rows"]] == list(RESULTS)
    assert again["command"] == "./run bench --full"
    assert again["verdicts"] == {"met": 1, "short": 0, "no verdict": 1, "not run": 1, "broken": 1}
    assert again["rows"][0]["references"][0]["usual"] == 287.0
    assert again["rows"][0]["figures"] == {"CPU": 3.5}
    assert again["seconds"] == 2.5


def test_the_chart_is_well_formed_and_every_row_is_in_it() -> None:
    root = etree.fromstring(chart(ROWS, RESULTS, "a <caption>").encode())
    texts = [text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {*RESULTS, "a <caption>", "not run", "broken", "no verdict", "met"} <= set(texts)
    bars = root.findall("{http://www.w3.org/2000/svg}rect")
    assert len(bars) == 3
    assert all(float(bar.get("width") or 0) >= 1 for bar in bars)


def test_a_bar_passes_the_line_when_its_goal_is_reached() -> None:
    results = {
        "one": Result((Check("more", 99.0, 100.0, ""), Check("less", 99.0, 100.0, "", at_least=False))),
        "two": Result((Check("none", 0.0, 100.0, "", at_least=False),)),
    }
    root = etree.fromstring(chart(ROWS, results, "c").encode())
    line = root.find("{http://www.w3.org/2000/svg}line")
    assert line is not None
    goal = float(line.get("x1") or 0)
    ends = [float(bar.get("x", 0)) + float(bar.get("width", 0)) for bar in root.iter("{*}rect")]
    assert ends[0] < goal < ends[1] < ends[2]


def test_three_files_are_written_under_the_name_of_the_set(tmp_path: Path) -> None:
    write_report(ROWS, RESULTS, tmp_path / "new", kind="quick", source="abc")
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"quick.json", "quick.svg", "quick.txt"}
    assert (tmp_path / "new" / "quick.txt").read_text() == table(ROWS, RESULTS) + "\n"


def test_the_machine_is_described_without_its_name(tmp_path: Path) -> None:
    told = machine(tmp_path)
    assert {"cpu", "cores", "memory_mib", "kernel", "file_system", "date"} <= told.keys()
    assert told["file_system"] != "unknown"


def test_the_command_lists_rows_and_refuses_unknown_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert "burst-cases" in capsys.readouterr().out
    assert main(["--only", "no-such-row"]) == 2
    assert main(["--only", "volume"]) == 2
