from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from exchanged.errors import IllegalTransitionError, LedgerDamagedError, NotFoundError, StaleStateError
from exchanged.ledger import Ledger, drops
from exchanged.ledger.drops import DropIdentity, DropRow, Original, Outcome
from exchanged.states import DropState, Event
from packet_spec.sentences import make_finding
from tests.support.clock import FakeClock

IDENTITY = DropIdentity(b"A", 5, (1 << 64) - 1, 1 << 70, 1 << 64, "ab" * 32)
FINDING = make_finding("attachment-unlisted", found="\udcff.pdf")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.db", FakeClock(), on_wake=lambda _: None, threaded=False)
    yield ledger
    ledger.close()


def register(ledger: Ledger, name: bytes = b"A", base: str = "A") -> DropRow:
    return ledger.write(lambda tx: drops.register(tx, replace(IDENTITY, name=name), base))


def move(ledger: Ledger, row: DropRow, event: Event, outcome: Outcome = Outcome()) -> DropRow:  # noqa: B008
    ledger.write(lambda tx: drops.move(tx, row, event, outcome))
    return drops.get(ledger.read(), row.id)


def kinds(ledger: Ledger) -> list[str]:
    return [row["kind"] for row in ledger.read().execute("SELECT kind FROM event ORDER BY id")]


def test_numbers_of_any_file_system_are_kept(ledger: Ledger) -> None:
    row = register(ledger)
    assert (row.name, row.state, row.fingerprint) == (b"A", DropState.SEEN, "ab" * 32)
    assert drops.live(ledger.read()) == {b"A": row}


def test_a_name_belongs_to_one_live_drop(ledger: Ledger) -> None:
    first = register(ledger)
    with pytest.raises(LedgerDamagedError):
        register(ledger)
    ledger.write(lambda tx: drops.set_original(tx, first.id, Original.SENT))
    assert register(ledger).id != first.id


def test_a_move_keeps_what_it_is_told(ledger: Ledger) -> None:
    row = register(ledger)
    held = move(ledger, row, Event.HOLD, Outcome(reason="no-space", sender_ref="R-1"))
    assert (held.state, held.reason, held.sender_ref) == (DropState.HELD, "no-space", "R-1")
    waiting = move(ledger, held, Event.LISTED_PART_MISSING, Outcome(missing=("案.pdf",)))
    assert (waiting.missing, waiting.reason, waiting.sender_ref) == (("案.pdf",), "", "R-1")
    refused = move(ledger, waiting, Event.REFUSE, Outcome(findings=(FINDING,)))
    assert (refused.findings, refused.missing) == ((FINDING,), ())
    assert kinds(ledger) == ["drop-seen", "drop-held", "drop-incomplete", "drop-refused"]


def test_only_a_change_is_an_event(ledger: Ledger) -> None:
    row = register(ledger)
    for missing in (("a", "b"), ("b",)):
        row = move(ledger, row, Event.LISTED_PART_MISSING, Outcome(missing=missing))
    for reason in ("no-space", "no-space", "poison"):
        row = move(ledger, row, Event.HOLD, Outcome(reason=reason))
    assert kinds(ledger) == ["drop-seen", "drop-incomplete", "drop-held", "drop-held"]


def test_states_move_along_the_table_only_and_nobody_is_overtaken(ledger: Ledger) -> None:
    row = register(ledger)
    refused = move(ledger, row, Event.REFUSE)
    with pytest.raises(IllegalTransitionError):
        move(ledger, refused, Event.TAKE)
    with pytest.raises(StaleStateError):
        move(ledger, row, Event.HOLD)


def test_attempts_and_crashes_are_counted_and_forgiven(ledger: Ledger) -> None:
    row = register(ledger)
    ledger.write(lambda tx: drops.begin_work(tx, row.id, alone=True))
    assert (drops.get(ledger.read(), row.id).tries, drops.get(ledger.read(), row.id).in_work) == (1, 2)
    assert ledger.write(lambda tx: drops.count_crash(tx, row)) == 1
    crashed = move(ledger, drops.get(ledger.read(), row.id), Event.HOLD, Outcome(reason="poison"))
    assert (crashed.crashes, crashed.in_work) == (1, 0)
    ledger.write(lambda tx: drops.release(tx, row.id))
    released = drops.get(ledger.read(), row.id)
    assert (released.crashes, released.tries, released.reason) == (0, 0, "")
    ledger.write(lambda tx: drops.begin_work(tx, row.id, alone=False))
    ledger.write(lambda tx: drops.see_again(tx, row, replace(IDENTITY, fingerprint="cd" * 32)))
    seen = drops.get(ledger.read(), row.id)
    assert (seen.tries, seen.fingerprint) == (0, "cd" * 32)
    ledger.write(lambda tx: drops.end_work(tx, [row.id]))
    assert drops.get(ledger.read(), row.id).in_work == 0


def test_status_names_are_marked_while_an_earlier_one_may_change(ledger: Ledger) -> None:
    names = []
    rows = [register(ledger, name, "A") for name in (b"1", b"2", b"3")]
    names = [row.status_name for row in rows]
    assert names == ["A", "A~2", "A~3"]
    ledger.write(lambda tx: drops.set_original(tx, rows[1].id, Original.GONE))
    assert register(ledger, b"4", "A").status_name == "A~2"
    assert drops.owner_of_status(ledger.read(), "A~2") == 4
    assert drops.owner_of_status(ledger.read(), "B") is None


def test_the_tenth_of_one_name_costs_no_more(ledger: Ledger) -> None:
    rows = [register(ledger, str(number).encode(), "A") for number in range(12)]
    assert [row.status_name for row in rows[8:]] == ["A~9", "A~10", "A~11", "A~12"]


def test_a_drop_that_is_not_there(ledger: Ledger) -> None:
    with pytest.raises(NotFoundError):
        drops.get(ledger.read(), 17)
    assert drops.of_packet(ledger.read(), 17) is None
