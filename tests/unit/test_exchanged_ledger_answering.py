"""The place from which an answer to a restored node goes on, as an older ledger comes to have it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from sqlite_utils import Database

from exchanged.ledger import Ledger, answering
from exchanged.ledger.answering import Asked
from exchanged.ledger.schema import migrations
from tests.support.clock import FakeClock

SINCE = datetime(2026, 7, 15, 1, 30, tzinfo=UTC)


def test_0020_answers_page_keeps_who_asked_and_begins_what_is_due_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    states = (("p", "due"), ("q", "partly"), ("r", "answered"))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrations.apply(Database(connection), stop_before="0020-answers-page")
        connection.executemany(
            "INSERT INTO restore_asked VALUES (?, 'link', 'i', '2026-07-15T01:30:00.000000Z', ?)", states
        )
    with closing(Ledger(path, FakeClock(), on_wake=lambda _: None, threaded=False)) as ledger:
        (asked,) = answering.due(ledger.read(), "link")
        assert asked == Asked("p", "link", "i", SINCE)
        assert answering.may_begin(asked, SINCE)
        # What was answered is, and what was answered in part is answered once this node is through.
        for node in ("q", "r"):
            again = Asked(node, "link", "i", SINCE)
            assert not ledger.write(lambda tx, again=again: answering.note_ask(tx, again))  # type: ignore[misc]
        ledger.write(answering.start_over)
        assert [each.node for each in answering.due(ledger.read(), "link")] == ["p", "q"]


def test_a_clock_that_was_set_back_keeps_no_answer_waiting(tmp_path: Path) -> None:
    clock = FakeClock()
    with closing(Ledger(tmp_path / "l.sqlite3", clock, on_wake=lambda _: None, threaded=False)) as ledger:

        def asked_in(incarnation: str) -> Asked:
            ledger.write(lambda tx: answering.note_ask(tx, Asked("p", "link", incarnation, SINCE)))
            (asked,) = answering.due(ledger.read(), "link")
            return asked

        for number in range(3):
            asked = asked_in(str(number))
            assert answering.may_begin(asked, clock.now())
            ledger.write(lambda tx, asked=asked: answering.begin(tx, asked))  # type: ignore[misc]
        last = asked_in("last")
        assert not answering.may_begin(last, clock.now())
        clock.jump(-7200.0)
        assert answering.may_begin(last, clock.now())
