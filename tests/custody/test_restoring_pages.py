"""C23: an answer to a restored node is told page by page, once, and costs nobody more than its pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exchanged import restore_answers, restore_portions
from exchanged.ledger import batches, given, restoring
from packet_spec.model import ItemKind
from packet_spec.note import open_note
from packet_spec.note_rules import RESTORE
from packet_spec.restoring import Ask, Page, Want, decode_restoring
from tests.custody.test_cost import plans
from tests.custody.test_restoring_liars import drop, pages_to, tell
from tests.support.bridging import one_for_all, rows
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, Network, small_plan
from tests.support.peer import Sealed
from tests.support.province import Province, node
from tests.support.restoring import World, check_books

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, SECOND = "a" * 32, "b" * 32


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore_portions, "_PACKETS", 1)
    monkeypatch.setattr(restore_portions, "_STATEMENTS", 2)
    monkeypatch.setattr(restore_portions, "_LOOKS", 3)


def exchange(province: Province, count: int) -> list[Sealed]:
    """So many packets from the police were accepted, and everything was acknowledged."""
    sealed = [province.police.seal(province.request(seed=seed)) for seed in range(1, count + 1)]
    for each in sealed:
        province.police.send(each)
        province.run()
    rest(province)
    return sealed


def rest(province: Province) -> None:
    """The police land all that there is, again and again."""
    for _ in range(3):
        province.police.acknowledge()
        province.procuratorate.acknowledge()
        province.run()


def pages_at(province: Province, incarnation: str = FIRST) -> list[Page]:
    """The pages of that answer that lie in the mailbox of the police."""
    trust = node(province).opened.trust
    found = [open_note(data, trust.key)[0] for data in province.police.items(ItemKind.NOTE)]
    said = [decode_restoring(note.payload) for note in found if note.kind == RESTORE]
    return [each for each in said if isinstance(each, Page) and each.incarnation == incarnation]


def told_in_turns(province: Province, *, is_killed: bool = False) -> list[Page]:
    """Every page until the last one, each lot acknowledged; the province may be killed before each."""
    found: list[Page] = []
    for _ in range(200):
        lot = pages_at(province)
        assert len(lot) <= restore_answers._UNDER_WAY
        found += lot
        if any(page.last for page in lot):
            return found
        if is_killed:
            node(province).die()
            node(province).open()
        province.police.acknowledge()
        province.run()
    raise AssertionError("the answer never ended")


def answers(province: Province) -> list[dict[str, object]]:
    return [json.loads(str(event["detail"])) for event in province.events("restore-answered")]


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("is_killed", [False, True])
def test_c23_a_history_is_told_in_pages_of_which_few_are_under_way(
    province: Province, *, is_killed: bool
) -> None:
    sealed = exchange(province, 12)
    tell(province.police, Ask(FIRST, LONG_AGO))
    province.run()
    assert not answers(province)
    pages = told_in_turns(province, is_killed=is_killed)
    assert len(pages) > len(sealed)
    told = [packet.key for page in pages for packet in page.packets]
    assert sorted(told) == sorted(each.key for each in sealed)
    promised = [digest for page in pages for digest in page.receipts]
    assert len(promised) == len(set(promised)) == len(sealed)
    # What was lost before is told with nothing else, and before everything else.
    assert [page.stream is not None for page in pages] == [True, *[False] * (len(pages) - 1)]
    assert pages[0].packets == ()
    assert [page.last for page in pages] == [*[False] * (len(pages) - 1), True]
    (answered,) = answers(province)
    assert (answered["packets"], answered["receipts"]) == (12, 12)
    # Nobody asks for a page again that was handed over.
    rest(province)
    notes = rows(province.network, PROVINCE, "SELECT from_node FROM note WHERE kind = 'restore'")
    assert sum(sender == PROVINCE for (sender,) in notes) <= restore_answers._UNDER_WAY


@pytest.mark.usefixtures("small_pages")
def test_c23_no_transaction_holds_more_than_one_page(province: Province) -> None:
    exchange(province, 6)
    written: list[str] = []
    node(province).opened.ledger._connection.set_trace_callback(written.append)
    tell(province.police, Ask(FIRST, LONG_AGO))
    province.run()
    node(province).opened.ledger._connection.set_trace_callback(None)
    notes, queued = [0], [0]
    for statement in written:
        if statement.startswith("BEGIN"):
            notes.append(0)
            queued.append(0)
        notes[-1] += statement.startswith("INSERT INTO note ")
        queued[-1] += statement.startswith("INSERT OR IGNORE INTO outgoing")
    # The question itself is a note as well.
    assert max(notes) == 1
    assert sum(notes) > 6
    assert max(queued) <= 4


def test_c23_the_same_question_is_answered_once(province: Province) -> None:
    exchange(province, 2)
    for _ in range(3):
        tell(province.police, Ask(FIRST, LONG_AGO))
        province.run()
        rest(province)
    assert len(answers(province)) == 1
    assert len(province.events("restore-asked")) == 1


def test_c23_who_asks_in_ever_new_incarnations_is_answered_three_times_and_then_once_an_hour(
    province: Province,
) -> None:
    exchange(province, 1)

    def asked_anew(times: int) -> int:
        before = len(answers(province))
        for _ in range(times):
            asked_anew.number += 1  # type: ignore[attr-defined]
            tell(province.police, Ask(f"{asked_anew.number:032x}", LONG_AGO))  # type: ignore[attr-defined]
            province.run()
            rest(province)
        return len(answers(province)) - before

    asked_anew.number = 0  # type: ignore[attr-defined]
    assert asked_anew(6) == 3
    # The last question waits, and nothing is asked again for it.
    for _ in range(2):
        province.network.clock.advance(timedelta(hours=1, minutes=1).total_seconds())
        province.police.greet()
        province.run()
    assert len(answers(province)) == 4
    assert asked_anew(3) == 1


def test_c23_who_is_restored_while_it_is_answered_hears_all_of_it_anew(
    province: Province, monkeypatch: pytest.MonkeyPatch, small_pages: None
) -> None:
    sealed = exchange(province, 12)
    tell(province.police, Ask(SECOND, LONG_AGO))
    province.run()
    assert not answers(province)
    tell(province.police, Ask(FIRST, LONG_AGO))
    province.police.acknowledge()
    province.run()
    told = [packet.key for page in told_in_turns(province) for packet in page.packets]
    assert sorted(told) == sorted(each.key for each in sealed)
    assert len(answers(province)) == 1


def test_c23_no_page_reads_or_sorts_a_whole_history(province: Province) -> None:
    exchange(province, 2)
    connection = node(province).opened.ledger.read()
    seen: set[str] = set()
    for each in (connection, node(province).opened.ledger._connection):
        each.set_trace_callback(seen.add)
    tell(province.police, Ask(FIRST, LONG_AGO))
    province.run()
    for each in (connection, node(province).opened.ledger._connection):
        each.set_trace_callback(None)
    found = plans(connection, sorted(seen))
    lists = ("destination_under_way", "batch_out_told", "packet_came", "receipt_recorded", "receipt_issuer")
    for index in lists:
        assert any(f" INDEX {index} (" in plan for plan in found), index
    growing = ("batch_out", "batch_item", "packet", "destination", "receipt", "note")
    # The last row of all is found without a walk.
    walks = [
        plan
        for plan in found
        if plan.startswith(tuple(f"SCAN {table}" for table in growing)) and "max(id)" not in plan
    ]
    assert walks == []
    assert [plan for plan in found if "TEMP B-TREE" in plan and "restore" in plan] == []


@pytest.fixture
def behind_one_bridge(tmp_path: Path) -> Iterator[World]:
    with Network(tmp_path / "lab", one_for_all()) as network:
        network.run()
        yield World(network, 1)


@pytest.mark.slow
def test_c23_an_earlier_answer_is_not_given_back_with_the_next(
    behind_one_bridge: World, tmp_path: Path
) -> None:
    """By the bridge that passed it on, neither."""
    world = behind_one_bridge
    saved = world.snapshot(POLICE, tmp_path / "backup")
    drop(world, "R-1", POLICE, PROCURATORATE)
    drop(world, "R-2", COURT, POLICE)
    world.drain()
    for _ in range(2):
        world.restore(POLICE, saved)
        world.network.nodes[POLICE].open()
        world.drain()
        now = world.network.nodes[POLICE].opened.incarnation
        assert {page.incarnation for page in pages_to(world, POLICE)} == {now}
    check_books(world)


@pytest.mark.slow
def test_c23_what_a_neighbour_put_there_meanwhile_keeps_no_answer_back(tmp_path: Path) -> None:
    """So many batches are open that there is no room for another, and none can be acknowledged before it."""
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE, COURT)) as network:
        network.run()
        world = World(network, 1)
        saved = world.snapshot(PROCURATORATE, tmp_path / "backup")
        for number in range(2):
            drop(world, f"R-{number}", POLICE, PROCURATORATE)
            world.drain()
        network.nodes[PROCURATORATE].die()
        province = network.nodes[PROVINCE]
        link, limit = province.opened.links.name_of(PROCURATORATE), province.config.limits.open_batches
        for number in range(2, limit + 4):
            drop(world, f"R-{number}", POLICE, PROCURATORATE)
            for _ in range(12):
                network.round()
        assert len(batches.open_batches(province.opened.ledger.read(), link)) == limit
        world.restore(PROCURATORATE, saved)
        network.nodes[PROCURATORATE].open()
        world.drain()
        assert not restoring.is_going_on(network.nodes[PROCURATORATE].opened.ledger.read())
        check_books(world)


def grown(province: Province) -> list[tuple[object, ...]]:
    """What wishes leave in the ledger of the province: notes, events, batches, and what waits."""
    return [
        *rows(province.network, PROVINCE, "SELECT count(*) FROM note WHERE from_node <> to_node"),
        *rows(province.network, PROVINCE, "SELECT count(*) FROM event WHERE kind = 'offered-again'"),
        *rows(province.network, PROVINCE, "SELECT count(*) FROM batch_item WHERE kind = 'packet'"),
    ]


def wish(province: Province, *wanted: Sealed, incarnation: str = FIRST) -> int:
    """The procuratorate wants these. Returns how many come to it."""
    tell(province.procuratorate, Want(incarnation, tuple(each.key for each in wanted)))
    province.run()
    came = len(province.procuratorate.items(ItemKind.PACKET))
    rest(province)
    return came


def test_c23_nobody_has_a_packet_given_again_as_often_as_he_wants_it(province: Province) -> None:
    """One note had two thousand packets sent once more, as often as one who never was restored said so."""
    one, other = exchange(province, 2)
    came = [wish(province, one, incarnation=f"{number:032x}") for number in range(given._AT_ONCE + 3)]
    assert came == [1] * given._AT_ONCE + [0] * 3
    before = grown(province)
    assert wish(province, one, one, one) == 0
    assert grown(province) == before
    # Another packet, and whoever was restored after a while, has it as ever.
    assert wish(province, one, other) == 1
    province.network.clock.advance(given._EVERY.total_seconds() + 1)
    assert wish(province, one) == 1
    assert wish(province, one) == 0


def test_c23_a_question_or_page_of_which_nothing_comes_is_not_kept(province: Province) -> None:
    exchange(province, 1)
    tell(province.police, Ask(FIRST, LONG_AGO))
    rest(province)
    before = grown(province)
    for _ in range(3):
        province.network.clock.advance(0.001)
        tell(province.police, Ask(FIRST, LONG_AGO))
        tell(province.police, Page(SECOND, last=True, final=True, sure=True))
        rest(province)
    assert grown(province) == before
