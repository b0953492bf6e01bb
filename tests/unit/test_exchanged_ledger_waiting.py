"""What waits on a link as it was read before: nobody else's row is written by it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlite_utils import Database

from exchanged.errors import StaleStateError
from exchanged.ledger import Ledger, batches, waiting
from exchanged.ledger.rows import OutgoingRow
from exchanged.ledger.schema import migrations
from packet_spec.model import ItemKind
from tests.support.clock import FakeClock

COURT, POLICE = "court", "police"


def open_ledger(path: Path) -> Ledger:
    return Ledger(path / "ledger.sqlite3", FakeClock(), on_wake=lambda _: None, threaded=False)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(tmp_path)
    yield opened
    opened.close()


def queue(ledger: Ledger, link: str, reference: int) -> OutgoingRow:
    ledger.write(lambda tx: batches.enqueue(tx, link, ItemKind.RECEIPT, reference))
    return next(row for row in batches.due(ledger.read(), link, 100) if row.reference == reference)


def commit(ledger: Ledger, link: str, *rows: OutgoingRow) -> int:
    return ledger.write(lambda tx: batches.commit_batch(tx, link, 1, "n", b"w", b"s", 1, rows, ()))


def test_the_number_of_a_row_that_is_gone_is_never_given_to_another(ledger: Ledger) -> None:
    first = queue(ledger, COURT, 1)
    assert ledger.write(lambda tx: batches.withdraw(tx, COURT, ItemKind.RECEIPT, 1))
    assert queue(ledger, POLICE, 2).id > first.id


def test_a_row_that_was_queued_anew_is_not_taken_back_by_an_old_look(ledger: Ledger) -> None:
    """The same item under another row: a higher attempt of a packet, for instance."""
    old = queue(ledger, COURT, 1)
    assert ledger.write(lambda tx: batches.withdraw(tx, COURT, ItemKind.RECEIPT, 1))
    new = queue(ledger, COURT, 1)
    assert not ledger.write(lambda tx: waiting.withdraw(tx, COURT, old))
    assert batches.due(ledger.read(), COURT, 9) == (new,)
    assert ledger.write(lambda tx: waiting.withdraw(tx, COURT, new))


@pytest.mark.parametrize("other", [{"reference": 2}, {"kind": ItemKind.PACKET}, {"id": 77}])
def test_a_batch_takes_only_the_row_that_was_read(ledger: Ledger, other: dict[str, object]) -> None:
    row = queue(ledger, COURT, 1)
    read = replace(row, **other)  # type: ignore[arg-type]
    for link, as_read in ((COURT, read), (POLICE, row)):
        assert not waiting.still_due(ledger.read(), link, as_read)
        with pytest.raises(StaleStateError):
            commit(ledger, link, as_read)
    assert batches.due(ledger.read(), COURT, 9) == (row,)
    batch = commit(ledger, COURT, row)
    assert not waiting.still_due(ledger.read(), COURT, row)
    assert batches.still_carried(ledger.read(), batch) == ((ItemKind.RECEIPT, 1),)


def test_0016_outgoing_keeps_every_row_and_its_turn_and_learns_its_case(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    rows = [
        (3, COURT, "packet", 30, 0, "2026-01-01", None, 1, 0, "a!", 0.125),
        (4, COURT, "receipt", 5, 1, "2026-01-02", 7, 0, 0, "a", 1.0),
        (9, POLICE, "packet", 30, 1, "2026-01-03", None, 0, 1, "b", 2.5),
    ]
    columns = "id, link, kind, reference, priority, queued_at, batch, held, again, flow, turn"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrations.apply(Database(connection), stop_before="0016-outgoing")
        connection.execute(
            "INSERT INTO batch_out (id, link, number, name, waybill, signature, size, state, created_at)"
            " VALUES (7, ?, 1, 'n', x'', x'', 1, 'committed', '2026-01-02')",
            (COURT,),
        )
        connection.execute(
            "INSERT INTO packet (id, sender, packet_id, attempt, state, since, business_type, sender_ref,"
            " receiver, copies, priority, sealed_at, landed_at, incarnation, sequence, content_digest,"
            " seal_digest, in_reply_to, supersedes, case_key, came_by, own, start, length)"
            " VALUES (30, 'S', 'p', 1, 'active', '', 't', 'r', 'R', '[]', 'normal', '', '', '5', 1, '', '',"
            " '', '', 'police:A 1', '', 1, 0, 0)"
        )
        marks = ", ".join("?" * 11)
        connection.executemany(f"INSERT INTO outgoing ({columns}) VALUES ({marks})", rows)  # noqa: S608
    with closing(open_ledger(tmp_path)) as ledger:
        every = ledger.read().execute(f"SELECT {columns} FROM outgoing ORDER BY id")  # noqa: S608
        assert [tuple(row) for row in every] == rows
        streams = ledger.read().execute("SELECT stream FROM outgoing ORDER BY id")
        assert [row["stream"] for row in streams] == ["S R police:A 1", "", "S R police:A 1"]
        assert ledger.read().execute("PRAGMA foreign_key_check").fetchall() == []
        assert ledger.write(lambda tx: batches.withdraw(tx, POLICE, ItemKind.PACKET, 30))
        assert queue(ledger, COURT, 6).id == 10
