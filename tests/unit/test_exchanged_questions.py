"""What the command line asks a ledger: the answers, and that they cost what they tell and no more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from exchanged.errors import FileOperationError, NotFoundError
from exchanged.ledger import open_read_only, questions, questions_list, questions_queue
from exchanged.ledger.questions_list import PacketFilter
from exchanged.ledger.questions_queue import QueueFilter, WaitingKind
from exchanged.states import DestinationState, Event, PacketState
from packet_spec.identity import PacketKey
from packet_spec.model import ItemKind, ReceiptKind
from tests.support.books import LINK, Books, packet_id
from tests.support.documents import BRIDGE, COURT, NOW, POLICE, PROCURATORATE, PROVINCE


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    with Books(tmp_path) as opened:
        yield opened


def read(books: Books):
    return books.ledger.read()


# --- one packet -------------------------------------------------------------------------------


def test_a_packet_is_found_by_id_by_prefix_and_by_sender(books: Books) -> None:
    first, second = books.packet(1), books.packet(2)
    assert questions.find_keys(read(books), first.packet_id) == (first,)
    assert questions.find_keys(read(books), first.packet_id[:8]) == (first,)
    assert questions.find_keys(read(books), first.packet_id[:6]) == (first, second)
    assert questions.find_keys(read(books), first.packet_id[:6], POLICE) == (first, second)
    assert questions.find_keys(read(books), first.packet_id[:8], COURT) == ()
    assert questions.find_keys(read(books), "ffffff") == ()


def test_two_senders_may_have_used_one_id(books: Books) -> None:
    mine = books.packet(1)
    theirs = books.packet(1, sender=COURT, own=False)
    assert questions.find_keys(read(books), mine.packet_id) == (mine, theirs)
    assert questions.find_keys(read(books), mine.packet_id, COURT) == (theirs,)


def test_a_packet_is_found_that_only_an_arrival_or_a_receipt_names(books: Books) -> None:
    landed, told = PacketKey(COURT, packet_id(8)), PacketKey(COURT, packet_id(9))
    books.arrival(landed)
    books.receipt(told, ReceiptKind.ACCEPTED)
    assert questions.find_keys(read(books), landed.packet_id[:8]) == (landed,)
    assert questions.find_keys(read(books), told.packet_id[:8]) == (told,)


def test_as_many_keys_as_asked_for(books: Books) -> None:
    keys = [books.packet(number) for number in range(5)]
    assert questions.find_keys(read(books), keys[0].packet_id[:6], limit=3) == tuple(keys[:3])


def test_the_facts_of_a_packet_are_complete(books: Books) -> None:
    key = books.packet(1, PROCURATORATE, COURT)
    books.packet(2)
    books.move(key, Event.OFFER, Event.ACKNOWLEDGE)
    books.receipt(key, ReceiptKind.ACCEPTED)
    note = books.hop(key, BRIDGE, PROVINCE)
    facts = questions.facts(read(books), key)
    assert facts.packet is not None
    assert facts.packet.key == key
    assert {row.recipient: row.state for row in facts.destinations} == {
        PROCURATORATE: DestinationState.HANDED_OVER,
        COURT: DestinationState.QUEUED,
    }
    assert [event.kind for event in facts.events] == ["offer", "acknowledge", "receipt-recorded"]
    assert facts.events[0].detail["batch"] == 7
    assert [row.kind for row in facts.receipts] == ["accepted"]
    assert [(row.node, row.landed_at, row.left_at, row.next_node) for row in facts.hops] == [
        (BRIDGE, note.landed_at, note.left_at, PROVINCE)
    ]
    assert facts.arrivals == ()


def test_the_facts_of_a_packet_that_is_not_judged_say_why(books: Books) -> None:
    key = PacketKey(COURT, packet_id(8))
    again = books.clock.now() + timedelta(hours=1)
    books.arrival(key, Event.HOLD, reason="unknown-key", retry_at=again)
    books.arrival(key, missing=("ab" * 32,))
    facts = questions.facts(read(books), key)
    assert facts.packet is None
    held, needing = facts.arrivals
    assert (held.state, held.reason, held.retry_at) == ("held", "unknown-key", again)
    assert (needing.state, needing.missing) == ("needing", ("ab" * 32,))


# --- lists ------------------------------------------------------------------------------------


def listed(books: Books, **wanted: object) -> list[str]:
    found = questions_list.list_packets(read(books), PacketFilter(**wanted))  # type: ignore[arg-type]
    return [line.packet.key.packet_id for line in found]


def test_lists_are_newest_first_and_end_at_the_limit(books: Books) -> None:
    for number in range(4):
        books.packet(number)
    assert listed(books, limit=3) == [packet_id(3), packet_id(2), packet_id(1)]


def test_a_list_is_narrowed_by_sender_recipient_and_type(books: Books) -> None:
    books.packet(1, PROCURATORATE)
    books.packet(2, PROCURATORATE, COURT, business_type="case.report")
    books.packet(3, PROCURATORATE, sender=COURT, own=False)
    assert listed(books, sender=COURT) == [packet_id(3)]
    assert listed(books, recipient=COURT) == [packet_id(2)]
    assert listed(books, business_type="case.report") == [packet_id(2)]
    assert listed(books, recipient=PROCURATORATE, sender=POLICE) == [packet_id(2), packet_id(1)]
    assert listed(books, sender=BRIDGE) == []


def test_a_list_is_narrowed_by_the_time_of_coming_here(books: Books) -> None:
    times = []
    for number in range(3):
        times.append(books.clock.now())
        books.packet(number)
    assert listed(books, since=times[1]) == [packet_id(2), packet_id(1)]
    assert listed(books, until=times[1]) == [packet_id(0)]
    assert listed(books, since=times[1], until=times[2]) == [packet_id(1)]


def test_a_list_is_narrowed_by_any_state(books: Books) -> None:
    books.packet(0)
    expired, delivered = books.packet(1), books.packet(2)
    refused_by_receiver = books.packet(3)
    books.packet(4, packet_state=PacketState.REFUSED)
    books.move(expired, Event.RECEIPT_EXPIRED)
    books.move(delivered, Event.OFFER, Event.RECEIPT_DELIVERED)
    books.move(refused_by_receiver, Event.RECEIPT_REFUSED)
    assert listed(books, state="queued") == [packet_id(0)]
    assert listed(books, state="active") == [packet_id(0)]
    assert listed(books, state="expired") == [packet_id(1)]
    assert listed(books, state="delivered") == [packet_id(2)]
    assert listed(books, state="refused") == [packet_id(4), packet_id(3)]
    assert listed(books, state="done") == [packet_id(3), packet_id(2), packet_id(1)]
    assert listed(books, state="undeliverable") == []


def test_the_state_of_a_line_is_that_of_the_worst_destination(books: Books) -> None:
    key = books.packet(1, PROCURATORATE, COURT)
    books.move(key, Event.RECEIPT_DELIVERED, recipient=COURT)
    books.packet(2, packet_state=PacketState.REFUSED)
    refused, open_line = questions_list.list_packets(read(books), PacketFilter())
    assert (refused.state, open_line.state) == ("refused", "queued")
    assert [row.recipient for row in open_line.destinations] == [PROCURATORATE, COURT]


# --- queues -----------------------------------------------------------------------------------


def test_a_summary_counts_open_packets_by_recipient_and_age(books: Books) -> None:
    now = books.clock.now() + timedelta(days=2)
    ages = [timedelta(days=2), timedelta(hours=2), timedelta(minutes=30), timedelta(minutes=2), timedelta()]
    for number, age in enumerate(ages):
        books.clock.jump((now - age - books.clock.now()).total_seconds())
        books.packet(number)
    books.clock.jump((now - timedelta(hours=3) - books.clock.now()).total_seconds())
    books.packet(9, COURT)
    delivered = books.packet(10)
    books.move(delivered, Event.RECEIPT_DELIVERED)
    procuratorate, court = questions_queue.summary(read(books), now).recipients
    assert (procuratorate.name, procuratorate.counts) == (PROCURATORATE, (1, 1, 1, 1, 1))
    assert procuratorate.total == 5
    assert procuratorate.oldest_at == now - ages[0]
    assert (court.name, court.counts) == (COURT, (0, 0, 0, 1, 0))


def test_a_summary_counts_what_has_no_destination(books: Books) -> None:
    books.arrival(PacketKey(COURT, packet_id(8)), Event.HOLD, reason="unknown-key")
    books.arrival(PacketKey(COURT, packet_id(9)), Event.QUARANTINE, reason="layout-wrong")
    books.arrival(PacketKey(COURT, packet_id(10)))
    books.drop("whole")
    books.drop("half", Event.LISTED_PART_MISSING, missing=("a.pdf",))
    books.drop("gone", Event.WITHDRAW)
    books.batch()
    books.batch(settled=True)
    found = questions_queue.summary(read(books), books.clock.now())
    assert found.recipients == ()
    assert {row.name: row.total for row in found.others} == {
        "arrival landed": 1,
        "arrival held": 1,
        "arrival quarantined": 1,
        "drop seen": 1,
        "drop incomplete": 1,
        f"batch {LINK}": 1,
    }


def test_a_queue_tells_everything_that_waits_oldest_first(books: Books) -> None:
    books.drop("案件.zip", Event.LISTED_PART_MISSING, missing=("起诉意见书.pdf",))
    key = books.packet(1)
    arrival = PacketKey(COURT, packet_id(8))
    again = books.clock.now() + timedelta(hours=1)
    books.arrival(arrival, Event.HOLD, reason="unknown-key", retry_at=again)
    books.arrival(arrival, kind=ItemKind.RECEIPT)
    books.batch()
    found = questions_queue.waiting(read(books), QueueFilter())
    assert [(entry.kind, entry.item, entry.subject, entry.state) for entry in found] == [
        (WaitingKind.DROP, "drop", "案件.zip", "incomplete"),
        (WaitingKind.PACKET, "packet", str(key), "queued"),
        (WaitingKind.ARRIVAL, "packet", str(arrival), "held"),
        (WaitingKind.ARRIVAL, "receipt", str(arrival), "landed"),
        (WaitingKind.BATCH, "batch", f"00000001-{LINK}.batch", "committed"),
    ]
    assert found[0].missing == ("起诉意见书.pdf",)
    assert (found[1].recipient, found[1].link) == (PROCURATORATE, LINK)
    assert (found[2].reason, found[2].retry_at) == ("unknown-key", again)


def test_a_queue_is_narrowed_by_recipient_state_link_and_limit(books: Books) -> None:
    first = books.packet(1)
    books.packet(2, COURT)
    books.packet(3, link="west")
    books.arrival(PacketKey(COURT, packet_id(8)), Event.HOLD, reason="unknown-key")
    books.batch("west")

    def subjects(**wanted: object) -> list[str]:
        found = questions_queue.waiting(read(books), QueueFilter(**wanted))  # type: ignore[arg-type]
        return [entry.subject for entry in found]

    assert subjects(recipient=COURT) == [f"{POLICE}/{packet_id(2)}"]
    assert subjects(state="held") == [f"{COURT}/{packet_id(8)}"]
    assert subjects(link="west") == [f"{POLICE}/{packet_id(3)}", "00000001-west.batch"]
    assert subjects(limit=1) == [str(first)]
    assert subjects(state="delivering") == []


# --- what it costs ----------------------------------------------------------------------------

_KEY = PacketKey(POLICE, packet_id(1))


@pytest.mark.parametrize(
    "ask",
    [
        lambda connection: questions.find_keys(connection, "0190000"),
        lambda connection: questions.facts(connection, _KEY),
        lambda connection: questions_list.list_packets(connection, PacketFilter(state="queued")),
        lambda connection: questions_queue.waiting(connection, QueueFilter(link=LINK)),
        lambda connection: questions_queue.summary(connection, NOW),
    ],
)
def test_no_answer_reads_every_packet_or_event_there_ever_was(books: Books, ask: Callable) -> None:
    """Each statement's plan searches by an index or walks a partial one; a bare SCAN grows for ever."""
    books.packet(1)
    connection = read(books)
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    ask(connection)
    connection.set_trace_callback(None)
    for statement in statements:
        for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}"):
            scans = row["detail"].startswith("SCAN") and "INDEX" not in row["detail"]
            # A list walks packets from the newest on and stops when it is full.
            walks_the_list = row["detail"] == "SCAN packet" and "ORDER BY packet.id DESC LIMIT" in statement
            assert not scans or walks_the_list, f"{row['detail']}: {statement}"


def test_answers_come_without_a_daemon_and_beside_one(tmp_path: Path) -> None:
    with Books(tmp_path) as books:
        key = books.packet(1)
        beside = open_read_only(books.path)
        assert questions.find_keys(beside, key.packet_id) == (key,)
        beside.close()
    alone = open_read_only(books.path)
    assert questions.find_keys(alone, key.packet_id) == (key,)
    alone.close()


def test_a_ledger_that_may_not_be_opened_is_not_called_damaged(tmp_path: Path) -> None:
    """As an operator without rights sees it; here a folder stands in its place, for tests may run as root."""
    with pytest.raises(FileOperationError, match="cannot be opened"):
        open_read_only(tmp_path)
    with pytest.raises(NotFoundError):
        open_read_only(tmp_path / "none")


def test_what_moves_while_it_is_counted_is_counted_once(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The packet is offered between the look at what is queued and the look at what is offered."""
    key = books.packet(1)
    connection = read(books)
    counted = questions_queue._aged

    def meddle(*arguments):
        answer = counted(*arguments)
        if arguments[3][1:] == ("queued",):
            books.move(key, Event.OFFER)
        return answer

    monkeypatch.setattr(questions_queue, "_aged", meddle)
    (row,) = questions_queue.summary(connection, books.clock.now()).recipients
    assert row.total == 1
    monkeypatch.undo()
    (entry,) = questions_queue.waiting(connection, QueueFilter())
    assert entry.state == "offered"
