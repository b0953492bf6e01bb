"""What counts as a case of the sweeps, and what is told of what came to nothing, or of nobody."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from certainty.shard import Violation
from certainty.sweep import felt
from certainty.sweep.daemons import later
from certainty.sweep.floor import Floored, problems, without_notice
from certainty.sweep.floor import Seen as SeenLow
from certainty.sweep.judging import UndisturbedError, _sound
from certainty.sweep.outside import View
from certainty.sweep.points import Point
from certainty.sweep.pool import Result, enough
from certainty.sweep.reader import Reader, Seen
from certainty.sweep.recovering import FULL, QUICK, drawn
from certainty.sweep.silence import silent, tells
from certainty.sweep.stage import Ending
from certainty.sweep.sweeping import Case
from certainty.sweep.tally import Tally
from exchanged.errors import FileOperationError, LedgerDamagedError, VolumeDamagedError
from packet_spec.errors import ExchangeError

FILES = (("packet.xml", "aa"),)
SOUND = View(((FILES, 1),), {"large.status.json": "signed True"}, {}, {})


def test_what_came_to_nothing_is_no_case_and_its_kind_is_named() -> None:
    broken = Violation("I1", "c", "lost")
    tally = Tally(
        [
            Result("F06 full", "a"),
            Result("F06 full", "b", is_case=False),
            Result("F06 shared", "c", (broken,), 7.0, is_case=False),
        ]
    )
    outcome = tally.plain("F06", 3, "said")
    assert (outcome.cases, outcome.planned, outcome.violations) == (1, 1, (broken,))
    assert outcome.shortfalls == ("never came about: F06 shared",)
    assert "2 more came to nothing and are not counted" in outcome.measured
    assert tally.recoveries == ()


def test_where_all_came_to_nothing_the_row_is_not_run() -> None:
    outcome = Tally([Result("F14", "a", is_case=False)]).plain("F14", 1, "said")
    assert (outcome.cases, outcome.not_run) == (0, "what was to be tried came about in none of 1 cases")


def test_pairs_are_tried_until_enough_of_them_count() -> None:
    def results() -> Iterator[Result]:
        for number in range(9):
            yield Result("pair", str(number), is_case=number % 2 == 1)

    assert [result.case for result in enough(results(), 2)] == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        (OSError(errno.ENOSPC, "full"), True),
        (OSError(errno.EROFS, "read-only"), True),
        (OSError(errno.EMFILE, "handles"), True),
        (sqlite3.OperationalError("disk I/O error"), True),
        (OSError(errno.ENOENT, "not there"), False),
        (ValueError("x"), False),
    ],
)
def test_a_call_that_failed_is_felt_when_it_is_named(
    error: Exception, counts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ExchangeError, "__init__", felt._counting)
    before = felt.count()
    FileOperationError("nothing failed")
    assert felt.count() == before
    for leaf in (FileOperationError, VolumeDamagedError, LedgerDamagedError):
        try:
            raise error
        except type(error):
            assert leaf("named").summary == "named"
    assert felt.count() == before + 3 * counts


@pytest.mark.parametrize(
    ("status", "is_named", "invariants"),
    [
        ("signed True", True, ["I7"]),
        ("delivered False", False, ["I7"]),
        ("queued False", False, ["I1"]),
        ("accepted False", False, ["I1"]),
        ("accepted False", True, []),
        ("held False", False, []),
        ("refused True", False, []),
    ],
)
def test_what_does_not_come_must_be_named(status: str, is_named: bool, invariants: list[str]) -> None:
    found = replace(SOUND, appeared=(), statuses={"large.status.json": status})
    assert [each[0] for each in silent(SOUND, found, is_named=is_named)] == invariants
    assert list(silent(SOUND, replace(found, appeared=SOUND.appeared), is_named=False)) == []


def test_a_drop_without_any_status_is_lost() -> None:
    assert [each[0] for each in silent(SOUND, View((), {}, {}, {}), is_named=False)] == ["I1"]


@pytest.mark.parametrize(
    ("state", "notice", "is_told"),
    [
        ("held", "", True),
        ("quarantined", "", True),
        ("needing", '{"reference": "receipt-overdue"}', True),
        ("needing", '{"reference": "directory-expires"}', False),
        ("needing", "", False),
    ],
)
def test_what_a_node_tells_people_is_seen_in_its_ledger(
    tmp_path: Path, state: str, notice: str, is_told: bool
) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3")) as connection:
        for table in ("arrival", "destination", "packet"):
            connection.execute(f"CREATE TABLE {table} (state)")
        connection.execute("CREATE TABLE event (kind, detail)")
        connection.execute("INSERT INTO arrival VALUES (?)", (state,))
        connection.execute("INSERT INTO event VALUES ('notice-raised', ?)", (notice,))
        connection.commit()
    assert tells(tmp_path) is is_told


def test_a_run_goes_on_with_what_its_reader_saw_before(tmp_path: Path) -> None:
    (tmp_path / "inbox" / "case.report" / "a_1").mkdir(parents=True)
    (tmp_path / "outbox").mkdir()
    first = Reader(tmp_path)
    first.look(may_take=False)
    second = Reader(tmp_path)
    second.know(first)
    second.look()
    assert second.appeared == [Seen("a_1", ())]


def test_points_that_die_twice_are_drawn_by_the_seed() -> None:
    every = [Case("sender", "journey", Point(number, "fsync", "", is_idle=False)) for number in range(200)]
    assert len(drawn(every, 1, quick=False)) == FULL
    assert len(drawn(every, 1, quick=True)) == QUICK
    assert drawn(every, 1, quick=True) == drawn(every, 1, quick=True) != drawn(every, 2, quick=True)
    assert len(drawn(every[:2], 1, quick=True)) == 2


def test_nothing_is_held_against_an_undisturbed_run_that_is_itself_wrong() -> None:
    assert _sound(Ending(SOUND, [])) == SOUND
    for ending in (
        Ending(replace(SOUND, statuses={"large.status.json": "accepted False"}), []),
        Ending(SOUND, [Violation("I7", "", "a receipt proves nothing")]),
    ):
        with pytest.raises(UndisturbedError):
            _sound(ending)


def test_what_was_written_before_and_is_renamed_after_a_moment_is_seen(tmp_path: Path) -> None:
    up = tmp_path / "up"
    up.mkdir()
    (up / "early.batch").write_bytes(b"x")
    (up / ".late.batch.part").write_bytes(b"x")
    (up / ".never.batch.part").write_bytes(b"x")
    moment = max(path.stat().st_ctime for path in up.iterdir())
    assert later([up], moment) == []
    while (up / ".late.batch.part").stat().st_ctime <= moment:
        (up / ".late.batch.part").rename(up / "late.batch")
        (up / "late.batch").rename(up / ".late.batch.part")
    (up / ".late.batch.part").rename(up / "late.batch")
    assert later([up], moment) == ["up/late.batch"]


LOW = SeenLow(held=True, came=True, signed=True, waits=True, signs=True, told=True, free=[30 << 20, 29 << 20])


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, 0), ({"came": False}, 1), ({"signed": False}, 1), ({"late_came": True}, 1),
        ({"waits": False}, 1), ({"signs": False}, 1), ({"told": False}, 1), ({"free": []}, 1),
        ({"free": [30 << 20, 27 << 20]}, 1),
        ({"held": False, "came": False, "signed": False}, 0),
    ],
)  # fmt: skip
def test_what_a_node_below_its_floor_may_not_do_is_told(changed: dict[str, Any], told: int) -> None:
    found = list(problems(Floored("sender", "at once", 3), replace(LOW, **changed), 32 << 20))
    assert [each.invariant for each in found] == ["I10"] * told
    if changed in ({"waits": False}, {"signs": False}):
        assert not list(problems(Floored("province", "at once", 3), replace(LOW, **changed), 32 << 20))


def test_only_the_notice_of_a_low_disk_may_lie_there_besides() -> None:
    names = ("a-disk-floor-1.xml", "a-receipt-overdue-1.xml")
    view = replace(SOUND, lying={"sender notices": names}, files=dict.fromkeys(names, "aa"))
    left = without_notice(view)
    assert left.lying == {"sender notices": names[1:]}
    assert left.files == {names[1]: "aa"}
