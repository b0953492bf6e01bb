"""Rendering: columns that line up, nothing that steers a terminal, JSON that stays JSON."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path

import pytest

from cli.render import (
    age,
    display_width,
    fields,
    local_time,
    printable,
    progress,
    say_json,
    size,
    table,
    to_json,
)


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Thing:
    name: str
    when: datetime
    parts: tuple[Path, ...] = ()
    _hidden: dict[str, str] = field(default_factory=dict)


def test_columns_line_up_with_wide_characters() -> None:
    lines = table(("name", "n"), [("公安局", 1), ("abc", 22)], width=80).splitlines()
    assert lines == ["name    n", "------  --", "公安局  1", "abc     22"]


def test_a_wide_table_is_wrapped_and_loses_nothing() -> None:
    long = "one two three four five six seven eight nine ten eleven twelve"
    lines = table(("id", "text"), [("1", long), ("2", "人" * 50)], width=40).splitlines()
    assert max(display_width(line) for line in lines) <= 40
    assert " ".join("\n".join(lines[2:4]).split()) == f"1 {long}"
    assert "".join(lines[4:]).count("人") == 50


@pytest.mark.parametrize(
    "shown",
    [
        "01900001-1c2d",
        "620199-01-00/01900001-1c2d-7e3f-8a4b-5c6d7e8f9a0b",
        "01900001-1c2d to 620199-03-00",
    ],
)
def test_an_id_is_never_broken(shown: str) -> None:
    row = (shown, *["one two three four"] * 6)
    text = table(("packet", *"abcdef"), [row, ("-", *row[1:])], width=40)
    assert shown.partition(" ")[0] in text


def test_a_table_of_nothing_has_its_headers() -> None:
    assert table(("a", "b"), []).splitlines() == ["a  b", "-  -"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", "\\x1b[31m"),
        ("a\nb", "a\\x0ab"),
        ("\u202e", "\\u202e"),
        ("\udc80", "\\udc80"),
        ("\U000e0001", "\\U000e0001"),
        ("张三·李四", "张三·李四"),
        # An old police system's own character for a rare name stays what it is.
        ("\ue000", "\ue000"),
    ],
)
def test_what_could_steer_a_terminal_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert shown in table(("x",), [(text,)])


def test_json_takes_our_values() -> None:
    moment = datetime(2026, 7, 15, 1, 30, tzinfo=UTC)
    value = {"b": Thing("人", moment, (Path("/a"),)), "a": (Colour.RED, date(2026, 7, 1), b"\x01", None, 1.5)}
    assert json.loads(to_json(value)) == {
        "a": ["red", "2026-07-01", "01", None, 1.5],
        "b": {"name": "人", "when": "2026-07-15T01:30:00+00:00", "parts": ["/a"]},
    }
    assert "人" in to_json(value)
    assert to_json(value).index('"a"') < to_json(value).index('"b"')


def test_json_for_a_poor_terminal_is_still_json(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding="gbk", errors="backslashreplace") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        say_json({"name": "人\U00020000"})
        terminal.flush()
        monkeypatch.undo()
        assert json.loads(raw.getvalue().decode("gbk")) == {"name": "人\U00020000"}


def test_sizes_and_ages_are_short() -> None:
    assert [size(n) for n in (0, 1023, 1024, 1536 * 1024, 5 << 40)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "1.5 MiB",
        "5.0 TiB",
    ]
    assert [age(s) for s in (-1, 0, 45.9, 200, 3600, 3605, 190_000)] == [
        "0s",
        "0s",
        "45s",
        "3m 20s",
        "1h",
        "1h",
        "2d 4h",
    ]


def test_times_are_local_and_a_missing_one_is_a_dash() -> None:
    moment = datetime(2026, 7, 15, 1, 30, tzinfo=UTC)
    assert local_time(moment) == moment.astimezone().strftime("%Y-%m-%d %H:%M:%S %z")
    assert local_time(None) == "-"


def test_fields_stand_in_one_column_and_leave_out_the_empty() -> None:
    assert fields([("id", 1), ("名称", "x"), ("none", None), ("nothing", "")]) == "id:   1\n名称: x"


def test_progress_is_silent_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("starting", 3) as bar:
        bar.update(3)
    assert capsys.readouterr() == ("", "")
