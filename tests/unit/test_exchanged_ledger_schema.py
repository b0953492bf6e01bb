"""A ledger that an older program wrote is brought to the newest form with everything in it."""

from __future__ import annotations

import os
from pathlib import Path

from sqlite_utils import Database, Migrations

from exchanged.ledger import Ledger, drops, keeping, notices, schema
from exchanged.ledger.keeping import Kind
from tests.support.clock import FakeClock

FIRST = """
INSERT INTO spool VALUES (1, 'a.group', 10, 1);
INSERT INTO packet VALUES (1, '620199-01-00', '0190a5b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b', 1, 'done',
  '2026-01-01T00:00:00.000000Z', 'case.report', 'A-1', '620199-03-00', '[]', 'normal', NULL,
  '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z', '5f3a', 1, 'c', 's', '', '', '', '', 1,
  NULL, 0, 0);
INSERT INTO destination VALUES (1, '620199-03-00', 'delivered', '2026-01-01T00:00:00.000000Z', 'l', '', '');
INSERT INTO "drop" (id, name, status_name, state, since, seen_at, device, inode, size, mtime, fingerprint,
  packet, attempt, original) VALUES (1, x'41', 'A', 'taken', '2026-01-01T00:00:00.000000Z',
  '2026-01-01T00:00:00.000000Z', '1', '2', '3', '4', 'f', 1, 1, 'sent')
"""


def test_0004_notices_finds_what_the_first_form_kept(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    older = Migrations("exchanged-ledger")
    older(name="0001-first")(lambda database: schema._run(database, schema._TABLES))
    database = Database(path)
    older.apply(database)
    for statement in FIRST.split(";"):
        database.execute(statement)
    database.conn.commit()
    database.close()
    clock = FakeClock()
    ledger = Ledger(path, clock, on_wake=lambda names: None, threaded=False)
    connection = ledger.read()
    assert drops.get(connection, 1).status_name == "A"
    ledger.write(lambda tx: keeping.confirm(tx, clock.now()))
    old = keeping.old(connection, clock.now())
    for kind in (Kind.SENT, Kind.STATUS, Kind.RECEIPTS):
        assert [row.id for row in keeping.removable(connection, kind, old, ("", 0), 9)] == [1]
    assert keeping.removable(connection, Kind.REFUSED, old, ("", 0), 9) == ()
    assert notices.open_notices(connection) == ()
    ledger.close()
    Ledger(path, clock, on_wake=lambda names: None, threaded=False).close()


def test_i11_no_row_goes_through_a_folder_for_temporary_files(tmp_path: Path) -> None:
    """A sort of 40 MB spills; the files of our own process that are not there any more would show it."""
    ledger = Ledger(tmp_path / "ledger.sqlite3", FakeClock(), on_wake=lambda names: None, threaded=False)
    sort = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)"
        " SELECT i, hex(zeroblob(50000)) || i AS wide FROM n ORDER BY wide"
    )
    for connection in (ledger.read(), ledger.write(lambda tx: tx.connection)):
        assert connection.execute(sort).fetchone()["i"] == 1
        rows = connection.execute(sort)
        rows.fetchone()
        assert [name for name in map(os.readlink, _descriptors()) if "etilqs" in name] == []
        rows.close()
    ledger.close()


def _descriptors() -> list[str]:
    found = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    return [path for path in found if os.path.islink(path)]
