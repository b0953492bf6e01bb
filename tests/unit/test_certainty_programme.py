"""The programme of faults: what it takes for held, what for unknown, and that a run can be gone on with."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import MEASURED
from certainty.__main__ import TRIED_BY_SUITE, run_all
from certainty.matrix import Row, load_matrix, rows_without_source
from certainty.report import make_page, make_report, row_value, show
from certainty.runner import ROOT, SLACK, Results, ShardResult, run_shard
from certainty.shard import MOST_SECONDS, Outcome, Shard, Violation
from certainty.shards import SHARDS
from certainty.source import source_of
from cli.exit_codes import ExitCode

SHARD = Shard("s", "a shard", ("R1", "R2"), "tests.support.shards:held")
ROW = Row("R1", "Part", "<fault>", "promise", "I1", "goal", (), "")


def result(*outcomes: Outcome, state: str = "done", name: str = "s") -> ShardResult:
    return ShardResult(name, "a shard", ("R1", "R2"), state, "why", 1, "2026-01-01", 1.0, outcomes)


def run(module: str, *, quick: bool = True, **changes: Any) -> ShardResult:
    shard = replace(SHARD, module=f"tests.support.shards:{module}", **changes)
    return run_shard(shard, quick=quick, seed=9, progress=lambda done, total, what: None)


@pytest.fixture(autouse=True)
def _folders_in_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_a_shard_in_its_own_process_tells_what_it_found(tmp_path: Path) -> None:
    found = run("held")
    assert (found.state, found.seed) == ("done", 9)
    assert found.outcomes == (
        Outcome("R1", 5, recovery_seconds=(0.1, 0.3), measured="seed 9."),
        Outcome("R2", 7),
    )
    assert list(tmp_path.iterdir()) == []


def test_what_was_violated_stays_on_disk_for_whoever_looks_into_it(tmp_path: Path) -> None:
    found = run("violated")
    assert found.outcomes[0].violations == (Violation("I2", "seed 5", "twice in the inbox"),)
    assert [path.name for path in tmp_path.glob("*/work/*")] == ["evidence"]


@pytest.mark.parametrize("module", ["dies", "silent", "idle", "is_not_there"])
def test_a_shard_that_does_not_come_to_its_end_or_forgets_a_row_is_broken(module: str) -> None:
    found = run(module)
    assert found.state == "broken"
    assert found.reason


def test_a_row_that_only_the_full_set_tries_is_not_run_in_the_quick_set() -> None:
    found = run("silent", full_only=("R2",))
    assert (found.state, found.reason) == ("done", "")
    assert found.outcomes == (Outcome("R1", 5), Outcome("R2", 0, not_run="only the full set tries it"))
    assert row_value(replace(ROW, id="R2"), [SHARD], [found])["verdict"] == "not run"


def test_silence_about_a_row_that_the_full_set_tries_is_broken_there() -> None:
    found = run("silent", quick=False, full_only=("R2",))
    assert (found.state, found.outcomes) == ("broken", (Outcome("R1", 5),))
    assert "it said nothing about R2" in found.reason


def test_silence_about_any_other_row_stays_broken() -> None:
    found = run("silent", full_only=("R1",))
    assert found.state == "broken"
    assert "it said nothing about R2" in found.reason


def test_a_row_that_a_slow_machine_did_not_come_to_is_not_run_and_no_break() -> None:
    found = run("idle", quick_seconds=0)
    assert (found.state, [each.not_run != "" for each in found.outcomes]) == ("done", [False, True])
    assert run("silent", quick_seconds=0).state == "broken"


def test_what_a_shard_says_itself_of_such_a_row_stands() -> None:
    assert run("held", full_only=("R2",)).outcomes == run("held").outcomes
    assert run("idle", full_only=("R2",)).state == "broken"


def test_each_shard_has_a_time_of_its_own_and_never_more_than_twenty_minutes() -> None:
    assert run("tells_its_time", quick_seconds=7).outcomes[0].cases == 7 * SLACK
    assert run("tells_its_time", quick=False, full_seconds=300).outcomes[0].cases == 300 * SLACK
    assert run("tells_its_time", quick=False, full_seconds=3000).outcomes[0].cases == MOST_SECONDS


def test_the_quick_set_ends_within_ten_minutes() -> None:
    assert sum(shard.quick_seconds for shard in SHARDS if shard.in_quick) <= 9 * 60


def test_only_some_rows_of_a_shard_are_left_to_the_full_set() -> None:
    for shard in SHARDS:
        assert {*shard.full_only} < {*shard.rows}, shard.name


def test_what_the_machine_lacks_is_not_run_and_named() -> None:
    found = run("held", needs=("no-such-program", "/no/such/path"))
    assert (found.state, found.outcomes) == ("not-run", ())
    assert "no-such-program, /no/such/path" in found.reason


@pytest.mark.parametrize(
    ("results", "verdict"),
    [
        ([result(Outcome("R1", 5))], "held"),
        ([result(Outcome("R1", 5, (Violation("I1", "c", "w"),)), state="broken")], "violated"),
        ([result(Outcome("R1", 5), state="broken")], "broken"),
        ([result(state="not-run")], "not run"),
        ([], "not run"),
        ([result(Outcome("R1", 0, not_run="no device"))], "not run"),
        ([result(Outcome("R1", 5, short="11 s"))], "short"),
        ([result(Outcome("R1", 5, planned=6))], "short"),
        ([result(Outcome("R1", 6, planned=6))], "held"),
        ([result(Outcome("R1", 5, recovery_seconds=(1.0, 5.1), goal_seconds=5.0))], "short"),
        ([result(Outcome("R1", 5, recovery_seconds=(1.0, 5.0), goal_seconds=5.0))], "held"),
        ([result(Outcome("R1", 5)), result(Outcome("R1", 5, (Violation("I1", "c", "w"),)))], "violated"),
        ([result(Outcome("R1", 5)), result(state="not-run", name="other")], "held in part"),
    ],
)
def test_the_verdict_of_a_row(results: list[ShardResult], verdict: str) -> None:
    """Unknown is never taken for held."""
    shards = [SHARD, *(replace(SHARD, name=each.name) for each in results if each.name != "s")]
    found = row_value(ROW, shards, results)
    assert found["verdict"] == verdict


def test_what_falls_short_of_its_goal_says_by_how_much() -> None:
    outcome = Outcome(
        "R1", 40, recovery_seconds=(0.5, 6.25, 12.0), planned=2_000, goal_seconds=5.0, short="a"
    )
    assert outcome.shortfalls == (
        "a",
        "40 of 2,000 planned cases",
        "2 of 3 recoveries took more than 5 s, at most 12.0 s",
    )


def test_a_row_that_nobody_tries_is_told_with_its_reason() -> None:
    found = row_value(replace(ROW, without="no such link exists"), [], [])
    assert (found["verdict"], found["gaps"]) == ("not run", ["no such link exists"])


def test_every_row_of_the_matrix_is_tried_or_has_a_reason() -> None:
    assert rows_without_source(load_matrix(), SHARDS) == ()
    assert rows_without_source([ROW], []) == ("R1",)


def test_shards_and_matrix_name_the_same_rows_and_tests_that_exist() -> None:
    ids = {row.id for row in load_matrix()}
    assert {row for shard in SHARDS for row in shard.rows} <= ids
    root = Path(__file__).resolve().parents[2]
    for row in load_matrix():
        for node in row.tests:
            path, _, name = node.partition("::")
            text = (root / path).read_text(encoding="utf-8")
            assert not name or f"def {name}(" in text, (row.id, node)


def test_a_run_that_was_broken_off_goes_on_where_it_stood(tmp_path: Path) -> None:
    results = Results(tmp_path / "kept", "source", "quick")
    second = replace(SHARD, name="t", module="tests.support.shards:dies")

    def go_on(seed: int = 1) -> dict[str, ShardResult]:
        return run_all([SHARD, second], results, quick=True, seed=seed, keep=False, again=False)

    first = go_on()
    again = go_on()
    assert [first[name].state for name in "st"] == ["done", "broken"]
    # What came to its end is the very result of then; what broke is tried anew.
    assert again["s"] == first["s"]
    assert again["t"].began >= first["t"].began
    assert results.read("t", 1) is None
    assert go_on(seed=2)["s"].seed == 2
    # Another seed is another run, and takes nothing from the first.
    assert results.read("s", 1) == first["s"]
    assert [each.seed for each in results.for_report(2)] == [2, 2]


def test_what_was_violated_once_stays_in_the_report_whatever_runs_afterwards(tmp_path: Path) -> None:
    results = Results(tmp_path / "kept", "source", "quick")
    bad = result(Outcome("R1", 5, (Violation("I2", "seed 1", "twice"),)))
    broken = replace(bad, state="broken", seed=7)
    good = result(Outcome("R1", 5))
    for each in (bad, good, good, broken, replace(good, seed=7)):
        results.write(each)
    assert results.read("s", 1) == good
    assert results.read("s", 7) == replace(good, seed=7)
    for seed in (1, 2):
        assert row_value(ROW, [SHARD], results.for_report(seed))["verdict"] == "violated"
    assert [each for each in results.for_report(1) if not each.has_violations] == [good]


def test_results_outlive_other_tests_but_not_those_of_the_suite(tmp_path: Path) -> None:
    """Only the shards that run tests of the suite depend on all of them."""
    by_tests = replace(SHARD, name="suite-part")
    before = Results(tmp_path / "kept", "product", "full", of_suite="tests")
    first = run_all([SHARD, by_tests], before, quick=True, seed=1, source="one")
    assert before.for_report(1) == [first["s"], first["suite-part"]]
    after = Results(tmp_path / "kept", "product", "full", of_suite="other tests")
    assert after.for_report(1) == [first["s"]]
    found = run_all([SHARD, by_tests], after, quick=True, seed=1, source="two")
    assert [each.source for each in found.values()] == ["one", "two"]
    report = make_report([ROW], [SHARD], list(found.values()), kind="full", source="two", seed=1)
    assert [each["source"] for each in report["shards"]] == ["one", "two"]
    # The page names the source of a shard where it was another one.
    page = make_page(report)
    assert "source two" in page
    assert page.count("seed 1, source one") == 1
    assert page.count(", source ") == 2


def test_the_parts_that_results_depend_on_are_all_there() -> None:
    assert [part for part in (*TRIED_BY_SUITE, *MEASURED) if not (ROOT / part).exists()] == []


def test_what_ran_while_the_source_was_changed_is_of_no_source(tmp_path: Path) -> None:
    results = Results(tmp_path / "kept", "source", "quick")
    found = run_all([SHARD], results, quick=True, seed=1, is_same=lambda: False)["s"]
    assert (found.state, found.reason) == ("broken", "the source was changed while it ran")
    assert results.for_report(1) == []


def test_a_shard_that_fills_the_machine_has_none_beside_it(tmp_path: Path) -> None:
    first, second = (replace(SHARD, name=name, module="tests.support.shards:meets") for name in "ab")
    filling = replace(SHARD, name="f", module="tests.support.shards:is_alone", fills_machine=True)
    results = Results(tmp_path / "kept", "source", "quick")
    found = run_all([first, filling, second], results, quick=True, seed=1, jobs=2)
    assert [found[name].outcomes[0].cases for name in "ab"] == [2, 2]
    assert found["f"].outcomes[0].measured == "0 beside it."


@pytest.mark.parametrize("module", ["certainty", "bench"])
def test_a_reader_of_the_list_that_goes_away_is_no_error(module: str) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        command = [sys.executable, "-m", module, "--list"]
        done = subprocess.run(command, cwd=ROOT, stdout=closed, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (ExitCode.PIPE_CLOSED, b"")


def test_results_belong_to_one_state_of_the_source(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        author = ("-c", "user.name=n", "-c", "user.email=e@example.org")
        subprocess.run(["git", "-C", str(tmp_path), *author, *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "first")
    committed = source_of(tmp_path)
    (tmp_path / "a").write_text("2")
    changed = source_of(tmp_path)
    (tmp_path / "b").write_text("3")
    added = source_of(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    assert len({committed, changed, added, source_of(tmp_path)}) == 4
    assert changed.startswith(f"{committed}-changed-")


def test_a_state_of_parts_of_the_source_outlives_a_change_of_others(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        author = ("-c", "user.name=n", "-c", "user.email=e@example.org")
        subprocess.run(["git", "-C", str(tmp_path), *author, *arguments], check=True, capture_output=True)

    git("init")
    for name in ("program", "docs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text("1")
    git("add", ".")
    git("commit", "-m", "first")
    first = source_of(tmp_path, ("program", "setup.cfg"))
    (tmp_path / "docs" / "a").write_text("2")
    (tmp_path / "new").touch()
    assert source_of(tmp_path, ("program", "setup.cfg")) == first
    git("commit", "-a", "-m", "second")
    assert source_of(tmp_path, ("program", "setup.cfg")) == first
    (tmp_path / "program" / "a").write_text("2")
    changed = source_of(tmp_path, ("program", "setup.cfg"))
    assert changed.startswith(f"{first}-changed-")
    (tmp_path / "program" / "new").touch()
    added = source_of(tmp_path, ("program", "setup.cfg"))
    (tmp_path / "setup.cfg").touch()
    named = source_of(tmp_path, ("program", "setup.cfg"))
    git("add", ".")
    git("commit", "-m", "third")
    committed = source_of(tmp_path, ("program", "setup.cfg"))
    assert "changed" not in committed
    assert len({first, changed, added, named, committed}) == 5


def test_the_page_shows_every_row_and_escapes_what_it_is_told() -> None:
    outcome = Outcome("R1", 1234, (Violation("I1", "<seed>", "lost"),), (0.5, 4.0), "most of it.")
    report = make_report(
        [ROW], [SHARD], [result(outcome)], kind="full", source="0123456789abcdef", seed=1
    )
    page = make_page(report)
    assert report["verdicts"]["violated"] == 1
    assert "&lt;fault&gt;" in page
    assert "&lt;seed&gt;" in page
    assert "1,234" in page
    assert "most 4.00" in page


def test_a_quick_report_says_what_it_leaves_out_and_that_its_cases_are_few(capsys: Any) -> None:
    full = replace(SHARD, name="suite-part", rows=("R2",))
    shard = replace(SHARD, rows=("R1",))
    rows = [ROW, replace(ROW, id="R2"), replace(ROW, id="R3", without="no such link exists")]
    report = make_report(
        rows, [shard], [result(Outcome("R1", 5))], kind="quick", source="s", seed=1, left_out=[full]
    )
    assert [row["gaps"] for row in report["rows"]] == [
        [], ["only the full set tries it"], ["no such link exists"],
    ]  # fmt: skip
    show(report)
    shown = capsys.readouterr().out
    assert "only the full set tries it: R2\n" in shown
    assert "R3 " in shown
    assert "no such link exists" in shown
    for text in (shown, make_page(report)):
        assert "The quick set tries fewer cases than the goals ask for" in text
    assert "Goal of the full set: goal." in make_page(report)
    assert "Goal: goal." in make_page({**report, "set": "full"})
