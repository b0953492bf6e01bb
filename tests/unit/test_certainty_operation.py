"""What the shards of operation judge by: each judgement can fail."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from certainty.operation.clock import judge_receipts
from certainty.operation.failing_daemon import FailPoint
from certainty.operation.growth import BookClock, count_rows, fill
from certainty.operation.ledger import missed
from certainty.operation.poison import judge_deaths, judge_set_aside
from certainty.operation.upgrade import as_earlier, fingerprint, open_killed, spread, steps
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


def test_too_many_deaths_and_none_are_both_wrong() -> None:
    mark = "POISON.620000-00-00.daemon-after.1"
    assert not list(judge_deaths([mark], {mark: 4}))
    assert list(judge_deaths([mark], {mark: 5}))
    assert list(judge_deaths([mark], {}))


def test_a_check_counts_for_nothing_when_the_daemon_dies_of_another_packet_before_the_decision() -> None:
    worker, other = "POISON.620000-00-00.killed.0", "POISON.620199-03-00.killed.2"
    mark = "POISON.620000-00-00.daemon-after.1"
    assert list(judge_deaths([worker], {worker: 8}))
    assert not list(judge_deaths([worker, mark], {worker: 8, mark: 4}))
    assert list(judge_deaths([worker, mark], {worker: 9, mark: 4}))
    assert list(judge_deaths([mark, other], {other: 7, mark: 4}))


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
