"""What judges in the sweeps: it must see what is lost, doubled or altered, and which calls are points."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from certainty.shard import Violation
from certainty.sweep.calls import CHANGES, Call, Fate
from certainty.sweep.outside import View, differences, temporaries
from certainty.sweep.points import At, Point, Recorder, chosen, shuffled, spread
from certainty.sweep.pool import Result
from certainty.sweep.reader import Reader
from certainty.sweep.rot import _rows
from certainty.sweep.tally import Tally
from certainty.sweep.torn import SECTOR, Tear, changed

FILES = (("packet.xml", "aa"), ("卷宗.pdf", "bb"))
SOUND = View(
    appeared=((FILES, 1),),
    statuses={"A": "delivered True"},
    receipts={"A": ("accepted", "delivered")},
    lying={"sender outbox": ()},
    files={"sender sent/A/packet.xml": "aa", "sender status/A.status.xml": "cc"},
)


def said(found: View) -> list[str]:
    told = differences(SOUND, found, "case 7")
    assert {violation.case for violation in told} <= {"case 7"}
    return [violation.invariant for violation in told]


def test_what_is_as_it_was_is_no_difference() -> None:
    assert said(SOUND) == []


@pytest.mark.parametrize(
    ("found", "invariants"),
    [
        (replace(SOUND, appeared=()), ["I1"]),
        (replace(SOUND, appeared=((FILES, 2),)), ["I2"]),
        (replace(SOUND, appeared=((FILES, 1), (FILES[:1], 1))), ["I3"]),
        (replace(SOUND, appeared=(((("packet.xml", "aa"), ("卷宗.pdf", "cc")), 1),)), ["I3", "I1"]),
        (replace(SOUND, statuses={"A": "accepted False"}), ["I1"]),
        (replace(SOUND, statuses={}), ["I1"]),
        (replace(SOUND, receipts={"A": ("accepted",)}), ["I7"]),
        (replace(SOUND, lying={"sender outbox": ("A",)}), ["I16"]),
        (replace(SOUND, files={**SOUND.files, "sender sent/A/packet.xml": "bb"}), ["I4"]),
        (replace(SOUND, files={**SOUND.files, "sender sent/A/more.pdf": "bb"}), ["I4"]),
        (replace(SOUND, files={}), ["I4", "I1"]),
        (replace(SOUND, undone=((FILES, 1),)), ["I1"]),
    ],
)
def test_every_broken_promise_is_told(found: View, invariants: list[str]) -> None:
    assert said(found) == invariants


def test_c19_what_a_power_cut_took_back_may_and_must_show_once_more() -> None:
    assert said(replace(SOUND, appeared=((FILES, 2),), undone=((FILES, 1),))) == []
    assert said(replace(SOUND, appeared=((FILES, 3),), undone=((FILES, 1),))) == ["I2"]
    assert said(replace(SOUND, appeared=((FILES, 1),), undone=((FILES, 1),))) == ["I1"]


def test_the_reader_writes_down_what_comes_again_after_it_was_taken(tmp_path: Path) -> None:
    (tmp_path / "outbox").mkdir()
    reader = Reader(tmp_path)
    folder = tmp_path / "inbox" / "case.report" / "620199-01-00_0190"
    for _ in range(2):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "packet.xml").write_bytes(b"x")
        reader.look()
        reader.look()
    assert not folder.exists()
    assert [seen.packet for seen in reader.appeared] == ["620199-01-00_0190"] * 2
    assert list((tmp_path / "outbox").iterdir()) == []


def test_half_written_files_are_found(tmp_path: Path) -> None:
    (tmp_path / ".a.part").touch()
    (tmp_path / "b").touch()
    assert temporaries(tmp_path) == [str(tmp_path / ".a.part")]


def call(name: str, path: Path | str, *arguments: int) -> Call:
    return Call(name, 1, str(path), arguments)


def test_points_are_the_calls_before_which_the_disk_is_another(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.touch()
    recorder = Recorder()
    wal = tmp_path / "wal"
    for each in (
        call("unlink", tmp_path / "gone"),
        call("openat", there, 0, 0, os.O_CREAT),
        call("openat", there, 0, 0, os.O_CREAT | os.O_TRUNC),
        call("fchmod", there),
        *(call("pwrite64", wal) for _ in range(9)),
        call("fdatasync", wal),
        call("pwrite64", wal),
        call("unlink", there),
        call("mkdir", tmp_path),
    ):
        assert recorder(each) is Fate.PASS
    names = [(point.number, point.name) for point in chosen(recorder.points)]
    assert names == [
        (3, "openat"), (5, "pwrite64"), (6, "pwrite64"), (13, "pwrite64"), (14, "fdatasync"),
        (15, "pwrite64"), (16, "unlink"),
    ]  # fmt: skip


def test_nothing_is_a_point_before_it_is_time(tmp_path: Path) -> None:
    recorder = Recorder(armed=False)
    recorder(call("fsync", tmp_path))
    recorder.armed = True
    recorder(call("fsync", tmp_path))
    assert [point.number for point in chosen(recorder.points)] == [2]


def test_exactly_one_call_is_hit(tmp_path: Path) -> None:
    at = At(2, Fate.KILL)
    assert [at(call("fsync", tmp_path)) for _ in range(3)] == [Fate.PASS, Fate.KILL, Fate.PASS]
    assert at.hit == f"fsync {tmp_path}"


def test_a_spread_is_even_and_a_shuffle_repeats() -> None:
    points = [Point(number, "fsync", "", is_idle=False) for number in range(100)]
    assert [point.number for point in spread(points, 4)] == [0, 25, 50, 75]
    assert spread(points, 200) == points
    assert shuffled(points, 3) == shuffled(points, 3) != shuffled(points, 4)


def test_what_was_left_out_is_said() -> None:
    broken = Violation("I1", "b", "lost")
    results = [Result("sender", "a", (), 1.0), Result("sender", "b", (broken,), 9.0, "was earlier")]
    outcome = Tally(results).outcome("F01", 3, "3 points", 5.0, 0.5)
    assert (outcome.cases, outcome.violations) == (2, (broken,))
    assert outcome.recovery_seconds == (1.5, 9.5)
    assert outcome.shortfalls == (
        "2 of 3 planned cases",
        "1 of 2 recoveries took more than 5 s, at most 9.5 s",
    )
    assert Tally(results).plain("F11", 3, "said").shortfalls == ("2 of 3 planned cases",)


def test_torn_sectors_are_those_that_differ(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    content = bytearray(os.urandom(SECTOR * 40))
    old.write_bytes(content)
    for sector in (3, 17):
        content[sector * SECTOR + 5] ^= 1
    new.write_bytes(content)
    with old.open("rb") as left, new.open("rb") as right:
        assert list(changed(left.fileno(), right.fileno())) == [3 * SECTOR, 17 * SECTOR]


@pytest.mark.parametrize(
    ("tear", "is_torn"), [(Tear(), False), (Tear(9, 0), False), (Tear(9, 9), False), (Tear(9, 4), True)]
)
def test_an_image_is_torn_where_some_arrived_and_some_did_not(tear: Tear, is_torn: bool) -> None:
    assert tear.is_torn is is_torn


def test_every_trapped_call_is_of_one_table() -> None:
    assert len(set(CHANGES.values())) == len(CHANGES)


def test_a_machine_too_slow_for_a_single_case_is_told_as_not_run() -> None:
    none, some = Tally([]), Tally([Result("sender", "a")])
    assert none.outcome("F04", 2, "images", 5.0, 0.5).not_run == "there was no time for any of 2 cases"
    assert none.plain("F11", 2, "said").not_run == "there was no time for any of 2 cases"
    assert some.outcome("F04", 2, "images", 5.0, 0.5).not_run == some.plain("F11", 2, "said").not_run == ""


def test_a_table_that_an_earlier_commit_did_not_have_reads_otherwise_and_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE event (id)")
        connection.execute("CREATE TABLE search (word)")
        connection.commit()
        whole = _rows(path)
        connection.execute("DROP TABLE search")
        connection.commit()
    assert whole.keys() == {"event", "search"}
    assert _rows(path, whole) == {"event": whole["event"]}
