"""A ledger that somebody else keeps locked is told as busy: nothing is damaged, and it goes on afterwards."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from cli.exit_codes import ExitCode, exit_code_of
from exchanged.errors import LedgerBusyError
from exchanged.ledger import Ledger, open_read_only, writer
from tests.support.clock import FakeClock


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "LOCK_SECONDS", 0.05)


@contextmanager
def opened(path: Path) -> Iterator[Ledger]:
    with closing(Ledger(path, FakeClock(), on_wake=lambda _: None, threaded=False)) as ledger:
        yield ledger


def test_a_database_tool_in_a_transaction_holds_up_writing_and_damages_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    with opened(path) as ledger, closing(sqlite3.connect(path, isolation_level=None)) as tool:
        tool.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerBusyError) as caught:
            ledger.write(lambda transaction: transaction.event("mark"))
        assert exit_code_of(caught.value) is ExitCode.TEMPORARY
        tool.execute("ROLLBACK")
        ledger.write(lambda transaction: transaction.event("mark"))
        (count,) = ledger.read().execute("SELECT count(*) FROM event WHERE kind = 'mark'").fetchone()
    assert count == 1


def test_who_may_not_even_read_it_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    with opened(path) as ledger:
        ledger.write(lambda transaction: transaction.event("mark"))
    with closing(sqlite3.connect(path, isolation_level=None)) as tool:
        tool.execute("PRAGMA locking_mode = EXCLUSIVE")
        tool.execute("BEGIN EXCLUSIVE")
        tool.execute("UPDATE event SET kind = kind")
        tool.execute("COMMIT")
        with pytest.raises(LedgerBusyError):
            open_read_only(path)
        with pytest.raises(LedgerBusyError), opened(path):
            pass
    open_read_only(path).close()
