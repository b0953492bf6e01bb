"""The bench in several calls: what goes last, what is told of what did not end, what a killed call left."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import __main__ as program
from bench.keeping import BROKEN_OFF, Kept, new_folder, write_whole
from bench.result import BROKEN, MET, NO_VERDICT, NOT_RUN, Check, Reference, Result, Row, Run
from bench.runner import remove_folders, run_all, run_row

GOOD = Result((Check("packets", 150.0, 100.0, "/s"),))
OFF = Result(GOOD.checks, (Reference("rsync", 10.0, 100.0, "/s"),))


@pytest.fixture(autouse=True)
def _folders_in_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "work"))
    (tmp_path / "work").mkdir()
    monkeypatch.setattr("bench.runner.busy_cores", lambda: 0.1)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "kept", "state", "full")


class Set:
    """Rows that note in ``ran`` that they ran; ``gives`` is what each gives or raises."""

    def __init__(self, **gives: Result | BaseException) -> None:
        self.gives, self.ran = gives, list[str]()

    def rows(self, **changes: object) -> list[Row]:
        return [Row(name, name, "", self._work(name), room=0, **changes) for name in self.gives]  # type: ignore[arg-type]

    def _work(self, name: str):  # type: ignore[no-untyped-def]
        def work(_run: Run) -> Result:
            self.ran.append(name)
            given = self.gives[name]
            if isinstance(given, BaseException):
                raise given
            return given

        return work


def test_what_was_tried_in_vain_goes_behind_what_was_not_tried(kept: Kept) -> None:
    some = Set(off=OFF, breaks=RuntimeError("no line"), good=GOOD, stops=SystemExit(143), last=GOOD)
    with pytest.raises(SystemExit):
        run_all(some.rows(), kept, full=False)
    assert some.ran == ["off", "breaks", "good", "stops"]
    some.ran.clear()
    some.gives["stops"] = GOOD
    run_all(some.rows(), kept, full=False)
    assert some.ran == ["last", "off", "breaks", "stops"]
    some.ran.clear()
    run_all(some.rows(), kept, full=False, again=True)
    assert some.ran == ["off", "breaks", "good", "stops", "last"]


def test_a_row_that_was_ended_from_outside_counts_as_broken_off_until_it_ran(kept: Kept) -> None:
    some = Set(one=SystemExit(143))
    with pytest.raises(SystemExit):
        run_all(some.rows(), kept, full=False)
    before = kept.last("one")
    assert before is not None
    assert (before.verdict, before.broken) == (BROKEN, BROKEN_OFF)
    assert kept.read("one") is None
    some.gives["one"] = GOOD
    assert run_all(some.rows(), kept, full=False)["one"].verdict == MET


def test_what_it_found_before_outlives_a_later_try_that_was_ended(kept: Kept) -> None:
    some = Set(one=OFF)
    run_all(some.rows(), kept, full=False)
    some.gives["one"] = SystemExit(143)
    with pytest.raises(SystemExit):
        run_all(some.rows(), kept, full=False)
    before = kept.read("one")
    assert before is not None
    assert before.verdict == NO_VERDICT


def test_a_report_is_written_and_names_what_is_missing_also_when_it_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(program, "source_of", lambda *_: "state")
    monkeypatch.setattr(program, "heed_signals", lambda: None)
    some = Set(good=GOOD, breaks=RuntimeError("no line"), stops=SystemExit(143), late=GOOD)
    monkeypatch.setattr(program, "ROWS", some.rows())
    assert program.main([]) == 128 + signal.SIGTERM
    report = json.loads((tmp_path / "kept" / "state" / "quick.json").read_text())
    verdicts = {row["name"]: row["verdict"] for row in report["rows"]}
    assert verdicts == {"good": MET, "breaks": BROKEN, "stops": BROKEN, "late": NOT_RUN}
    assert report["rows"][3]["not_run"] == "it was not begun yet"
    assert "broken off; the same call goes on" in capsys.readouterr().err
    # What broke in an earlier call belongs to the report of a later one.
    assert program.main(["--only", "late"]) == 1
    shown = capsys.readouterr().out
    assert "2 met, 2 broken" in shown
    assert "no line" in shown
    assert program.main(["--only", "late", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["rows"][3]["machine"]["cores"] == len(os.sched_getaffinity(0))


def test_a_long_row_that_was_begun_is_told_as_one_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(program, "source_of", lambda *_: "state")
    monkeypatch.setattr(program, "heed_signals", lambda: None)
    monkeypatch.setattr(program, "ROWS", Set(long=KeyboardInterrupt()).rows(resumes=True))
    assert program.main([]) == 128 + signal.SIGINT
    [row] = json.loads((tmp_path / "kept" / "state" / "quick.json").read_text())["rows"]
    assert row["not_run"] == "it was begun, and the same call goes on with it"


def killed(folder: Path, row: str) -> Path:
    """The folder of a call that is no more."""
    kept = Kept(folder, "another", "quick")
    place = new_folder(row)
    kept.note(place)
    # The lock goes with its process.
    kept._notes.pop(place).close()
    return place


def test_what_a_killed_call_left_is_ended_emptied_and_removed(
    tmp_path: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[Path] = []
    monkeypatch.setattr("bench.province.Lab", SimpleNamespace(open=lambda place: SimpleNamespace(
        stop=lambda: stopped.append(place)
    )))  # fmt: skip
    left = killed(tmp_path / "kept", "huge")
    (left / "p" / "lab").mkdir(parents=True)
    (left / "p" / "lab.made").touch()
    for name, size in (("video", 1 << 20), ("small", 10)):
        (left / "p" / "lab" / name).write_bytes(bytes(size))
    seen: list[set[str]] = []

    def work(_run: Run) -> Result:
        # Many small files that went a moment ago would make others dear: they go at the end.
        seen.append({each.name for each in (left / "p" / "lab").iterdir()})
        return GOOD

    lines: list[str] = []
    run_all([Row("one", "", "", work, room=0)], kept, full=False, tell=lines.append)
    assert seen == [{"small"}]
    assert stopped[0] == left / "p" / "lab"
    assert f"removes {left}, which a call that was killed left" in lines
    assert list((tmp_path / "work").iterdir()) == []
    assert list((tmp_path / "kept" / "made").iterdir()) == []


def test_the_folder_of_a_call_that_lives_is_left_alone(tmp_path: Path, kept: Kept) -> None:
    other = Kept(tmp_path / "kept", "another", "quick")
    place = new_folder("huge")
    other.note(place)
    assert kept.take_left() == ()
    run_all(Set(one=GOOD).rows(), kept, full=False)
    assert place.is_dir()
    other.forget(place)
    assert list((tmp_path / "kept" / "made").iterdir()) == []


def test_a_note_of_what_is_gone_goes_too(tmp_path: Path, kept: Kept) -> None:
    killed(tmp_path / "kept", "huge").rmdir()
    (tmp_path / "kept" / "made" / "empty.place").touch()
    assert kept.take_left() == ()
    assert list((tmp_path / "kept" / "made").iterdir()) == []


def test_one_that_goes_on_needs_the_room_that_it_did_not_take_yet(
    tmp_path: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Row("long", "", "", lambda _run: GOOD, room=10 << 30, resumes=True)
    kept.make_place("long")
    free, taken = [0], [0]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free[0]))
    monkeypatch.setattr("bench.runner.disk_use", lambda _: taken[0])
    for free[0], taken[0], verdict in (
        (3 << 30, 6 << 30, NOT_RUN),
        (4 << 30, 6 << 30, MET),
        # It took more than was thought.
        (1 << 29, 12 << 30, NOT_RUN),
        (1 << 30, 12 << 30, MET),
        (10 << 30, 0, MET),
    ):
        result = run_row(row, full=False, kept=kept)
        assert result.verdict == verdict
        assert ("GiB more of disk" in result.not_run) == (verdict == NOT_RUN)


@pytest.mark.parametrize(("free", "is_there"), [(20, True), (5, False)])
def test_the_folder_of_a_long_row_goes_at_the_end_or_when_others_lack_the_room(
    kept: Kept, free: int, is_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    there: list[bool] = []

    def look(_run: Run) -> Result:
        there.append(kept.place("long") is not None)
        return GOOD

    long = Row("long", "", "", lambda _run: GOOD, room=0, resumes=True)
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _: SimpleNamespace(free=(free if kept.place("long") else 20) << 30)
    )
    run_all([long, Row("other", "", "", look, room=3 << 30, full_room=8 << 30)], kept, full=True)
    assert there == [is_there]
    assert kept.place("long") is None


def test_the_folder_of_a_long_row_that_was_killed_behind_its_end_goes_with_the_next_call(kept: Kept) -> None:
    kept.make_place("long")
    kept.write("long", GOOD)
    assert run_all(Set(long=GOOD).rows(resumes=True), kept, full=False)["long"].verdict == MET
    assert kept.place("long") is None


def test_nothing_of_a_small_file_is_left_to_the_memory_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: sizes.append(os.fstat(descriptor).st_size))
    replace, seen = Path.replace, list[int]()

    def look(path: Path, target: Path) -> Path:
        seen.append(len(sizes))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", look)
    write_whole(tmp_path / "books.json", "12345")
    assert (sizes, seen) == ([5], [1])
    assert (tmp_path / "books.json").read_text() == "12345"
    remove_folders()
