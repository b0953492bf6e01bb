"""Reading TOML key by key: every problem is kept, and reading goes on with a value of the right type."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path

from exchanged.config import LogLevel
from exchanged.config_reader import Section

BASE = Path("/base")
DEFAULT = datetime(2026, 1, 1, tzinfo=UTC)


def read(text: str) -> tuple[Section, list[str]]:
    problems: list[str] = []
    return Section("", tomllib.loads(text), BASE, problems), problems


def test_times_come_in_utc_and_need_their_offset() -> None:
    section, problems = read("a = 2026-07-15T09:30:00+08:00\nb = 2026-07-15T09:30:00\nc = 2026-07-15\n")
    assert section.moment("a") == datetime(2026, 7, 15, 1, 30, tzinfo=UTC)
    assert section.moment("none", DEFAULT) == DEFAULT
    assert problems == []
    assert section.moment("b", DEFAULT) is None
    assert section.moment("c", DEFAULT) is None
    assert [problem.split(":")[0] for problem in problems] == ["[b]", "[c]"]


def test_nested_sections_are_called_by_their_names() -> None:
    section, problems = read('[[node]]\ncode = "x"\n[[node.key]]\nname = "k"\n[[node.key]]\nodd = 1\n')
    (node,) = section.tables("node")
    for key in node.tables("key"):
        key.text("name")
        key.finish()
    assert problems == [
        "[node x key 2] name: is missing",
        "[node x key 2] odd: this version knows no such key; known: name",
    ]


def test_a_problem_leaves_a_value_to_go_on_with() -> None:
    section, problems = read('n = "many"\nf = inf\nl = [1]\np = ""\nc = "loud"\nt = 3\nb = 0\n')
    assert section.integer("n", 7, 0, 9) == 7
    assert section.number("f", 1.5, 0, 9) == 1.5
    assert section.texts("l") == ()
    assert section.path("p").is_absolute()
    assert section.choice("c", LogLevel, LogLevel.INFO) is LogLevel.INFO
    assert section.text("t") == ""
    assert section.flag("b", default=True) is True
    assert len(problems) == 7
    section.finish()
    assert len(problems) == 7


def test_whole_numbers_are_numbers_but_truth_is_not() -> None:
    section, problems = read("a = 3\nb = true\n")
    assert section.number("a", 1.0, 0, 9) == 3.0
    assert section.number("b", 1.0, 0, 9) == 1.0
    assert problems == ["[b]: expected a number, found True"]
