"""What waits for its predecessor is kept once for its case, however many numbers and packets it has (C15)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from sqlite_utils import Database

from exchanged.ledger import Ledger, arrivals, awaited, cases
from exchanged.ledger.awaited import FOR_PREDECESSOR, Awaited, about_case
from exchanged.ledger.schema import migrations
from exchanged.states import ArrivalState, Event
from packet_spec.catalogue import ANY
from packet_spec.identity import PacketKey
from packet_spec.model import CaseNumber
from tests.support.books import Books, packet_id
from tests.support.clock import FakeClock
from tests.support.documents import COURT, POLICE

REPORT, TRANSFER = "case.report", "prosecution.transfer"
NUMBERS = tuple(CaseNumber("police", f"A{each}") for each in range(6))
ONE, TWO, OTHER = NUMBERS[:2], NUMBERS[2:4], NUMBERS[4:]


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    with Books(tmp_path) as opened:
        yield opened


def wait(
    books: Books, number: int, names: tuple[CaseNumber, ...], *types: str, found: tuple[str, ...] = ()
) -> int:
    """A packet of COURT that came before one of ``types`` in what ``names`` name, as it is admitted."""
    row = books.arrival(PacketKey(COURT, packet_id(900 + number)), Event.HOLD, reason=FOR_PREDECESSOR)
    held = arrivals.find(books.ledger.read(), row)
    assert held is not None
    unknown = cases.unknown_of(books.ledger.read(), names)
    known = (*cases.cases_of(books.ledger.read(), names), *found)
    books.write(lambda tx: awaited.note(tx, held, Awaited(about_case(known, unknown), types)))
    return row


def admit(
    books: Books,
    number: int,
    case: str,
    numbers: tuple[CaseNumber, ...],
    business_type: str,
    joined: tuple[str, ...] = (),
) -> None:
    record = partial(cases.record, case_id=case, joined=joined, numbers=numbers, parties=(POLICE,))
    books.write(partial(record, business_type=business_type, key=PacketKey(POLICE, packet_id(number))))


def wake(books: Books, limit: int = 100) -> int:
    """As the judge goes on, in steps of its own."""
    found = books.ledger.write(lambda tx: cases.wake(tx, limit))
    assert isinstance(found, int)
    return found


def kept(books: Books) -> list[tuple[str, str, int]]:
    return [tuple(row) for row in books.ledger.read().execute("SELECT * FROM awaited ORDER BY 3, 1, 2")]


def is_woken(books: Books, row: int) -> bool:
    found = arrivals.find(books.ledger.read(), row)
    assert found is not None
    return found.state is ArrivalState.LANDED


def test_what_waits_in_a_known_case_is_kept_once_however_many_numbers_name_it(books: Books) -> None:
    admit(books, 1, "case", ONE, TRANSFER)
    row = wait(books, 1, ONE, REPORT)
    assert kept(books) == [("case:case", REPORT, row)]
    for each in range(2, 5):
        admit(books, each, "case", NUMBERS[: each + 1], TRANSFER)
        assert kept(books) == [("case:case", REPORT, row)]
    admit(books, 9, "case", ONE, REPORT)
    assert is_woken(books, row)


def test_packets_of_a_case_copy_nothing_of_what_waits_in_it(books: Books) -> None:
    admit(books, 1, "case", ONE, TRANSFER)
    for each in range(40):
        wait(books, each, NUMBERS, REPORT)
    # The numbers that were not known come to name the case: that much moves, once.
    admit(books, 2, "case", NUMBERS, TRANSFER)
    while wake(books):
        pass
    before = books.ledger._connection.total_changes
    admit(books, 3, "case", NUMBERS, TRANSFER)
    assert books.ledger._connection.total_changes - before < 10
    assert {about for about, _, _ in kept(books)} == {"case:case"}


def test_what_waits_goes_with_its_case_into_another(books: Books) -> None:
    admit(books, 1, "one", ONE, TRANSFER)
    for each in (2, 3):
        admit(books, each, "two", TWO, TRANSFER)
    row = wait(books, 1, ONE, REPORT)
    admit(books, 4, "one", ONE, TRANSFER, ("two",))
    assert kept(books) == [("case:two", REPORT, row)]
    admit(books, 5, "two", TWO, REPORT)
    assert is_woken(books, row)


def test_a_join_wakes_what_waits_for_a_packet_of_the_other_case(books: Books) -> None:
    admit(books, 1, "one", ONE, TRANSFER)
    admit(books, 2, "two", TWO, REPORT)
    row, other = wait(books, 1, ONE, REPORT), wait(books, 2, ONE, "trial.indict")
    admit(books, 3, "two", TWO, TRANSFER, ("one",))
    assert is_woken(books, row)
    assert not is_woken(books, other)


def test_what_is_woken_is_not_looked_at_again_while_it_waits_to_be_judged(books: Books) -> None:
    """Thousands may be woken at once, and each of them be admitted in the very case."""
    rows = [wait(books, each, ONE, ANY) for each in range(3)]
    admit(books, 1, "case", ONE, TRANSFER)
    assert [is_woken(books, row) for row in rows] == [True] * 3
    assert kept(books) == []


def test_a_number_that_comes_to_name_one_case_more_wakes_what_waits_in_the_first(books: Books) -> None:
    """After a restore cases are joined by nobody, and a number may be of two."""
    admit(books, 1, "one", ONE, TRANSFER)
    row = wait(books, 1, ONE, REPORT)
    admit(books, 2, "other", OTHER, TRANSFER)
    admit(books, 3, "other", (*OTHER, ONE[0]), TRANSFER)
    assert kept(books) == [("case:one", REPORT, row), ("case:other", REPORT, row)]
    admit(books, 4, "other", OTHER, REPORT)
    assert is_woken(books, row)


def test_waiting_for_a_case_is_found_by_its_key(books: Books) -> None:
    wait(books, 1, ONE, REPORT)
    seen: list[str] = []
    books.ledger._connection.set_trace_callback(seen.append)
    admit(books, 1, "case", ONE, TRANSFER)
    admit(books, 2, "case", ONE, REPORT)
    books.ledger._connection.set_trace_callback(None)
    asked = [each for each in seen if "FROM awaited" in each and not each.startswith("DELETE")]
    plans = [
        row["detail"]
        for statement in asked
        for row in books.ledger.read().execute("EXPLAIN QUERY PLAN " + statement)
    ]
    for key in ("(about=? AND type=?)", "(about=? AND (type,arrival)>(?,?))"):
        assert f"SEARCH awaited USING PRIMARY KEY {key}" in plans
    assert [plan for plan in plans if "SCAN awaited" in plan or "TEMP B-TREE" in plan] == []


def test_nobody_asks_for_the_types_of_a_case_in_which_nothing_waits(books: Books) -> None:
    admit(books, 1, "case", ONE, TRANSFER)
    seen: list[str] = []
    books.ledger._connection.set_trace_callback(seen.append)
    admit(books, 2, "case", ONE, TRANSFER)
    books.ledger._connection.set_trace_callback(None)
    assert [each for each in seen if each.startswith("WITH RECURSIVE")] == []


# --- more than a step takes -----------------------------------------------------------------------------


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awaited, "_AT_ONCE", 2)


def marks(books: Books) -> list[tuple[str, str]]:
    rows = books.ledger.read().execute("SELECT about, case_id FROM waking ORDER BY id")
    return [tuple(row) for row in rows]


@pytest.mark.usefixtures("few_at_once")
def test_what_is_more_than_a_few_is_woken_group_by_group(books: Books) -> None:
    waiting = [wait(books, each, ONE, REPORT) for each in range(7)]
    others = [wait(books, 10 + each, ONE, "trial.indict") for each in range(3)]
    admit(books, 1, "case", ONE, REPORT)
    assert len([row for row in waiting if is_woken(books, row)]) == 2
    seen = []
    while found := wake(books, 3):
        seen.append(found)
    # Each waits for two numbers: who is woken by the first is gone from the second.
    assert (max(seen), marks(books)) == (3, [])
    assert [is_woken(books, row) for row in (*waiting, *others)] == [True] * 7 + [False] * 3
    assert kept(books) == [("case:case", "trial.indict", row) for row in others]


@pytest.mark.usefixtures("few_at_once")
def test_what_was_not_gone_through_yet_misses_nothing_that_comes_meanwhile(books: Books) -> None:
    waiting = [wait(books, each, ONE, REPORT) for each in range(5)]
    admit(books, 1, "case", ONE, TRANSFER)
    assert len({row for about, _, row in kept(books) if about.startswith("number:")}) > 0
    admit(books, 2, "case", OTHER, REPORT)
    while wake(books, 2):
        pass
    assert [is_woken(books, row) for row in waiting] == [True] * 5
    assert kept(books) == []


@pytest.mark.usefixtures("few_at_once")
def test_what_was_not_gone_through_yet_goes_with_its_case_into_another(books: Books) -> None:
    for each in (1, 2, 3):
        admit(books, each, "two", TWO, TRANSFER)
    waiting = [wait(books, each, ONE, REPORT) for each in range(5)]
    admit(books, 4, "one", ONE, TRANSFER)
    assert marks(books)
    admit(books, 5, "two", TWO, TRANSFER, ("one",))
    assert {case for _, case in marks(books)} == {"two"}
    while wake(books, 2):
        pass
    assert kept(books) == [("case:two", REPORT, row) for row in waiting]
    admit(books, 6, "two", TWO, REPORT)
    while wake(books, 2):
        pass
    assert [is_woken(books, row) for row in waiting] == [True] * 5


@pytest.mark.usefixtures("few_at_once")
def test_what_waits_in_one_case_more_is_gone_through_once(books: Books) -> None:
    admit(books, 1, "one", ONE, TRANSFER)
    waiting = [wait(books, each, ONE, REPORT) for each in range(5)]
    admit(books, 2, "other", (*OTHER, ONE[0]), TRANSFER)
    while wake(books, 2):
        pass
    assert kept(books) == [(about, REPORT, row) for row in waiting for about in ("case:one", "case:other")]


def test_0021_waking_keeps_who_waits(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrations.apply(Database(connection), stop_before="0021-waking")
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("INSERT INTO awaited VALUES ('case:one', ?, 3)", (REPORT,))
    with closing(Ledger(path, FakeClock(), on_wake=lambda _: None, threaded=False)) as ledger:
        found = ledger.read().execute("SELECT * FROM awaited").fetchall()
        assert [tuple(row) for row in found] == [("case:one", REPORT, 3)]
        assert ledger.write(lambda tx: cases.wake(tx, 5)) == 0
