"""What is held and looked at again costs neither the ledger nor anybody else (I9, C24)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from exchanged import judge
from exchanged.errors import CheckTakesLongError
from exchanged.ledger import arrivals, releasing
from exchanged.ledger.questions import facts
from exchanged.ledger.times import moment
from exchanged.ledger.transaction import Transaction
from exchanged.pool import InlinePool
from exchanged.states import ArrivalState
from packet_spec.errors import ExchangeError, ValidatorError
from packet_spec.hop import sign_hop
from packet_spec.identity import PacketKey, sha256_hex
from packet_spec.model import Directory, HopNote, ItemKind, KeyUse, Receipt, ReceiptKind
from packet_spec.receipt import sign_receipt
from packet_spec.waybill_model import WaybillItem
from tests.support.listing import next_version, node_of, with_node
from tests.support.network import COURT, POLICE
from tests.support.peer import Peer, Sealed
from tests.support.province import Province, node, publish, rows, station

HOUR = 3_600.0
DAY = 24 * HOUR
"""Seconds."""


def invented(number: int) -> PacketKey:
    return PacketKey(COURT, f"01980000-0000-7000-8000-{number:012x}")


def hops(by: Peer, *numbers: int) -> list[tuple[WaybillItem, bytes]]:
    """Notes about invented packets."""
    found = []
    for number in numbers:
        now = by.network.clock.now()
        data = sign_hop(HopNote(by.agency, invented(number), "0" * 64, now, now, ""), by.link_key)
        found.append((WaybillItem(ItemKind.HOP, sha256_hex(data), len(data), invented(number)), data))
    return found


def moves(province: Province) -> list[tuple[str, str]]:
    """The events of arrivals so far: what happened, and the state from which."""
    return rows(
        province,
        "SELECT kind, json_extract(detail, '$.from') FROM event"
        " WHERE kind IN ('hold', 'release', 'quarantine') ORDER BY id",
    )


def pass_time(province: Province, seconds: float, steps: int) -> None:
    for _ in range(steps):
        province.network.clock.advance(seconds / steps)
        for _ in range(3):
            province.network.round()


def dated_ahead(province: Province, days: int, seed: int = 1) -> Sealed:
    at = province.network.clock.now() + timedelta(days=days)
    packet = province.police.seal(province.request(seed=seed), change={"sealed_at": at})
    province.police.send(packet)
    return packet


def without_seal_key(directory: Directory, code: str) -> Directory:
    keys = tuple(key for key in node_of(directory, code).keys if KeyUse.SEAL not in key.uses)
    return with_node(next_version(directory), code, keys=keys)


def put_in(province: Province, directory: Directory) -> None:
    incoming = node(province).opened.trust.incoming
    (incoming / f"directory-{directory.version}.xml").write_bytes(publish(province, directory))


def hold_for_a_key(province: Province, count: int) -> Directory:
    """Packets whose key is not in the directory in force. Returns the one that lists it."""
    directory = node(province).opened.trust.directory
    put_in(province, without_seal_key(directory, POLICE))
    province.run()
    packets = [province.police.seal(province.request(seed=seed)) for seed in range(1, count + 1)]
    province.police.send(*packets)
    province.run()
    return replace(directory, version=directory.version + 2)


def test_c18_what_is_dated_ahead_is_looked_at_again_when_it_may_count(
    province: Province,
) -> None:
    """For good, a receipt of the next century was judged once a minute, with two events each time."""
    packet = dated_ahead(province, days=3)
    province.run()
    (held,) = rows(province, "SELECT state, reason, since, retry_at, tries FROM arrival")
    assert held[:2] == ("held", "dated-ahead")
    assert moment(held[3]) - moment(held[2]) == timedelta(hours=12)
    pass_time(province, 1.9 * DAY, 38)
    now = rows(province, "SELECT state, reason, since FROM arrival")
    assert now == [held[:3]]
    assert rows(province, "SELECT tries FROM arrival")[0][0] <= held[4] + 5
    assert moves(province) == [("hold", "landed")]
    # It waits no longer than it must, and then its history has no gap.
    retry = moment(rows(province, "SELECT retry_at FROM arrival")[0][0])
    assert retry == packet.seal.sealed_at - timedelta(days=1)
    pass_time(province, (retry - province.network.clock.now()).total_seconds(), 1)
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]
    assert moves(province) == [("hold", "landed"), ("release", "held")]


class _Pool(InlinePool):
    """Checks that fail in the same way until they are told not to."""

    def __init__(self, error: ExchangeError) -> None:
        self.error: ExchangeError | None = error
        self.asked = 0

    def run(self, function: object, works: Sequence[object]) -> list[object]:  # type: ignore[override]
        if self.error is None or function.__name__ == "ready":  # type: ignore[attr-defined]
            return super().run(function, works)  # type: ignore[arg-type]
        self.asked += len(works)
        return [self.error for _ in works]


@pytest.mark.parametrize("is_slow", [False, True], ids=["failing", "slow"])
def test_what_no_delay_helps_is_looked_at_less_and_less_and_tells_once(
    province: Province, is_slow: bool
) -> None:
    """A slow check is asked for within the longest delay all the same: then its answer is there."""
    pool = _Pool(CheckTakesLongError("slow") if is_slow else ValidatorError("broken"))
    node(province).close()
    node(province).pool = pool
    node(province).open()
    packet = province.police.seal(province.request())
    province.police.send(packet)
    for _ in range(6):
        province.network.round()
    since = rows(province, "SELECT since, reason FROM arrival")
    judging = station(province, "judge")
    hours = 2 if is_slow else 9
    ends = province.network.clock.now() + timedelta(hours=hours)
    while province.network.clock.now() < ends:
        wait = judging.step()
        province.network.clock.advance(wait if wait else 1)
    assert rows(province, "SELECT since, reason FROM arrival") == since
    assert moves(province) == [("hold", "landed")]
    longest = node(province).config.limits.retry_max_seconds
    assert pool.asked > hours * HOUR / longest if is_slow else 5 < pool.asked < 40
    # It waits no longer than it has waited, nor than an hour.
    pool.error = None
    pass_time(province, HOUR, 2)
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]


def test_what_is_looked_at_again_tells_its_state_and_its_next_look(province: Province) -> None:
    packet = dated_ahead(province, days=900)
    province.run()
    since = province.network.clock.now()
    pass_time(province, 2 * DAY, 8)
    (found,) = facts(node(province).opened.ledger.read(), packet.key).arrivals
    assert (found.state.value, found.reason) == ("held", "dated-ahead")
    assert found.since <= since
    assert found.retry_at is not None
    assert timedelta() < found.retry_at - province.network.clock.now() <= timedelta(hours=12)


def test_c18_what_was_held_by_a_clock_that_is_set_back_is_looked_at_again(province: Province) -> None:
    """A time that it waits for may else be years away."""
    dated_ahead(province, days=900)
    province.run()
    ((tries, until),) = rows(province, "SELECT tries, retry_at FROM arrival")
    province.network.clock.jump(-7200)
    for _ in range(3):
        # Neighbours say that it is right now.
        province.network.clock.advance(60)
        province.police.greet()
        province.run()
    assert rows(province, "SELECT tries FROM arrival") == [(tries + 1,)]
    assert rows(province, "SELECT retry_at FROM arrival")[0][0] < until


def test_c24_a_directory_that_lists_the_key_brings_back_all_group_by_group(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "_GROUP", 2)
    listing = hold_for_a_key(province, 7)
    assert province.arrivals() == [("held", "unknown-key")] * 7
    released: list[int] = []
    release = releasing.release

    def counted(transaction: Transaction, *rest: object) -> int:
        released.append(release(transaction, *rest))  # type: ignore[arg-type]
        return released[-1]

    monkeypatch.setattr(releasing, "release", counted)
    put_in(province, listing)
    province.run()
    assert province.arrivals() == []
    assert len(province.procuratorate.items(ItemKind.PACKET)) == 7
    assert max(released) == 2
    assert sum(released) == 7


@pytest.mark.parametrize("at_start", [True, False], ids=["start", "directory"])
def test_c24_a_crash_between_two_groups_forgets_none(
    province: Province, monkeypatch: pytest.MonkeyPatch, at_start: bool
) -> None:
    monkeypatch.setattr(judge, "_GROUP", 2)
    listing = hold_for_a_key(province, 7)
    if at_start:
        # Nobody was told: a power cut came first.
        node(province).opened.trust.offer(publish(province, listing))
        node(province).die()
        node(province).open()
    else:
        put_in(province, listing)
        station(province, "directory").step()
    for _ in range(3):
        station(province, "judge").step()
    assert 0 < len(province.arrivals()) < 7
    node(province).die()
    node(province).open()
    monkeypatch.setattr(releasing, "mark", lambda _transaction, _reasons=(): None)
    province.run()
    assert province.arrivals() == []
    assert len(province.procuratorate.items(ItemKind.PACKET)) == 7


def test_what_comes_back_in_groups_leaves_every_other_group_to_the_rest(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One agency's pile that is judged again is not everybody's wait."""
    monkeypatch.setattr(judge, "_GROUP", 2)
    hold_for_a_key(province, 8)
    court = Peer(province.network, COURT)
    court.put(court.batch(hops(court, 1, 2)))
    for one in [each for each in node(province).stations if each.name.startswith("link:")]:
        one.step()
    node(province).opened.ledger.write(releasing.mark)
    for _ in range(2):
        station(province, "judge").step()
    assert sorted(set(rows(province, "SELECT kind, state FROM arrival"))) == [("packet", "held")]


def test_a_restart_writes_no_event_for_what_stays_held(province: Province) -> None:
    hold_for_a_key(province, 3)
    before, since = moves(province), rows(province, "SELECT since FROM arrival")
    for _ in range(3):
        node(province).die()
        node(province).open()
        province.run()
    assert province.arrivals() == [("held", "unknown-key")] * 3
    assert (moves(province), rows(province, "SELECT since FROM arrival")) == (before, since)


def test_c24_what_is_held_for_an_unknown_key_has_a_bound_and_the_rest_is_set_aside(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is held up by another's pile, and what was held once stays so."""
    monkeypatch.setattr(judge, "HELD_FOR_A_KEY", 4)
    listing = hold_for_a_key(province, 6)
    kept = [("held", "unknown-key")] * 4
    assert sorted(province.arrivals()) == [*kept, *[("quarantined", judge.TOO_MANY_UNKNOWN)] * 2]
    node(province).die()
    node(province).open()
    province.run()
    assert sorted(province.arrivals())[:4] == kept
    put_in(province, listing)
    province.run()
    assert province.arrivals() == [("quarantined", judge.TOO_MANY_UNKNOWN)] * 2
    assert len(province.procuratorate.items(ItemKind.PACKET)) == 4
    # Nothing is lost: a person lets it be judged anew.
    ledger = node(province).opened.ledger
    for row in arrivals.in_state(ledger.read(), ArrivalState.QUARANTINED):
        ledger.write(lambda transaction, row=row: arrivals.requeue(transaction, row))
    province.run()
    assert len(province.procuratorate.items(ItemKind.PACKET)) == 6


def test_c24_a_neighbour_that_says_it_has_a_newer_directory_lifts_no_bound(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "HELD_FOR_A_KEY", 4)
    monkeypatch.setattr(judge.Judge, "_is_behind", lambda *_: True)
    hold_for_a_key(province, 6)
    kept = [("held", "unknown-key")] * 4
    assert sorted(province.arrivals()) == [*kept, *[("quarantined", judge.TOO_MANY_UNKNOWN)] * 2]


def test_c24_by_the_word_of_a_neighbour_what_looks_forged_is_not_held_without_end(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "HELD_FOR_A_KEY", 4)
    monkeypatch.setattr(judge.Judge, "_is_behind", lambda *_: True)
    court = Peer(province.network, COURT)
    court.send(*(province.police.seal(province.request(seed=seed)) for seed in range(1, 7)))
    province.run()
    forged = [("quarantined", "packet-in-a-foreign-mailbox")] * 2
    assert sorted(province.arrivals()) == [*[("held", "directory-behind")] * 4, *forged]
    pass_time(province, 3600.0, 4)
    assert sorted(province.arrivals()) == [*[("held", "directory-behind")] * 4, *forged]


def test_the_looks_at_what_is_held_read_no_more_than_their_group(province: Province) -> None:
    """Neither all that is held, nor a sort of it, for a few that come back."""
    hold_for_a_key(province, 3)
    ledger = node(province).opened.ledger
    seen: set[str] = set()
    for connection in (ledger._connection, ledger.read()):
        connection.set_trace_callback(seen.add)
    ledger.write(releasing.mark)
    province.run()
    for connection in (ledger._connection, ledger.read()):
        connection.set_trace_callback(None)
    found = {
        str(row[3]): statement
        for statement in seen
        if statement.startswith(("SELECT", "UPDATE")) and "state = 'held'" in statement
        for row in ledger.read().execute("EXPLAIN QUERY PLAN " + statement)
    }
    assert any("arrival_waiting" in step for step in found)
    assert [step for step in found if "TEMP B-TREE" in step or step.startswith("SCAN arrival")] == []


def test_c18_what_is_held_for_a_far_day_has_a_bound_and_the_rest_is_set_aside(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "HELD_FOR_A_KEY", 4)
    for seed in range(1, 7):
        dated_ahead(province, days=3, seed=seed)
    province.run()
    kept = [("held", "dated-ahead")] * 4
    assert sorted(province.arrivals()) == [*kept, *[("quarantined", judge.TOO_MANY_AHEAD)] * 2]
    pass_time(province, 1.5 * DAY, 4)
    assert sorted(province.arrivals())[:4] == kept
    pass_time(province, DAY, 4)
    assert province.arrivals() == [("quarantined", judge.TOO_MANY_AHEAD)] * 2


def test_c18_what_is_dated_after_the_end_of_its_key_is_not_held(province: Province) -> None:
    """It never counts, however long it is looked at."""
    packet = province.police.seal(
        province.request(), change={"sealed_at": datetime(9999, 12, 31, tzinfo=UTC)}
    )
    province.police.send(packet)
    far = datetime(9999, 12, 31, tzinfo=UTC)
    receipt = Receipt(
        ReceiptKind.DELIVERED, packet.key, 1, "0" * 64, "0" * 64, "case.report", COURT, COURT, far, 1
    )
    court = Peer(province.network, COURT)
    data = sign_receipt(receipt, court.receipt_key)
    item = WaybillItem(ItemKind.RECEIPT, sha256_hex(data), len(data), packet.key)
    court.put(court.batch([(item, data)]))
    province.run()
    assert [state for state, _ in province.arrivals()] == ["quarantined", "quarantined"]
