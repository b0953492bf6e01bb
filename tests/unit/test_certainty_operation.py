"""What the shards of operation judge by: each judgement can fail."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from certainty.operation.backups import opens, told_whole
from certainty.operation.clock import judge_receipts, shows_clock
from certainty.operation.failing_daemon import FailPoint
from certainty.operation.growth import BookClock, count_rows, fill
from certainty.operation.ledger import missed, too_few
from certainty.operation.logs import _fill, stall
from certainty.operation.old_queue import chosen
from certainty.operation.poison import judge_deaths, judge_set_aside
from certainty.operation.upgrade import as_earlier, fingerprint, in_flight, open_killed, spread, steps
from exchanged.ledger import Ledger, forms, open_read_only
from exchanged.ledger.verify import examine_ledger
from frontend_server.judging import DropWork
from packet_spec.model import ReceiptKind
from tests.support.documents import make_receipt

AGENCIES = ("620199-01-00", "620199-02-00", "620199-03-00")
NOW = datetime(2026, 11, 29, tzinfo=UTC)


def filled(path: Path, packets: int) -> None:
    clock = BookClock(packets)
    with closing(Ledger(path, clock, on_wake=lambda _names: None, threaded=False)) as ledger:
        fill(ledger, clock, path.parent, packets, "620000-00-00", AGENCIES, lambda _done: None)


def test_deaths_of_a_daemon_are_three_while_alone_and_one_before() -> None:
    mark = "POISON.620000-00-00.daemon-after.1"
    assert not list(judge_deaths([mark], {mark: 3}, {}))
    assert not list(judge_deaths([mark], {mark: 4}, {}))
    assert list(judge_deaths([mark], {mark: 5}, {}))
    assert list(judge_deaths([mark], {mark: 2}, {}))
    assert list(judge_deaths([mark], {}, {}))


def test_the_third_crash_of_a_worker_sets_aside_not_the_first_and_not_the_fourth() -> None:
    worker, other = "POISON.620000-00-00.killed.0", "POISON.620199-03-00.killed.2"
    assert not list(judge_deaths([worker], {worker: 6}, {worker: 3}))
    for crashes in (0, 1, 2, 4):
        assert list(judge_deaths([worker], {worker: 3}, {worker: crashes}))
    assert list(judge_deaths([worker], {worker: 7}, {worker: 3}))
    mark = "POISON.620000-00-00.daemon-after.1"
    # Of what the daemon of the same node undid, and of no other.
    assert not list(judge_deaths([worker, mark], {worker: 9, mark: 4}, {worker: 5}))
    assert list(judge_deaths([worker, mark], {worker: 9, mark: 4}, {worker: 8}))
    assert list(judge_deaths([mark, other], {other: 6, mark: 4}, {other: 4}))


def test_a_poisoned_packet_must_stand_on_the_list_with_its_reason() -> None:
    row = {"state": "quarantined", "reason": "crashed-three-times"}
    assert not list(judge_set_aside("mark", [row]))
    assert list(judge_set_aside("mark", []))
    assert list(judge_set_aside("mark", [row | {"state": "held"}]))


def test_the_fail_point_finds_marks_of_its_own_node_and_only_while_it_is_active(tmp_path: Path) -> None:
    xml = b"<senderRef>POISON.620199-01-00.killed.7</senderRef>"
    work = DropWork(xml, (), False, "", "", tmp_path, NOW, False)
    point = FailPoint(tmp_path, "620199-01-00")
    assert point.find(work) == ("", "")
    (tmp_path / "active").touch()
    assert point.find(work) == ("killed", "POISON.620199-01-00.killed.7")
    assert FailPoint(tmp_path, "620000-00-00").find(work) == ("", "")


def test_a_receipt_of_a_wrong_time_and_times_that_go_back_are_told() -> None:
    one = make_receipt(ReceiptKind.ACCEPTED, issued_at=NOW, number=1)
    two = make_receipt(ReceiptKind.ACCEPTED, issued_at=NOW + timedelta(seconds=1), number=2)
    assert not list(judge_receipts([two, one], NOW, NOW))
    ahead = make_receipt(ReceiptKind.ACCEPTED, issued_at=NOW + timedelta(days=730), number=3)
    assert len(list(judge_receipts([one, two, ahead], NOW, NOW))) == 1
    back = make_receipt(ReceiptKind.ACCEPTED, issued_at=NOW - timedelta(seconds=1), number=3)
    assert len(list(judge_receipts([one, two, back], NOW, NOW))) == 1


def test_a_clock_that_no_line_of_the_log_shows_was_not_wrong() -> None:
    now = NOW.replace(microsecond=0)
    right = f"{now:%Y-%m-%dT%H:%M:%SZ} info event=started\n"
    ahead = f"{now + timedelta(days=730, minutes=-2):%Y-%m-%dT%H:%M:%SZ} info event=clock-doubt\n"
    seconds = 730 * 86_400
    assert not shows_clock(right, now, seconds)
    assert not shows_clock("", now, seconds)
    assert shows_clock(right + ahead, now, seconds)
    assert not shows_clock(ahead, now, -seconds)


def test_a_backup_that_ends_in_the_middle_is_not_whole() -> None:
    def crashes() -> Iterator[str]:
        yield from ()
        raise FileNotFoundError(2, "No such file", "blobs/incoming")

    assert not told_whole(lambda: iter(()))
    assert told_whole(lambda: iter(("not whole",))) == ["not whole"]
    (said,) = told_whole(crashes)
    assert "FileNotFoundError" in said


def test_a_copy_of_another_history_is_told_and_a_copy_of_this_one_opens(tmp_path: Path) -> None:
    live, copy, other = (tmp_path / name for name in ("live", "copy", "other"))
    for folder, packets in ((live, 4), (copy, 4), (other, 6)):
        folder.mkdir()
        filled(folder / "ledger.sqlite3", packets)
    for folder in (live, copy):
        with closing(sqlite3.connect(folder / "ledger.sqlite3")) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (copy / "ledger.sqlite3").write_bytes((live / "ledger.sqlite3").read_bytes())
    assert not [each for each in opens(copy, live) if "event" in each]
    assert [each for each in opens(other, live) if "event" in each]


def test_one_packet_that_a_log_holds_up_shows() -> None:
    assert stall([1.0, 1.2, 9.0], [1.1, 1.3, 1.2]) == 0.0
    assert round(stall([1.0, 1.2, 1.1], [1.0, 0.9, 3.2]), 3) == 2.0


def test_a_pipe_that_somebody_reads_is_not_full() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        assert _fill(writer) > 4096
        assert _fill(writer) == 0
        os.read(reader, 8192)
        assert _fill(writer) > 0
    finally:
        os.close(reader)
        os.close(writer)


def test_a_ledger_that_is_too_small_is_told() -> None:
    assert not list(too_few(50_000, 50_000))
    assert list(too_few(49_999, 50_000))


def test_each_goal_of_the_large_ledger_can_be_missed() -> None:
    assert not list(missed({"queue list": 1.0}, 50_000, 10.0))
    assert len(list(missed({"queue list": 1.1}, 49_999, 10.1))) == 3


def test_the_ledger_that_is_written_is_a_sound_one(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    filled(path, 60)
    with closing(open_read_only(path)) as connection:
        assert examine_ledger(connection).is_sound
        assert count_rows(connection) > 60 * 15
        states = dict(connection.execute("SELECT state, count(*) FROM packet GROUP BY state").fetchall())
    assert states == {"active": 1, "done": 59}


def test_kills_are_spread_over_all_statements_with_both_ends() -> None:
    assert spread(5, 80) == (1, 2, 3, 4, 5)
    assert spread(1_000, 3) == (1, 501, 1_000)


def test_forms_are_spread_over_all_steps_with_both_ends() -> None:
    assert chosen(("a", "b"), 7) == ("a", "b")
    assert chosen(tuple("abcdefghi"), 3) == ("a", "e", "i")


def test_a_killed_upgrade_is_seen_and_a_lost_row_changes_the_fingerprint(tmp_path: Path) -> None:
    newest, old = tmp_path / "ledger.sqlite3", tmp_path / "old.sqlite3"
    filled(newest, 4)
    as_earlier(newest, old, steps()[-1])
    assert open_killed(old, 1)
    assert not open_killed(old, 1_000_000)
    with closing(open_read_only(old)) as connection:
        assert forms.lacks(connection) == ()
    before = fingerprint(old)
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        connection.execute("DELETE FROM hop WHERE id = 1")
    assert fingerprint(old) != before


def test_a_packet_that_an_upgrade_changes_or_loses_shows(tmp_path: Path) -> None:
    newest, old = tmp_path / "ledger.sqlite3", tmp_path / "old.sqlite3"
    filled(newest, 4)
    as_earlier(newest, old, steps()[-1])
    before = in_flight(old)
    assert len(before) == 4
    assert in_flight(newest) == before
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        connection.execute("UPDATE packet SET content_digest = 'another' WHERE id = 1")
        connection.execute("DELETE FROM destination WHERE packet = 2")
    after = in_flight(old)
    assert sorted(after.get(key) == packet for key, packet in before.items()) == [False, False, True, True]
