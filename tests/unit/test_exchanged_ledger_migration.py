"""A ledger of the first version, with rows in it, is brought to the newest form without losing an answer."""

from __future__ import annotations

import socket
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
from sqlite_utils import Database

from exchanged.errors import LedgerAheadError, LedgerBehindError, LedgerDamagedError
from exchanged.ledger import (
    Ledger,
    open_read_only,
    packets,
    questions_list,
    questions_queue,
    require_newest_form,
)
from exchanged.ledger.cases import cases_of, record
from exchanged.ledger.questions_find import find
from exchanged.ledger.questions_list import PacketFilter
from exchanged.ledger.schema import migrations
from exchanged.ledger.verify import examine_ledger
from exchanged.places import DAMAGE_FILE
from exchanged.recovering import recover
from exchanged.states import Event
from packet_spec.identity import PacketKey
from packet_spec.model import CaseNumber
from tests.support.asking import make_node, operator
from tests.support.books import Books, packet_id, take_a_step_of_tomorrow
from tests.support.clock import FakeClock
from tests.support.documents import COURT, NOW, PROCURATORATE

_NEW = "0003-answers"
_CASE_NUMBERS = "0007-case-numbers"


def write_rows(data: Path) -> None:
    with Books(data) as books:
        first = books.packet(1, PROCURATORATE, COURT, sender_ref="（2026）移1号")
        books.move(first, Event.OFFER, Event.ACKNOWLEDGE)
        books.packet(2, COURT, sender_ref="R-2")
        books.arrival(PacketKey(COURT, packet_id(8)), Event.HOLD, reason="unknown-key")
        books.drop("案件.zip", Event.LISTED_PART_MISSING, missing=("a.pdf",))
        change = "UPDATE packet SET case_key = ? WHERE sender_ref = ?"
        books.write(lambda tx: tx.execute(change, "police:A（2026）7", "R-2"))


def as_first_version(data: Path, step: str = _NEW) -> None:
    """The same rows in a ledger that has not taken that step: as the program before it left it."""
    new, old = data / "ledger.sqlite3", data / "old.sqlite3"
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        migrations.apply(Database(connection), stop_before=step)
        connection.execute("ATTACH ? AS new", (str(new),))
        tables = [
            row[0]
            for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            if not row[0].startswith(("sqlite_", "_sqlite"))
        ]
        for table in tables:
            known = connection.execute(f'PRAGMA table_info("{table}")').fetchall()
            columns = ", ".join(row[1] for row in known)
            copy = f'INSERT INTO "{table}" ({columns}) SELECT {columns} FROM new."{table}"'  # noqa: S608
            connection.execute(copy)
    old.replace(new)


def form(path: Path) -> list[tuple[str, str, str]]:
    with closing(open_read_only(path)) as connection:
        rows = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name").fetchall()
    return [(row["type"], row["name"], row["sql"] or "") for row in rows]


def answers(path: Path) -> list[object]:
    with closing(open_read_only(path)) as connection:
        found = [find(connection, text) for text in ("(2026)移1号", "r-2", "案件", packet_id(8)[:8])]
        return [
            found,
            questions_queue.summary(connection, NOW),
            questions_queue.waiting(connection, questions_queue.QueueFilter()),
            questions_list.list_packets(connection, PacketFilter(recipient=COURT)),
        ]


def test_rows_of_the_first_version_answer_as_if_written_by_this_one(tmp_path: Path) -> None:
    write_rows(tmp_path)
    path = tmp_path / "ledger.sqlite3"
    wanted_form, wanted = form(path), answers(path)
    as_first_version(tmp_path)
    with closing(open_read_only(path)) as connection, pytest.raises(LedgerBehindError, match="older version"):
        require_newest_form(connection)
    for _ in range(2):
        Ledger(path, FakeClock(), on_wake=lambda _names: None, threaded=False).close()
    assert form(path) == wanted_form
    assert answers(path) == wanted
    with closing(open_read_only(path)) as connection:
        require_newest_form(connection)
        # The first case number is all that the first version kept of a packet.
        (found,) = find(connection, "a(2026)7")
        assert found.packet is not None
        assert found.packet.packet.sender_ref == "R-2"
        assert examine_ledger(connection, tmp_path).is_sound


def test_an_operator_is_told_to_restart_the_daemon(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_node(tmp_path)
    write_rows(tmp_path / "data")
    as_first_version(tmp_path / "data")
    desk = operator(config, capsys)
    assert desk.json("packet", "list", code=3)["error"]["reference"] == "ledger-behind"
    assert "restart the daemon" in desk.errors
    # Whether it is whole can be asked of any form: before a step is the time to know.
    assert desk.json("ledger", "verify")["sound"] is True


def test_numbers_written_in_two_ways_find_both_of_their_cases_and_join_none(tmp_path: Path) -> None:
    """C17: the step adds ways to find a case; it never decides that two cases are one."""
    path = tmp_path / "ledger.sqlite3"
    rows = [
        ("court", "（2022）甘0102刑初123号", "one"),
        ("court", "(2022)甘0102刑初123号", "two"),
        ("police", "Ａ6201990000002026070001", "one"),
    ]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrations.apply(Database(connection), stop_before=_CASE_NUMBERS)
        connection.executemany("INSERT INTO case_number VALUES (?, ?, ?)", rows)
    ledger = Ledger(path, FakeClock(), on_wake=lambda _names: None, threaded=False)
    with closing(ledger):
        for number in ("〔２０２２〕甘0102刑初123号", "（2022）甘0102刑初123号", "[2022]甘0102刑初123号"):
            assert cases_of(ledger.read(), [CaseNumber("court", number)]) == ("one", "two")
        assert cases_of(ledger.read(), [CaseNumber("police", "a6201990000002026070001")]) == ("one",)
        written = ledger.read().execute("SELECT value FROM case_number ORDER BY kind, case_id").fetchall()
        assert [row["value"] for row in written] == [value for _, value, _ in rows]
        key = PacketKey(COURT, packet_id(1))
        ledger.write(lambda tx: record(tx, "one", ("two",), (), (COURT,), "trial.judgment", key))
        assert cases_of(ledger.read(), [CaseNumber("court", "(2022)甘0102刑初123号")]) == ("one",)


def test_open_packets_of_a_case_stay_in_order_whatever_its_brackets(tmp_path: Path) -> None:
    with Books(tmp_path) as books:
        books.packet(1, COURT, sender_ref="R-1")
        change = "UPDATE packet SET case_key = ? WHERE sender_ref = ?"
        books.write(lambda tx: tx.execute(change, "court:(2022)甘0102刑初123号", "R-1"))
    as_first_version(tmp_path)
    path = tmp_path / "ledger.sqlite3"
    Ledger(path, FakeClock(), on_wake=lambda _names: None, threaded=False).close()
    with closing(open_read_only(path)) as connection:
        (row,) = connection.execute("SELECT case_key FROM packet").fetchall()
    assert row["case_key"] == "court:（2022）甘0102刑初123号"


def test_a_ledger_of_a_newer_program_is_refused_and_left_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Downgrade: an older program would not know what the newer one wrote."""
    config = make_node(tmp_path)
    write_rows(tmp_path / "data")
    path = tmp_path / "data" / "ledger.sqlite3"
    take_a_step_of_tomorrow(path)
    with closing(open_read_only(path)) as connection:
        before = tuple(connection.execute("SELECT count(*) FROM event").fetchone())
    with pytest.raises(LedgerAheadError, match="newer version") as caught:
        Ledger(path, FakeClock(), on_wake=lambda _names: None, threaded=False)
    assert "9999-of-tomorrow" in str(caught.value)
    desk = operator(config, capsys)
    # Whether it is sound is for the newer program to say: neither that nor its contrary is said here.
    for command in (("packet", "list"), ("ledger", "verify")):
        assert desk.json(*command, code=2)["error"]["reference"] == "ledger-ahead"
        assert "backup from before the update" in desk.errors
        assert desk.text(*command, code=2) == ""
        assert "damaged" not in desk.errors
    with closing(open_read_only(path)) as connection:
        assert tuple(connection.execute("SELECT count(*) FROM event").fetchone()) == before


def test_the_numbers_of_seals_that_are_kept_are_known_after_the_step(tmp_path: Path) -> None:
    """C15: of every packet whose seal was here, and of no other."""
    path = tmp_path / "ledger.sqlite3"
    with Books(tmp_path) as books:
        key, _told_of = books.packet(1), books.packet(2)
        packet = packets.find(books.ledger.read(), key)
        assert packet is not None
        books.write(lambda tx: tx.execute("INSERT INTO seal VALUES (?, x'', x'')", packet.seal_digest))
    as_first_version(tmp_path, "0025-seal-numbers")
    Ledger(path, FakeClock(), on_wake=lambda _names: None, threaded=False).close()
    with closing(open_read_only(path)) as connection:
        found = connection.execute("SELECT sender, incarnation, sequence, seal FROM seal_number").fetchall()
    assert [tuple(each) for each in found] == [
        (key.sender, packet.incarnation, packet.sequence, packet.seal_digest)
    ]


def test_after_a_damaged_volume_a_ledger_of_a_newer_program_keeps_the_node_down(tmp_path: Path) -> None:
    write_rows(tmp_path)
    take_a_step_of_tomorrow(tmp_path / "ledger.sqlite3")
    (tmp_path / DAMAGE_FILE).touch()
    with pytest.raises(LedgerAheadError, match="newer version"):
        recover(tmp_path)
    assert (tmp_path / DAMAGE_FILE).exists()


@pytest.mark.parametrize(
    "change",
    [
        # A byte of a name changed: the ledger lacks one of our steps, as that of no newer program does.
        "UPDATE _sqlite_migrations SET name = '0023-givem' WHERE name = '0023-given'",
        "ALTER TABLE _sqlite_migrations RENAME COLUMN name TO namf",
    ],
)
def test_a_damaged_list_of_steps_is_no_newer_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    config = make_node(tmp_path)
    write_rows(tmp_path / "data")
    with closing(sqlite3.connect(tmp_path / "data" / "ledger.sqlite3", isolation_level=None)) as connection:
        connection.execute(change)
    assert operator(config, capsys).json("ledger", "verify", code=6)["sound"] is False
    with pytest.raises(LedgerDamagedError):
        recover(tmp_path / "data")


@pytest.mark.parametrize(("step_seconds", "least", "most"), [(0.0, 1, 1), (2.0, 2, 10)])
def test_a_service_manager_gives_more_time_while_a_step_gets_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step_seconds: float, least: int, most: int
) -> None:
    class Passing(FakeClock):
        def monotonic(self) -> float:
            self.advance(step_seconds)
            return super().monotonic()

    monkeypatch.chdir(tmp_path)
    data = tmp_path / "node"
    data.mkdir()
    write_rows(data)
    as_first_version(data)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as manager:
        manager.bind("notify")
        monkeypatch.setenv("NOTIFY_SOCKET", "/proc/self/cwd/notify")
        for _ in range(2):
            # The second opening finds nothing to do.
            Ledger(data / "ledger.sqlite3", Passing(), on_wake=lambda _names: None, threaded=False).close()
        told = []
        with suppress(BlockingIOError):
            while True:
                told.append(manager.recv(100))
    assert set(told) == {b"EXTEND_TIMEOUT_USEC=600000000"}
    assert least <= len(told) <= most
