"""Where a packet is, as the police front-end knows it: behind it stand a bridge, then the province."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from exchanged.ledger import questions
from exchanged.states import DestinationState, Event, PacketState
from exchanged.trace import trace
from exchanged.trace_values import Because, Evidence, Holder, Holding, StepKind, Trace, Viewpoint, Way
from packet_spec.identity import PacketKey
from packet_spec.model import Directory, ItemKind, ReceiptKind
from tests.support.books import LINK, PEERS, Books, packet_id
from tests.support.documents import (
    BRIDGE,
    COURT,
    NOW,
    POLICE,
    PROCURATORATE,
    PROVINCE,
    change_agency,
    change_node,
    make_directory,
)


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    with Books(tmp_path) as opened:
        yield opened


def ask(
    books: Books, key: PacketKey, node: str = POLICE, directory: Directory | None = None, **peers: str
) -> Trace:
    facts = questions.facts(books.ledger.read(), key)
    return trace(facts, Viewpoint(node, peers or PEERS, directory))


def way(books: Books, key: PacketKey, **asker: object) -> Way:
    (only,) = ask(books, key, **asker).ways  # type: ignore[arg-type]
    return only


def told(told_way: Way) -> list[tuple[StepKind, str, str]]:
    return [(step.kind, step.node, step.to) for step in told_way.steps]


def last_known(node: str, since: datetime, because: Because) -> Holder:
    return Holder(node, since, Holding.LAST_KNOWN, because, unknown_beyond=node)


# --- own custody ------------------------------------------------------------------------------


def test_what_is_queued_is_here_for_certain(books: Books) -> None:
    found = way(books, books.packet(1))
    assert told(found) == [(StepKind.SEALED, POLICE, "")]
    assert found.steps[0].known_by is Evidence.OWN_LEDGER
    assert (found.recipient, found.state) == (PROCURATORATE, "queued")
    assert found.holder == Holder(POLICE, NOW, Holding.HERE, Because.NOT_OFFERED)


def test_what_is_offered_and_not_acknowledged_is_still_here(books: Books) -> None:
    key = books.packet(1)
    books.move(key, Event.OFFER)
    found = way(books, key)
    assert told(found)[1:] == [(StepKind.OFFERED, POLICE, BRIDGE)]
    assert found.steps[1].detail == "batch 7"
    assert found.holder == Holder(POLICE, NOW, Holding.HERE, Because.NOT_ACKNOWLEDGED)


def test_what_came_back_unreadable_is_here_again(books: Books) -> None:
    key = books.packet(1)
    books.move(key, Event.OFFER, Event.BATCH_BAD)
    found = way(books, key)
    assert told(found)[1:] == [(StepKind.OFFERED, POLICE, BRIDGE), (StepKind.BATCH_BAD, POLICE, BRIDGE)]
    assert found.holder.because is Because.NOT_OFFERED


def test_what_was_cancelled_ended_here(books: Books) -> None:
    key = books.packet(1)
    at = books.move(key, Event.CANCEL)
    assert way(books, key).holder == Holder(POLICE, at, Holding.NOBODY, Because.ENDED_HERE)


# --- along the notes --------------------------------------------------------------------------


def handed_over(books: Books, *recipients: str) -> tuple[PacketKey, datetime]:
    key = books.packet(1, *(recipients or (PROCURATORATE,)))
    at = NOW
    for recipient in recipients or (PROCURATORATE,):
        at = books.move(key, Event.OFFER, Event.ACKNOWLEDGE, recipient=recipient)
    return key, at


def test_beyond_the_neighbour_nothing_is_known_until_something_comes_back(books: Books) -> None:
    key, at = handed_over(books)
    found = way(books, key)
    assert told(found)[2:] == [(StepKind.HANDED_OVER, POLICE, BRIDGE)]
    assert found.holder == last_known(BRIDGE, at, Because.ACKNOWLEDGED)


def test_each_note_moves_the_holder_one_node_on(books: Books) -> None:
    key, _ = handed_over(books)
    first = books.hop(key, BRIDGE, PROVINCE)
    assert way(books, key).holder == last_known(PROVINCE, first.left_at, Because.HOP_NOTE)
    second = books.hop(key, PROVINCE, PROCURATORATE)
    found = way(books, key)
    assert found.holder == last_known(PROCURATORATE, second.left_at, Because.HOP_NOTE)
    assert told(found)[3:] == [
        (StepKind.LANDED, BRIDGE, ""),
        (StepKind.HANDED_OVER, BRIDGE, PROVINCE),
        (StepKind.LANDED, PROVINCE, ""),
        (StepKind.HANDED_OVER, PROVINCE, PROCURATORATE),
    ]
    assert {step.known_by for step in found.steps[3:]} == {Evidence.HOP_NOTE}
    third = books.hop(key, PROCURATORATE, "")
    assert way(books, key).holder == Holder(
        PROCURATORATE, third.left_at, Holding.INBOX, Because.HOP_NOTE
    )


def test_a_note_counts_although_the_acknowledgement_was_lost(books: Books) -> None:
    key = books.packet(1)
    books.move(key, Event.OFFER)
    note = books.hop(key, BRIDGE, PROVINCE)
    assert way(books, key).holder == last_known(PROVINCE, note.left_at, Because.HOP_NOTE)


def test_a_note_behind_a_gap_is_not_guessed_into_the_way(books: Books) -> None:
    key, at = handed_over(books)
    books.hop(key, PROVINCE, PROCURATORATE)
    assert way(books, key).holder == last_known(BRIDGE, at, Because.ACKNOWLEDGED)


def test_notes_in_a_circle_end(books: Books) -> None:
    key, _ = handed_over(books)
    books.hop(key, BRIDGE, PROVINCE)
    note = books.hop(key, PROVINCE, BRIDGE)
    assert way(books, key).holder == last_known(BRIDGE, note.left_at, Because.HOP_NOTE)


def test_a_packet_that_went_twice_is_told_by_its_newest_note(books: Books) -> None:
    key, _ = handed_over(books)
    books.hop(key, BRIDGE, PROVINCE)
    again = books.hop(key, BRIDGE, PROVINCE)
    assert way(books, key).holder.since == again.left_at


@pytest.mark.parametrize("directory", [make_directory(), None])
def test_another_recipients_branch_is_never_taken_for_this_ones(
    books: Books, directory: Directory | None
) -> None:
    key, _ = handed_over(books, PROCURATORATE, COURT)
    first = books.hop(key, BRIDGE, PROVINCE)
    second = books.hop(key, PROVINCE, PROCURATORATE)
    ways = {each.recipient: each for each in ask(books, key, directory=directory).ways}
    assert ways[PROCURATORATE].holder == last_known(PROCURATORATE, second.left_at, Because.HOP_NOTE)
    expected = PROVINCE if directory is not None else BRIDGE
    assert ways[COURT].holder.unknown_beyond in {PROVINCE, BRIDGE}
    assert ways[COURT].holder.node != PROCURATORATE
    if directory is not None:
        assert ways[COURT].holder == last_known(expected, first.left_at, Because.HOP_NOTE)


def test_without_a_directory_notes_that_lead_to_the_recipient_are_followed(books: Books) -> None:
    key, _ = handed_over(books, PROCURATORATE, COURT)
    books.hop(key, BRIDGE, PROVINCE)
    note = books.hop(key, PROVINCE, COURT)
    books.hop(key, PROVINCE, PROCURATORATE)
    ways = {each.recipient: each for each in ask(books, key).ways}
    assert ways[COURT].holder == last_known(COURT, note.left_at, Because.HOP_NOTE)


def test_an_agency_that_another_node_serves_is_found_by_the_directory(books: Books) -> None:
    directory = change_agency(make_directory(), PROCURATORATE, node=COURT)
    key, _ = handed_over(books)
    books.hop(key, BRIDGE, PROVINCE)
    note = books.hop(key, PROVINCE, COURT)
    found = way(books, key, directory=directory)
    assert found.holder == last_known(COURT, note.left_at, Because.HOP_NOTE)


def test_a_directory_that_does_not_know_the_way_leaves_it_to_the_notes(books: Books) -> None:
    directory = change_node(make_directory(), BRIDGE, parent="")
    key, _ = handed_over(books)
    note = books.hop(key, BRIDGE, PROVINCE)
    assert way(books, key, directory=directory).holder == last_known(PROVINCE, note.left_at, Because.HOP_NOTE)


def test_what_is_queued_for_one_recipient_is_here_whatever_notes_tell_of_the_other(books: Books) -> None:
    key = books.packet(1, PROCURATORATE, COURT)
    books.move(key, Event.OFFER, Event.ACKNOWLEDGE, recipient=COURT)
    books.hop(key, BRIDGE, PROVINCE)
    ways = {each.recipient: each for each in ask(books, key, directory=make_directory()).ways}
    assert ways[PROCURATORATE].holder.holding is Holding.HERE
    assert ways[COURT].holder.node == PROVINCE


# --- receipts ---------------------------------------------------------------------------------


def test_accepted_proves_where_it_was_when_no_note_tells_more(books: Books) -> None:
    key, _ = handed_over(books)
    receipt = books.receipt(key, ReceiptKind.ACCEPTED)
    found = way(books, key)
    assert told(found)[-1] == (StepKind.ACCEPTED, PROVINCE, "")
    assert found.steps[-1].known_by is Evidence.RECEIPT
    assert found.holder == last_known(PROVINCE, receipt.issued_at, Because.RECEIPT)


def test_accepted_stands_where_its_issuer_stands_and_takes_nothing_back(books: Books) -> None:
    key, _ = handed_over(books)
    books.hop(key, BRIDGE, PROVINCE)
    books.receipt(key, ReceiptKind.ACCEPTED)
    note = books.hop(key, PROVINCE, PROCURATORATE)
    found = way(books, key)
    assert [step.kind for step in found.steps if step.node == PROVINCE] == [
        StepKind.LANDED,
        StepKind.ACCEPTED,
        StepKind.HANDED_OVER,
    ]
    assert found.holder == last_known(PROCURATORATE, note.left_at, Because.HOP_NOTE)


def test_accepted_by_the_known_holder_leaves_the_time_of_custody(books: Books) -> None:
    key, _ = handed_over(books)
    note = books.hop(key, BRIDGE, PROVINCE)
    books.receipt(key, ReceiptKind.ACCEPTED)
    assert way(books, key).holder == last_known(PROVINCE, note.left_at, Because.HOP_NOTE)


@pytest.mark.parametrize(
    ("kinds", "holding"),
    [
        (("delivered",), Holding.INBOX),
        (("delivered", "collected"), Holding.CASE_SOFTWARE),
        (("delivered", "signed"), Holding.CASE_SOFTWARE),
        (("collected", "delivered"), Holding.CASE_SOFTWARE),
        (("refused",), Holding.NOBODY),
        (("delivered", "refused"), Holding.NOBODY),
        (("undeliverable",), Holding.NOBODY),
        (("expired",), Holding.NOBODY),
        (("delivered", "expired"), Holding.INBOX),
        (("expired", "delivered"), Holding.INBOX),
        (("accepted", "delivered", "accepted"), Holding.INBOX),
    ],
)
def test_final_receipts_say_how_it_ended(books: Books, kinds: tuple[str, ...], holding: Holding) -> None:
    key, _ = handed_over(books)
    for kind in kinds:
        is_whole = kind == "accepted"
        recipient, issuer = ("", PROVINCE) if is_whole else (PROCURATORATE, PROCURATORATE)
        books.receipt(key, ReceiptKind(kind), recipient, issuer)
    holder = way(books, key).holder
    assert (holder.holding, holder.node, holder.unknown_beyond) == (holding, PROCURATORATE, "")
    assert holder.because is Because.RECEIPT


def test_a_receipt_of_one_recipient_says_nothing_about_another(books: Books) -> None:
    key, _ = handed_over(books, PROCURATORATE, COURT)
    books.receipt(key, ReceiptKind.DELIVERED, PROCURATORATE, PROCURATORATE)
    ways = {each.recipient: each for each in ask(books, key).ways}
    assert ways[PROCURATORATE].holder.holding is Holding.INBOX
    assert ways[COURT].holder.unknown_beyond == BRIDGE


def test_statements_about_another_attempt_or_content_are_set_aside(books: Books) -> None:
    key, _ = handed_over(books)
    books.hop(key, BRIDGE, PROVINCE)
    books.receipt(key, ReceiptKind.REFUSED)
    books.move(key, Event.RECEIPT_REFUSED)
    books.new_attempt(key)
    books.receipt(key, ReceiptKind.DELIVERED, PROCURATORATE, PROCURATORATE, content_digest="f" * 64)
    traced = ask(books, key)
    (found,) = traced.ways
    assert (traced.attempt, traced.set_aside) == (2, 3)
    assert told(found) == [(StepKind.SEALED, POLICE, "")]
    assert found.holder.because is Because.NOT_OFFERED


def test_a_first_attempt_keeps_its_events_when_the_clock_was_set_back(books: Books) -> None:
    key = books.packet(1)
    books.clock.jump(-3600)
    at = books.move(key, Event.OFFER, Event.ACKNOWLEDGE)
    assert way(books, key).holder == last_known(BRIDGE, at, Because.ACKNOWLEDGED)


# --- other askers -----------------------------------------------------------------------------


def test_the_province_knows_who_sealed_it_what_it_did_and_whom_it_gave_it(books: Books) -> None:
    key = books.packet(1, own=False, link="east")
    landed = books.row(key).landed_at
    books.write(lambda tx: tx.event("hold", key, detail={"item": "packet", "reason": "unknown-key"}))
    books.write(lambda tx: tx.event("admit", key, detail={"to": "admitted"}))
    books.receipt(key, ReceiptKind.ACCEPTED)
    at = books.move(key, Event.OFFER, Event.ACKNOWLEDGE)
    found = way(books, key, node=PROVINCE, east=PROCURATORATE)
    assert told(found) == [
        (StepKind.SEALED, POLICE, ""),
        (StepKind.LANDED, PROVINCE, ""),
        (StepKind.HELD, PROVINCE, ""),
        (StepKind.ADMITTED, PROVINCE, ""),
        (StepKind.ACCEPTED, PROVINCE, ""),
        (StepKind.OFFERED, PROVINCE, PROCURATORATE),
        (StepKind.HANDED_OVER, PROVINCE, PROCURATORATE),
    ]
    assert [step.known_by for step in found.steps[:2]] == [Evidence.SEAL, Evidence.OWN_LEDGER]
    assert (found.steps[1].at, found.steps[1].detail) == (landed, "link east")
    assert found.steps[2].detail == "unknown-key"
    assert found.holder == last_known(PROCURATORATE, at, Because.ACKNOWLEDGED)


def test_the_receiver_has_it_although_the_province_accepted_it(books: Books) -> None:
    key = PacketKey(POLICE, packet_id(1))
    books.packet(1, own=False, state=DestinationState.ARRIVED)
    books.receipt(key, ReceiptKind.ACCEPTED, issued_at=NOW - timedelta(minutes=1))
    found = way(books, key, node=PROCURATORATE)
    assert told(found) == [
        (StepKind.SEALED, POLICE, ""),
        (StepKind.ACCEPTED, PROVINCE, ""),
        (StepKind.LANDED, PROCURATORATE, ""),
    ]
    assert (found.holder.node, found.holder.holding) == (PROCURATORATE, Holding.HERE)
    assert found.holder.because is Because.BEING_DELIVERED
    books.move(key, Event.STAGE)
    assert way(books, key, node=PROCURATORATE).holder.because is Because.BEING_DELIVERED
    at = books.move(key, Event.PLACE)
    assert way(books, key, node=PROCURATORATE).holder == Holder(
        PROCURATORATE, at, Holding.INBOX, Because.PLACED_HERE
    )


def test_what_has_arrived_is_here_whatever_the_clock_of_the_province_says(books: Books) -> None:
    key = books.packet(1, own=False, state=DestinationState.ARRIVED)
    books.receipt(key, ReceiptKind.ACCEPTED, issued_at=NOW + timedelta(hours=8))
    found = way(books, key, node=PROCURATORATE)
    assert [step.kind for step in found.steps] == [StepKind.SEALED, StepKind.ACCEPTED, StepKind.LANDED]
    assert (found.holder.node, found.holder.holding) == (PROCURATORATE, Holding.HERE)


def test_what_was_refused_here_ended_here(books: Books) -> None:
    key = books.packet(1, own=False, packet_state=PacketState.REFUSED)
    receipt = books.receipt(key, ReceiptKind.REFUSED)
    found = way(books, key, node=PROVINCE)
    assert (found.recipient, found.state) == ("", "refused")
    assert found.holder == Holder(PROVINCE, receipt.issued_at, Holding.NOBODY, Because.RECEIPT)
    assert told(found)[-1] == (StepKind.REFUSED, PROVINCE, "")


def test_what_landed_and_is_not_judged_is_here_with_its_reason(books: Books) -> None:
    key = PacketKey(COURT, packet_id(8))
    landed = books.clock.now()
    books.arrival(key, Event.HOLD, reason="unknown-key")
    books.arrival(key, kind=ItemKind.RECEIPT)
    found = way(books, key)
    assert told(found) == [(StepKind.LANDED, POLICE, ""), (StepKind.HELD, POLICE, "")]
    assert found.steps[1].detail == "unknown-key"
    assert (found.state, found.holder) == ("held", Holder(POLICE, landed, Holding.HERE, Because.NOT_JUDGED))


def test_what_lacks_a_large_part_stays_with_the_neighbour(books: Books) -> None:
    key = PacketKey(COURT, packet_id(8))
    landed = books.clock.now()
    books.arrival(key, missing=("ab" * 32,))
    found = way(books, key)
    assert found.holder == Holder(BRIDGE, landed, Holding.LAST_KNOWN, Because.LACKS_BLOBS)


def test_a_link_that_is_no_longer_configured_is_named_as_a_link(books: Books) -> None:
    key = books.packet(1, link="old")
    books.move(key, Event.OFFER, Event.ACKNOWLEDGE)
    assert way(books, key).holder.node == "link old"


def test_of_a_packet_that_is_only_spoken_of_no_way_is_told(books: Books) -> None:
    key = PacketKey(COURT, packet_id(9))
    books.receipt(key, ReceiptKind.ACCEPTED)
    traced = ask(books, key)
    assert (traced.key, traced.asked, traced.attempt, traced.ways) == (key, POLICE, None, ())


def test_the_link_of_the_books_is_the_one_of_the_viewpoint() -> None:
    assert PEERS == {LINK: BRIDGE}
