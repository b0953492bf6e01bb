"""The bench: which word a row ends in, that nothing is said beside a machine that is not itself, going on."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from bench.keeping import Kept
from bench.result import (
    BROKEN,
    MET,
    NO_VERDICT,
    NOT_RUN,
    SHORT,
    Check,
    Reference,
    Result,
    Row,
    Run,
    result_from,
)
from bench.rows import ROWS
from bench.runner import run_all, run_row

GOOD = Check("packets", 150.0, 100.0, "/s", aim=500.0)
SLOW = Check("wait", 80.0, 60.0, "ms", at_least=False)


@pytest.fixture(autouse=True)
def _folders_in_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "work"))
    (tmp_path / "work").mkdir()
    monkeypatch.setattr("bench.runner.busy_cores", lambda: 0.1)


def row(name: str, result: Result, seen: list[str] | None = None, **changes: object) -> Row:
    def work(run: Run) -> Result:
        (run.folder / "file").write_text("x")
        (seen if seen is not None else []).append(name)
        return result

    return Row(name, f"the row {name}", "something", work, room=0, **changes)  # type: ignore[arg-type]


def breaks(_run: Run) -> Result:
    raise RuntimeError("first line\nthe last word")


@pytest.mark.parametrize(
    ("check", "holds", "share"),
    [
        (Check("", 150.0, 100.0, ""), True, 1.5),
        (Check("", 100.0, 100.0, ""), True, 1.0),
        (Check("", 99.0, 100.0, ""), False, 0.99),
        (Check("", 60.0, 60.0, "", at_least=False), True, 1.0),
        (Check("", 120.0, 60.0, "", at_least=False), False, 0.5),
        (Check("", 0.0, 60.0, "", at_least=False), True, float("inf")),
        (Check("", 250.0, 0.0, "", aim=500.0), True, 0.5),
        (Check("", 250.0, 0.0, ""), True, 1.0),
    ],
)
def test_a_figure_is_compared_with_its_goal_in_its_direction(
    check: Check, holds: bool, share: float
) -> None:
    assert (check.holds, check.share) == (holds, share)


@pytest.mark.parametrize(
    ("result", "word"),
    [
        (Result((GOOD,)), MET),
        (Result((GOOD, SLOW)), SHORT),
        (Result(), NOT_RUN),
        (Result((GOOD,), not_run="no postfix"), NOT_RUN),
        (Result((GOOD,), broken="it raised"), BROKEN),
    ],
)
def test_a_row_ends_in_one_word(result: Result, word: str) -> None:
    assert result.verdict == word


@pytest.mark.parametrize(
    ("found", "word"), [(139.0, MET), (141.0, NO_VERDICT), (61.0, MET), (59.0, NO_VERDICT)]
)
def test_beyond_forty_percent_from_the_usual_nothing_is_said(found: float, word: str) -> None:
    references = (Reference("disk", 1.0, 0.0, "/s"), Reference("rsync", found, 100.0, "/s"))
    assert Result((GOOD,), references).verdict == word


def test_a_short_row_beside_a_strange_reference_has_no_verdict_either() -> None:
    assert Result((SLOW,), (Reference("rsync", 10.0, 100.0, "/s"),)).verdict == NO_VERDICT


def test_a_result_survives_being_kept(tmp_path: Path) -> None:
    result = Result((GOOD, SLOW), (Reference("r", 1.0, 2.0, "/s"),), {"a": 1.5}, ("a note",), seconds=3.0)
    assert result_from(result.to_json()) == result
    kept = Kept(tmp_path, "state", "quick")
    kept.write("one", result)
    assert kept.read("one") == result
    assert Kept(tmp_path, "another state", "quick").read("one") is None
    assert Kept(tmp_path, "state", "full").read("one") is None


@pytest.mark.parametrize("text", ["", "{", "{}", '{"checks": [{"unknown": 1}]}'])
def test_what_was_kept_and_is_damaged_is_measured_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "state" / "quick").mkdir(parents=True)
    (tmp_path / "state" / "quick" / "one.json").write_text(text)
    assert Kept(tmp_path, "state", "quick").read("one") is None


def test_a_row_that_raises_is_broken_and_stops_no_other(tmp_path: Path) -> None:
    rows = [Row("bad", "breaks", "nothing", breaks, room=0), row("good", Result((GOOD,)))]
    found = run_all(rows, Kept(tmp_path, "s", "quick"), full=False)
    assert found["bad"].verdict == BROKEN
    assert found["bad"].broken == "the last word"
    assert found["good"].verdict == MET
    assert list((tmp_path / "work").iterdir()) == []


def test_a_run_that_was_broken_off_goes_on_where_it_stood(tmp_path: Path) -> None:
    kept, seen = Kept(tmp_path, "s", "quick"), list[str]()

    def stop(_run: Run) -> Result:
        raise KeyboardInterrupt

    first = row("first", Result((SLOW,)), seen)
    lines: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        run_all([first, Row("second", "s", "s", stop, room=0)], kept, full=False)
    second = row("second", Result((GOOD,)), seen)
    found = run_all([first, second], kept, full=False, tell=lines.append)
    assert seen == ["first", "second"]
    assert [result.verdict for result in found.values()] == [SHORT, MET]
    assert "[1/2] first: was run before" in lines
    run_all([first, second], kept, full=False, again=True)
    assert seen == ["first", "second", "first", "second"]


def test_what_had_no_verdict_is_measured_again_and_counts_until_then(tmp_path: Path) -> None:
    kept, seen = Kept(tmp_path, "s", "quick"), list[str]()
    off = Result((GOOD,), (Reference("rsync", 10.0, 100.0, "/s"),))
    run_all([row("one", off, seen)], kept, full=False)
    before = kept.read("one")
    assert before is not None
    assert before.verdict == NO_VERDICT
    assert run_all([row("one", Result((GOOD,)), seen)], kept, full=False)["one"].verdict == MET
    assert seen == ["one", "one"]


def test_a_row_is_not_begun_without_the_room_of_its_set(tmp_path: Path) -> None:
    large = replace(row("large", Result((GOOD,))), full_room=1 << 60)
    kept = Kept(tmp_path, "s", "quick")
    assert run_all([large], kept, full=False)["large"].verdict == MET
    assert run_all([large], kept, full=True, again=True)["large"].verdict == NOT_RUN


def test_what_was_not_run_or_broke_is_tried_again(tmp_path: Path) -> None:
    kept = Kept(tmp_path, "s", "quick")
    run_all([Row("one", "breaks", "", breaks, room=0)], kept, full=False)
    assert run_all([row("one", Result((GOOD,)))], kept, full=False)["one"].verdict == MET


def test_missing_programs_and_missing_room_are_named() -> None:
    lacking = run_row(row("one", Result((GOOD,)), needs=("no-such-program", "sh")), full=False)
    assert lacking.not_run == "this machine has no no-such-program"
    crowded = Row("one", "", "", breaks, room=1 << 60)
    result = run_row(crowded, full=False)
    assert result.verdict == NOT_RUN
    assert "1073741824.0 GiB of disk" in result.not_run


def test_a_machine_that_was_busy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_row(row("one", Result((GOOD,), notes=("a",))), full=False).notes == ("a",)
    monkeypatch.setattr("bench.runner.busy_cores", lambda: 1.2)
    notes = run_row(row("one", Result((GOOD,), notes=("a",))), full=False).notes
    assert notes == ("a", "the machine was not idle: 1.2 cores were busy before it began")


def test_a_row_is_told_its_size_and_how_far_it_shall_go() -> None:
    told: list[Run] = []

    def work(run: Run) -> Result:
        told.append(run)
        return Result((GOOD,))

    result = run_row(Row("one", "", "", work, room=0), full=True, packets=60)
    assert (told[0].full, told[0].packets) == (True, 60)
    assert result.began


def test_every_row_says_what_it_must_reach_and_fits_the_table() -> None:
    assert len({each.name for each in ROWS}) == len(ROWS)
    for each in ROWS:
        assert len(each.name) <= 14
        assert each.title
        assert each.reach
        assert each.work


def test_a_row_ends_what_it_started_and_nothing_else() -> None:
    sleeper = ("sleep", "60")
    started: list[subprocess.Popen[bytes]] = []

    def work(_run: Run) -> Result:
        started.append(subprocess.Popen(sleeper))
        return Result((GOOD,))

    with subprocess.Popen(sleeper) as other:
        try:
            run_row(Row("one", "", "", work, room=0), full=False)
            is_spared = other.poll() is None
        finally:
            other.kill()
    assert is_spared
    assert started[0].poll() is not None


def test_folders_stay_until_all_rows_are_over_and_then_go(tmp_path: Path) -> None:
    lay: list[int] = []

    def work(run: Run) -> Result:
        (run.folder / "file").write_text("x")
        lay.append(len(list((tmp_path / "work").iterdir())))
        return Result((GOOD,))

    rows = [Row(name, "", "", work, room=0) for name in ("one", "two", "three")]
    run_all(rows, Kept(tmp_path, "s", "quick"), full=False)
    assert lay == [1, 2, 3]
    assert list((tmp_path / "work").iterdir()) == []
