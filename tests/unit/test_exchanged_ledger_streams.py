"""A ledger of before is read as before where what comes back, and what is lacked, was written otherwise."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlite_utils import Database

from exchanged.ledger import Ledger, arrivals, batches, releasing
from exchanged.ledger.schema import migrations
from exchanged.states import ArrivalState, Event
from tests.support.clock import FakeClock

LINK = "police"
_BATCH_IN = (
    "INSERT INTO batch_in (id, link, incarnation, number, name, landed_at) VALUES (1, ?, 'i', 1, 'n', ?)"
)
_ARRIVAL = (
    "INSERT INTO arrival (id, link, batch, kind, sender, packet_id, digest, spool, start, length, state,"
    " since, landed_at, reason)"
    " VALUES (?, ?, 1, 'receipt', 'S', 'p', 'd', 1, 0, 1, 'held', ?, ?, 'unknown-key')"
)
_BATCH_OUT = (
    "INSERT INTO batch_out (id, link, number, name, waybill, signature, size, state, created_at)"
    " VALUES (7, ?, 1, 'n', x'', x'', 1, 'needing', ?)"
)
AT = "2026-01-02T00:00:00.000000Z"


def test_0019_streams_keeps_what_is_held_and_what_is_open(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrations.apply(Database(connection), stop_before="0019-streams")
        connection.execute("INSERT INTO spool VALUES (1, 'a.batch', 10, 2)")
        connection.execute(_BATCH_IN, (LINK, AT))
        for number in (3, 4):
            connection.execute(_ARRIVAL, (number, LINK, AT, AT))
        connection.execute(_BATCH_OUT, (LINK, AT))
    with closing(Ledger(path, FakeClock(), on_wake=lambda _: None, threaded=False)) as ledger:
        held = arrivals.in_state(ledger.read(), ArrivalState.HELD)
        assert [(row.id, row.reason, row.is_quiet) for row in held] == [
            (3, "unknown-key", False),
            (4, "unknown-key", False),
        ]
        assert arrivals.has_many_held(ledger.read(), LINK, "unknown-key", 2)
        assert not arrivals.has_many_held(ledger.read(), LINK, "unknown-key", 3)
        (batch,) = batches.open_batches(ledger.read(), LINK)
        assert batch.told == ""
        # And it comes back as what was held by this program.
        ledger.write(releasing.mark)
        assert ledger.write(lambda tx: releasing.release(tx, 1)) == 1
        assert releasing.is_due(ledger.read(), FakeClock().now())
        (back,) = arrivals.in_state(ledger.read(), ArrivalState.LANDED)
        assert (back.id, back.is_quiet) == (3, True)
        assert not ledger.write(lambda tx: arrivals.keep(tx, back, Event.HOLD, "unknown-key"))
        assert ledger.write(lambda tx: releasing.release(tx, 5)) == 1
        assert not releasing.is_due(ledger.read(), FakeClock().now())
        assert [row.since for row in arrivals.in_state(ledger.read(), ArrivalState.HELD)] == [held[0].since]
        assert ledger.read().execute("PRAGMA foreign_key_check").fetchall() == []
