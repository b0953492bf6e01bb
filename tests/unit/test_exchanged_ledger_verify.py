"""Verifying a ledger: what was changed behind its back is named, and what is sound is never blamed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from exchanged.errors import LedgerDamagedError, VolumeDamagedError
from exchanged.ledger import Ledger, open_read_only
from exchanged.ledger.transaction import GENESIS
from exchanged.ledger.verify import Verified, count_events, examine_ledger, verify_ledger
from exchanged.states import Event
from packet_spec.identity import PacketKey
from packet_spec.model import ReceiptKind
from tests.support.books import Books, packet_id
from tests.support.clock import FakeClock
from tests.support.documents import POLICE, PROCURATORATE


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    with Books(tmp_path) as opened:
        key = opened.packet(1)
        opened.move(key, Event.OFFER, Event.ACKNOWLEDGE)
        opened.packet(2)
        opened.move(opened.packet(3), Event.OFFER)
        opened.blob(b"fictional film " * 100)
        yield opened


def examine(books: Books, data_dir: Path | None = None) -> Verified:
    connection = open_read_only(books.path)
    try:
        return examine_ledger(connection, data_dir)
    finally:
        connection.close()


def tamper(books: Books, statement: str, *values: object) -> None:
    """Somebody with the file and a database tool."""
    connection = sqlite3.connect(books.path, isolation_level=None)
    assert connection.execute(statement, values).rowcount == 1
    connection.close()


def problems(verified: Verified) -> list[tuple[str, str]]:
    return [(found.what, found.where) for found in verified.problems]


def test_a_sound_ledger_is_told_with_its_counts_and_head(books: Books) -> None:
    verified = examine(books, books.data_dir)
    (head,) = books.ledger.read().execute("SELECT chain FROM event ORDER BY id DESC LIMIT 1").fetchone()
    assert verified.is_sound
    assert (verified.events, verified.head) == (3, head)
    assert verified.rows == {"packet": 3, "destination": 3, "arrival": 0, "receipt": 0, "hop": 0}
    assert (verified.spool_files, verified.spool_bytes) == (3, 300)
    assert (verified.blob_files, verified.blob_bytes, verified.spares) == (1, 1500, 0)


def test_an_empty_ledger_is_sound(tmp_path: Path) -> None:
    with Books(tmp_path / "new") as books:
        verified = examine(books, books.data_dir)
    assert (verified.is_sound, verified.events, verified.head) == (True, 0, GENESIS)


@pytest.mark.parametrize(
    "change", ["detail = '{}'", "at = '2020'", "kind = 'x'", "recipient = 'x'", "sender = 'x'"]
)
def test_a_changed_event_is_named_and_only_it(books: Books, change: str) -> None:
    tamper(books, f"UPDATE event SET {change} WHERE id = 2")  # noqa: S608 - the change is ours
    assert problems(examine(books)) == [("event-chain-broken", "event 2")]


def test_a_changed_link_is_named_with_the_event_after_it(books: Books) -> None:
    tamper(books, "UPDATE event SET chain = ? WHERE id = 1", "0" * 64)
    assert problems(examine(books)) == [("event-chain-broken", "event 1"), ("event-chain-broken", "event 2")]


def test_a_removed_event_is_named(books: Books) -> None:
    tamper(books, "DELETE FROM event WHERE id = 2")
    assert problems(examine(books)) == [("event-missing", "event 2"), ("event-chain-broken", "event 3")]


def test_an_added_event_is_named(books: Books) -> None:
    tamper(books, "INSERT INTO event VALUES (4, '2026', 'offer', '', '', '', '{}', ?)", "1" * 64)
    assert problems(examine(books)) == [("event-chain-broken", "event 4")]


def test_a_row_without_its_parent_is_named(books: Books) -> None:
    tamper(books, "DELETE FROM packet WHERE id = 2")
    assert ("row-without-parent", "destination") in problems(examine(books))


def test_a_packet_outside_its_spool_file_is_named(books: Books) -> None:
    tamper(books, "UPDATE packet SET start = 50 WHERE id = 2")
    (found,) = examine(books, books.data_dir).problems
    assert found.what == "range-outside-file"
    assert (found.expected, found.found) == ("ends by 100 bytes", "ends at 150")
    assert found.where.startswith("packet 2 in spool/")


def test_spool_files_that_are_gone_or_short_are_named(books: Books) -> None:
    first, second, third = sorted((books.data_dir / "spool").iterdir())
    first.unlink()
    second.write_bytes(bytes(99))
    third.write_bytes(bytes(101))
    verified = examine(books, books.data_dir)
    assert problems(verified) == [
        ("spool-file-missing", f"spool/{first.name}"),
        ("spool-file-size-differs", f"spool/{second.name}"),
    ]
    assert (verified.problems[1].expected, verified.problems[1].found) == ("100 bytes", "99 bytes")
    assert examine(books).is_sound


@pytest.mark.parametrize("size", [1499, 1501])
def test_a_blob_of_another_size_is_named(books: Books, size: int) -> None:
    (blob,) = (books.data_dir / "blobs").iterdir()
    blob.write_bytes(bytes(size))
    assert problems(examine(books, books.data_dir)) == [("blob-size-differs", f"blobs/{blob.name}")]
    blob.unlink()
    assert problems(examine(books, books.data_dir)) == [("blob-missing", f"blobs/{blob.name}")]


def test_spare_files_are_counted_and_no_damage(books: Books) -> None:
    (books.data_dir / "spool" / "spare.group").write_bytes(b"x")
    (books.data_dir / "blobs" / f"{'0' * 64}.1").write_bytes(b"x")
    verified = examine(books, books.data_dir)
    assert (verified.is_sound, verified.spares) == (True, 2)


def test_a_file_that_the_daemon_lets_go_meanwhile_is_no_damage(books: Books) -> None:
    """The sweep takes it off the books, then unlinks: between our two looks at the books."""
    gone = sorted((books.data_dir / "spool").iterdir())[0]

    class Meanwhile(sqlite3.Connection):
        swept = False

        def execute(self, statement: str, *values: object) -> sqlite3.Cursor:
            cursor = super().execute(statement, *values)
            if "FROM blob WHERE state = 'live'" in statement and not Meanwhile.swept:
                Meanwhile.swept = True
                tamper(books, "UPDATE packet SET spool = NULL WHERE id = 1")
                tamper(books, "DELETE FROM spool WHERE name = ?", gone.name)
                gone.unlink()
            return cursor

    connection = sqlite3.connect(books.path, factory=Meanwhile, isolation_level=None)
    connection.row_factory = sqlite3.Row
    verified = examine_ledger(connection, books.data_dir)
    connection.close()
    assert Meanwhile.swept
    assert verified.is_sound


def test_a_page_overwritten_on_disk_is_told_as_damage(books: Books) -> None:
    books.ledger.close()
    with books.path.open("r+b") as file:
        size = books.path.stat().st_size
        file.seek(size // 2 // 4096 * 4096)
        file.write(b"\xff" * 4096 * 4)
    try:
        is_sound = examine(books, books.data_dir).is_sound
    except LedgerDamagedError:
        # Pages without which it cannot even be opened.
        is_sound = False
    assert not is_sound


def test_many_problems_are_cut_and_a_long_chain_is_read_in_pages(books: Books) -> None:
    books.write(lambda tx: [tx.event("noise") for _ in range(20_500)])
    moved: list[int] = []
    connection = open_read_only(books.path)
    assert examine_ledger(connection, moved=moved.append).is_sound
    assert count_events(connection) == sum(moved) == 20_503
    assert len(moved) == 3
    connection.close()
    connection = sqlite3.connect(books.path, isolation_level=None)
    connection.execute("UPDATE event SET kind = 'x' WHERE id > 10")
    connection.close()
    assert len(examine(books).problems) == 100


def test_who_needs_a_sound_ledger_gets_the_first_problem_as_an_error(books: Books) -> None:
    connection = open_read_only(books.path)
    assert verify_ledger(connection).events == 3
    tamper(books, "UPDATE event SET kind = 'x' WHERE id = 2")
    with pytest.raises(LedgerDamagedError) as raised:
        verify_ledger(connection)
    connection.close()
    assert raised.value.where == "event 2"
    assert "event-chain-broken" in raised.value.summary


def test_i12_a_ledger_whose_schema_holds_no_text_any_more_is_told_as_damage(books: Books) -> None:
    """The engine's own words then hold bytes of the file, which are no text either."""
    books.ledger.close()
    data = books.path.read_bytes()
    place = data.index(b"CREATE TABLE")
    books.path.write_bytes(data[:place] + b"\xc5\xff" * 6 + data[place + 12 :])
    with pytest.raises(LedgerDamagedError, match="malformed"):
        open_read_only(books.path)
    with pytest.raises(VolumeDamagedError, match="malformed"):
        Ledger(books.path, FakeClock(), on_wake=lambda _: None, threaded=False)


@pytest.mark.parametrize(
    "column", ["sender", "packet_id", "kind", "recipient", "issued_by", "content_digest", "seal_digest"]
)
def test_i8_a_receipt_that_is_listed_as_what_it_is_not_is_named(books: Books, column: str) -> None:
    books.receipt(_key(books), ReceiptKind.DELIVERED, PROCURATORATE, by=PROCURATORATE)
    assert examine(books).is_sound
    tamper(books, f"UPDATE receipt SET {column} = {column} || 'x'")  # noqa: S608 - our own names
    assert ("receipt-listed-wrongly", "receipt 1") in problems(examine(books))


@pytest.mark.parametrize(
    "change",
    [
        "attempt = attempt + 1",
        "number = number + 1",
        "issued_at = replace(issued_at, '2026', '2126')",
        "recorded_at = replace(recorded_at, '2026', '2126')",
        "own = 1 - own",
    ],
)
def test_i8_a_receipt_that_counts_or_dates_otherwise_is_named(books: Books, change: str) -> None:
    books.receipt(_key(books), ReceiptKind.DELIVERED, PROCURATORATE, by=PROCURATORATE)
    tamper(books, f"UPDATE receipt SET {change}")  # noqa: S608 - our own names
    assert problems(examine(books)) == [("receipt-listed-wrongly", "receipt 1")]


def test_i8_a_receipt_with_other_bytes_is_named(books: Books) -> None:
    books.receipt(_key(books), ReceiptKind.DELIVERED, PROCURATORATE, by=PROCURATORATE)
    tamper(books, "UPDATE receipt SET document = CAST(document || ' ' AS BLOB)")
    assert problems(examine(books)) == [("receipt-differs", "receipt 1")]


@pytest.mark.parametrize(("kind", "column"), [("receipt", "digest"), ("seal", "seal_digest")])
def test_i8_a_log_entry_that_is_listed_under_another_packet_is_named(
    books: Books, kind: str, column: str
) -> None:
    books.receipt(_key(books), ReceiptKind.ACCEPTED)
    (digest,) = books.ledger.read().execute(f"SELECT {column} FROM receipt").fetchone()  # noqa: S608 - ours
    tamper(books, "UPDATE receipt SET own = 1")
    insert = "INSERT INTO log_entry (position, kind, digest, sender, packet_id) VALUES (9, ?, ?, 'x', 'y')"
    tamper(books, insert, kind, digest)
    assert ("log-entry-listed-wrongly", "log entry 9") in problems(examine(books))


def _key(books: Books) -> PacketKey:
    return PacketKey(POLICE, packet_id(1))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("sql = replace(sql, 'agency TEXT', 'agency PEXT') WHERE name = 'case_party'", ["table case_party"]),
        ("name = 'event_Packet' WHERE name = 'event_packet'", ["index event_Packet", "index event_packet"]),
        ("sql = sql || ' ' WHERE name = 'case_party'", []),
    ],
    ids=["a column's type", "an index's name", "only white space"],
)
def test_i8_a_schema_that_reads_otherwise_is_named(books: Books, change: str, named: list[str]) -> None:
    books.ledger.close()
    with closing(sqlite3.connect(books.path)) as connection, connection:
        connection.execute("PRAGMA writable_schema = ON")
        assert connection.execute(f"UPDATE sqlite_master SET {change}").rowcount == 1  # noqa: S608
    assert problems(examine(books)) == [("schema-changed", where) for where in named]


def test_an_index_of_the_library_that_a_kill_left_out_is_no_damage(books: Books) -> None:
    books.ledger.close()
    with closing(sqlite3.connect(books.path)) as connection:
        connection.execute("DROP INDEX idx__sqlite_migrations_migration_set_name")
    assert examine(books).is_sound
