"""A part of a transaction counts whole or not at all, and the rest of the transaction goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from exchanged.ledger import Ledger, Transaction
from exchanged.ledger.verify import verify_ledger
from tests.support.clock import FakeClock


@pytest.fixture
def woken() -> list[str]:
    return []


@pytest.fixture
def ledger(tmp_path: Path, woken: list[str]) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger.db", FakeClock(), on_wake=woken.extend, threaded=False)
    yield opened
    opened.close()


def kinds(ledger: Ledger) -> list[str]:
    return [row["kind"] for row in ledger.read().execute("SELECT kind FROM event ORDER BY id")]


def test_what_a_part_wrote_is_undone_when_it_raises(ledger: Ledger, woken: list[str]) -> None:
    def work(transaction: Transaction) -> None:
        transaction.event("before")
        with suppress(ValueError), transaction.part():
            transaction.event("within")
            transaction.remember("value", "within")
            with transaction.part():
                transaction.wake("within")
            raise ValueError("stop")
        transaction.event("after")
        transaction.wake("after")

    ledger.write(work)
    assert kinds(ledger) == ["before", "after"]
    assert verify_ledger(ledger.read()).events == 2
    assert ledger.read().execute("SELECT 1 FROM node WHERE name = 'value'").fetchone() is None
    assert woken == ["after"]


def test_a_part_within_a_part_is_undone_alone(ledger: Ledger) -> None:
    def work(transaction: Transaction) -> None:
        with transaction.part():
            transaction.event("outer")
            with suppress(ValueError), transaction.part():
                transaction.event("inner")
                raise ValueError("stop")

    ledger.write(work)
    assert kinds(ledger) == ["outer"]
