"""The case index: a long case costs a packet no more than a short one, and decides the same."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from sqlite_utils import Database

from exchanged.ledger import Ledger, cases
from exchanged.ledger.schema import migrations
from packet_spec.catalogue import load_catalogue
from packet_spec.identity import PacketKey
from packet_spec.model import CaseNumber
from packet_spec.sequence import check_sequence
from packet_spec.sequence_policy import SequencePolicy
from tests.support.books import packet_id
from tests.support.clock import FakeClock
from tests.support.documents import COURT, POLICE

CATALOGUE = load_catalogue()
TYPES = tuple(CATALOGUE.business_types)
SHORT, LONG = "short", "long"


def open_ledger(path: Path) -> Ledger:
    return Ledger(path / "ledger.sqlite3", FakeClock(), on_wake=lambda _: None, threaded=False)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(open_ledger(tmp_path)) as opened:
        yield opened


def key(number: int) -> PacketKey:
    return PacketKey(POLICE, packet_id(number))


def number(value: object) -> CaseNumber:
    return CaseNumber("police", f"A{value}")


def fill(ledger: Ledger, case: str, packets: range, joined: tuple[str, ...] = ()) -> int:
    """Packets of that case, and how many rows were written."""
    before = ledger._connection.total_changes
    for each in packets:
        record = partial(cases.record, case_id=case, joined=joined, numbers=(number(case),))
        ledger.write(partial(record, parties=(POLICE,), business_type=TYPES[each % 3], key=key(each)))
    return ledger._connection.total_changes - before


def whole_history(ledger: Ledger, case: str) -> tuple[str, ...]:
    rows = ledger.read().execute(
        "SELECT business_type FROM case_history WHERE case_id = ? ORDER BY at, id", (case,)
    )
    return tuple(row["business_type"] for row in rows)


def verdicts(business_type: str, history: tuple[str, ...]) -> list[str]:
    return [
        f"{policy} {finding.code} {finding.expected}"
        for policy in SequencePolicy
        for finding in check_sequence(business_type, history, CATALOGUE, policy)
    ]


def related() -> tuple[str, ...]:
    """Types of which one forbids another, so that their order decides."""
    found = {row.code for row in CATALOGUE.business_types.values() if row.forbidden_after}
    for row in CATALOGUE.business_types.values():
        found |= {*row.forbidden_after, *row.forbidden_unless} & set(TYPES)
    return tuple(sorted(found))


@pytest.mark.parametrize("seed", range(12))
def test_the_types_of_a_case_decide_as_its_whole_history_does(ledger: Ledger, seed: int) -> None:
    """Packets come late, after a restore, and cases are joined in either direction."""
    chance = random.Random(seed)  # noqa: S311 - repeatable
    few = chance.sample(related(), 8)
    known: list[str] = []
    for each in range(60):
        case = chance.choice([*known, f"case-{each}"])
        others = tuple(chance.sample([one for one in known if one != case], 1 if len(known) > 5 else 0))
        at = chance.choice(("", f"2026-01-{chance.randrange(1, 28):02}T00:00:00.000000Z"))
        business_type = chance.choice(few)
        record = partial(
            cases.record,
            case_id=case,
            joined=others,
            numbers=(number(case),),
            parties=(POLICE,),
            business_type=business_type,
            key=key(each),
            at=at,
        )
        ledger.write(record)
        known = [row[0] for row in ledger.read().execute("SELECT DISTINCT case_id FROM case_history")]
    for case in known:
        whole, short = whole_history(ledger, case), cases.history(ledger.read(), case)
        assert sorted(short) == sorted(set(whole))
        for before in known[:3]:
            # Cases that the packet would join are looked at one after the other.
            earlier, earlier_short = whole_history(ledger, before), cases.history(ledger.read(), before)
            for business_type in TYPES:
                found = verdicts(business_type, earlier_short + short)
                assert found == verdicts(business_type, earlier + whole)


@pytest.mark.parametrize("into", [SHORT, LONG])
def test_of_two_cases_that_become_one_the_shorter_moves(ledger: Ledger, into: str) -> None:
    fill(ledger, LONG, range(300))
    fill(ledger, SHORT, range(300, 303))
    other = SHORT if into == LONG else LONG
    assert fill(ledger, into, range(400, 401), (other,)) < 30
    assert cases.cases_of(ledger.read(), (number(SHORT), number(LONG))) == (LONG,)
    assert {cases.case_of_packet(ledger.read(), key(each)) for each in (0, 300, 400)} == {LONG}
    assert cases.is_party(ledger.read(), LONG, POLICE)
    assert not cases.is_party(ledger.read(), SHORT, POLICE)
    assert not cases.is_party(ledger.read(), LONG, COURT)
    (event,) = ledger.read().execute("SELECT detail FROM event WHERE kind = 'case-joined'").fetchall()
    assert json.loads(event["detail"]) == {"case": LONG, "joined": SHORT}


def test_a_long_case_is_asked_for_its_types_at_the_cost_of_a_short_one(ledger: Ledger) -> None:
    fill(ledger, SHORT, range(6))
    fill(ledger, LONG, range(6, 606))
    assert steps_of_history(ledger, LONG) <= steps_of_history(ledger, SHORT) + 10


def steps_of_history(ledger: Ledger, case: str) -> int:
    """Instructions of SQLite: a plan does not tell how much of an index is walked."""
    steps: list[None] = []
    # Once before: the first question of a connection reads the tables' form.
    cases.history(ledger.read(), case)
    ledger.read().set_progress_handler(lambda: steps.append(None), 1)
    assert len(cases.history(ledger.read(), case)) == 3
    ledger.read().set_progress_handler(None, 0)
    return len(steps)


def test_0018_case_types_keeps_every_case(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    rows = [
        (1, "one", TYPES[5], POLICE, packet_id(1), "2026-01-03"),
        (2, "one", TYPES[7], POLICE, packet_id(2), "2026-01-01"),
        (3, "two", TYPES[7], POLICE, packet_id(3), "2026-01-02"),
        (4, "one", TYPES[5], POLICE, packet_id(4), "2026-01-02"),
    ]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrations.apply(Database(connection), stop_before="0018-case-types")
        connection.executemany("INSERT INTO case_history VALUES (?, ?, ?, ?, ?, ?)", rows)
    with closing(open_ledger(tmp_path)) as ledger:
        every = ledger.read().execute("SELECT * FROM case_history ORDER BY id").fetchall()
        assert [tuple(row) for row in every] == rows
        assert cases.history(ledger.read(), "one") == (TYPES[7], TYPES[5])
        assert cases.history(ledger.read(), "two") == (TYPES[7],)
        assert cases.history(ledger.read(), "none") == ()
