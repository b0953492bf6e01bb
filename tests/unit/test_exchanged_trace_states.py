"""Who holds a packet, asked in every state that a packet, a destination or an arrival can be in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from exchanged.ledger import Transaction, packets, questions, restoring
from exchanged.states import EVENT_OF_RECEIPT, ArrivalState, DestinationState, Event, PacketState, allows
from exchanged.trace import trace
from exchanged.trace_values import Because, Evidence, Holder, Holding, StepKind, Trace, Viewpoint, Way
from packet_spec.identity import PacketKey
from packet_spec.model import Priority, ReceiptKind
from packet_spec.restoring import KnownPacket
from tests.support.books import LINK, PEERS, Books, packet_id
from tests.support.documents import (
    BRIDGE,
    COURT,
    NOW,
    POLICE,
    PROCURATORATE,
    PROVINCE,
    make_directory,
)

_D, _E, _R = DestinationState, Event, ReceiptKind
HERE, LAST, INBOX = Holding.HERE, Holding.LAST_KNOWN, Holding.INBOX
TAKEN, NOBODY = Holding.CASE_SOFTWARE, Holding.NOBODY
OVER = (_E.OFFER, _E.ACKNOWLEDGE)

Said = Event | ReceiptKind

STATES: dict[DestinationState, tuple[Sequence[Said], Holding, str, Because]] = {
    _D.QUEUED: ((), HERE, POLICE, Because.NOT_OFFERED),
    _D.ON_HOLD: ((_E.HOLD,), HERE, POLICE, Because.ON_HOLD),
    _D.OFFERED: ((_E.OFFER,), HERE, POLICE, Because.NOT_ACKNOWLEDGED),
    _D.HANDED_OVER: (OVER, LAST, BRIDGE, Because.ACKNOWLEDGED),
    _D.ACCEPTED: ((*OVER, _R.ACCEPTED), LAST, PROVINCE, Because.RECEIPT),
    _D.PASSED_ON: ((_E.OFFER, _E.HAND_ON), LAST, BRIDGE, Because.ACKNOWLEDGED),
    _D.ARRIVED: ((), HERE, POLICE, Because.BEING_DELIVERED),
    _D.DELIVERING: ((_E.STAGE,), HERE, POLICE, Because.BEING_DELIVERED),
    _D.DELIVERED: ((*OVER, _R.ACCEPTED, _R.DELIVERED), INBOX, PROCURATORATE, Because.RECEIPT),
    _D.COLLECTED: ((*OVER, _R.DELIVERED, _R.COLLECTED), TAKEN, PROCURATORATE, Because.RECEIPT),
    _D.SIGNED: ((*OVER, _R.DELIVERED, _R.SIGNED), TAKEN, PROCURATORATE, Because.RECEIPT),
    _D.REFUSED: ((*OVER, _R.DELIVERED, _R.REFUSED), NOBODY, PROCURATORATE, Because.RECEIPT),
    _D.UNDELIVERABLE: ((*OVER, _R.UNDELIVERABLE), NOBODY, PROCURATORATE, Because.RECEIPT),
    _D.EXPIRED: ((_E.RECEIPT_EXPIRED,), NOBODY, POLICE, Because.ENDED_HERE),
    _D.CANCELLED: ((_E.CANCEL,), NOBODY, POLICE, Because.ENDED_HERE),
}
STARTS = {_D.ARRIVED: _D.ARRIVED, _D.DELIVERING: _D.ARRIVED}
OPEN_HERE = {_D.QUEUED, _D.ON_HOLD, _D.OFFERED, _D.ARRIVED, _D.DELIVERING}
ENDED = {_D.REFUSED, _D.UNDELIVERABLE, _D.EXPIRED, _D.CANCELLED}


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    with Books(tmp_path) as opened:
        yield opened


def ask(books: Books, key: PacketKey, node: str = POLICE) -> Trace:
    return trace(questions.facts(books.ledger.read(), key), Viewpoint(node, PEERS, make_directory()))


def way(books: Books, key: PacketKey, node: str = POLICE) -> Way:
    (only,) = ask(books, key, node).ways
    return only


def tell(books: Books, key: PacketKey, said: Sequence[Said]) -> None:
    """What happened, one after the other; a receipt moves its destination where the table allows it."""
    for each in said:
        event = each if isinstance(each, Event) else EVENT_OF_RECEIPT[each]
        if isinstance(each, ReceiptKind):
            is_whole = each is _R.ACCEPTED
            recipient, issuer = ("", PROVINCE) if is_whole else (PROCURATORATE, PROCURATORATE)
            books.receipt(key, each, recipient, issuer)
        (row,) = packets.destinations(books.ledger.read(), books.row(key).id)
        if allows(row.state, event):
            books.move(key, event)


# --- destinations -----------------------------------------------------------------------------


def test_no_state_is_left_out() -> None:
    assert set(STATES) == set(DestinationState)


@pytest.mark.parametrize("state", DestinationState)
def test_in_every_state_the_holder_is_who_has_it(books: Books, state: DestinationState) -> None:
    said, holding, node, because = STATES[state]
    key = books.packet(1, state=STARTS.get(state, _D.QUEUED))
    tell(books, key, said)
    found = way(books, key)
    assert found.state == state.value
    assert (found.holder.holding, found.holder.node, found.holder.because) == (holding, node, because)
    assert found.holder.unknown_beyond == (node if holding is LAST else "")


@pytest.mark.parametrize("state", DestinationState)
def test_a_state_of_which_no_event_tells_names_no_false_holder(books: Books, state: DestinationState) -> None:
    """What a restored ledger was told, or what happened while the clock was set back."""
    key = books.packet(1, state=state)
    holder = way(books, key).holder
    assert (holder.holding is HERE) == (state in OPEN_HERE)
    assert (holder.holding is NOBODY) == (state in ENDED)
    if state not in OPEN_HERE | ENDED:
        assert holder == Holder(BRIDGE, NOW, LAST, Because.ACKNOWLEDGED, unknown_beyond=BRIDGE)


@pytest.mark.parametrize("state", [_D.DELIVERED, _D.COLLECTED, _D.SIGNED])
def test_what_was_delivered_here_is_here_though_no_event_tells(books: Books, state: DestinationState) -> None:
    key = books.packet(1, own=False, link="", state=state)
    assert way(books, key).holder == Holder(POLICE, NOW, INBOX, Because.PLACED_HERE)


def test_what_expired_before_it_was_offered_ended_here(books: Books) -> None:
    key = books.packet(1)
    at = books.move(key, Event.RECEIPT_EXPIRED)
    found = way(books, key)
    assert found.holder == Holder(POLICE, at, NOBODY, Because.ENDED_HERE)
    last = found.steps[-1]
    assert (last.at, last.node, last.kind, last.known_by) == (
        at, POLICE, StepKind.EXPIRED, Evidence.OWN_LEDGER,
    )  # fmt: skip


# --- receipts that the state did not follow ---------------------------------------------------


@pytest.mark.parametrize("state", [_D.QUEUED, _D.OFFERED, _D.ARRIVED, _D.DELIVERING])
def test_what_is_here_did_not_expire_with_its_sender(books: Books, state: DestinationState) -> None:
    """Its sender says so, and here it is: it goes its way (C18)."""
    key = books.packet(1, own=False, state=state)
    books.receipt(key, _R.EXPIRED, PROCURATORATE, POLICE)
    holder = way(books, key, PROVINCE).holder
    assert (holder.holding, holder.node) == (HERE, PROVINCE)


def test_what_was_handed_over_did_not_expire_with_its_sender(books: Books) -> None:
    key = books.packet(1, own=False)
    tell(books, key, OVER)
    books.receipt(key, _R.EXPIRED, PROCURATORATE, POLICE)
    assert (way(books, key, PROVINCE).holder.holding, way(books, key, PROVINCE).holder.node) == (LAST, BRIDGE)


@pytest.mark.parametrize(
    ("said", "holding"),
    [
        ((_R.DELIVERED, _R.UNDELIVERABLE), INBOX),
        ((_R.DELIVERED, _R.EXPIRED), INBOX),
        ((_R.SIGNED, _R.REFUSED), TAKEN),
        ((_R.EXPIRED, _R.DELIVERED), INBOX),
    ],
)
def test_an_end_that_the_table_does_not_allow_takes_nothing_back(
    books: Books, said: Sequence[ReceiptKind], holding: Holding
) -> None:
    key = books.packet(1)
    tell(books, key, (*OVER, *said))
    found = way(books, key)
    assert (found.holder.holding, [step.kind for step in found.steps[-2:]]) == (
        holding, [StepKind(each) for each in said],
    )  # fmt: skip


def test_receipts_count_in_the_order_of_issue_in_whatever_order_they_came_back(books: Books) -> None:
    """A restored node reads them out of its agency's folders."""
    key = books.packet(1)
    tell(books, key, OVER)
    later = books.clock.now() + timedelta(hours=1)
    books.receipt(key, _R.REFUSED, PROCURATORATE, PROCURATORATE, issued_at=later)
    books.move(key, Event.RECEIPT_REFUSED)
    tell(books, key, (_R.DELIVERED, _R.ACCEPTED))
    found = way(books, key)
    assert found.holder == Holder(PROCURATORATE, later, NOBODY, Because.RECEIPT)
    assert [step.kind for step in found.steps[-3:]] == [
        StepKind.ACCEPTED, StepKind.DELIVERED, StepKind.REFUSED,
    ]  # fmt: skip


def test_statements_about_an_earlier_seal_of_this_attempt_count(books: Books) -> None:
    """Sealed anew after a restore: the same attempt of the same content (C12, C23)."""
    key = books.packet(1)
    tell(books, key, OVER)
    earlier = {"seal_digest": "e" * 64}
    books.hop(key, BRIDGE, PROVINCE, **earlier)
    books.receipt(key, _R.SIGNED, PROCURATORATE, PROCURATORATE, **earlier)
    books.move(key, Event.RECEIPT_SIGNED)
    traced = ask(books, key)
    assert (traced.set_aside, traced.ways[0].holder.holding) == (0, TAKEN)
    assert [step.node for step in traced.ways[0].steps[-3:]] == [BRIDGE, BRIDGE, PROCURATORATE]


# --- what a restored ledger was told ----------------------------------------------------------


def remember(
    books: Books, state: PacketState, destination: DestinationState | None, *, own: bool
) -> tuple[PacketKey, object]:
    key, at = PacketKey(POLICE, packet_id(1)), books.clock.now()
    known = KnownPacket(
        key=key, attempt=1, business_type="case.report", sender_ref="R-1", receiver=PROCURATORATE,
        copy_to=(), priority=Priority.NORMAL, expires_at=None, sealed_at=at - timedelta(days=1),
        incarnation="5f3a", sequence=1, content_digest="c" * 64, seal_digest="a" * 64, in_reply_to="",
        supersedes="", case_key="", given=False, offered=True, has_bytes=True, destinations=(),
    )  # fmt: skip

    def commit(tx: Transaction) -> None:
        number = restoring.remember_packet(tx, known, came_by="" if own else LINK, state=state)
        if destination is not None:
            packets.add_destination(tx, number, PROCURATORATE, destination, LINK)

    books.write(commit)
    return key, at


def test_what_was_known_again_as_handed_over_has_left(books: Books) -> None:
    key, at = remember(books, PacketState.ACTIVE, _D.HANDED_OVER, own=True)
    found = way(books, key)
    assert found.holder == Holder(BRIDGE, at, LAST, Because.REMEMBERED, unknown_beyond=BRIDGE)
    assert [step.kind for step in found.steps] == [StepKind.SEALED, StepKind.REMEMBERED]


@pytest.mark.parametrize("state", [_D.QUEUED, _D.ARRIVED])
def test_what_is_known_again_without_its_bytes_is_not_here(books: Books, state: DestinationState) -> None:
    """Its sender keeps it until it is final, and gives it again."""
    key, at = remember(books, PacketState.ACTIVE, state, own=False)
    found = way(books, key, PROVINCE)
    assert found.holder == Holder(POLICE, at, LAST, Because.REMEMBERED, unknown_beyond=POLICE)
    assert [step.kind for step in found.steps] == [StepKind.SEALED, StepKind.REMEMBERED]


def test_what_is_known_again_as_ended_elsewhere_ended_by_a_neighbours_word(books: Books) -> None:
    key, at = remember(books, PacketState.DONE, None, own=False)
    found = way(books, key, PROCURATORATE)
    assert (found.state, found.holder) == ("done", Holder(BRIDGE, at, NOBODY, Because.REMEMBERED))


# --- packets and arrivals ---------------------------------------------------------------------


@pytest.mark.parametrize("state", PacketState)
def test_in_every_state_of_a_packet_the_holder_is_who_has_it(books: Books, state: PacketState) -> None:
    if state is PacketState.REFUSED:
        key = books.packet(1, own=False, packet_state=state)
        assert way(books, key).holder == Holder(POLICE, NOW, NOBODY, Because.ENDED_HERE)
        return
    key = books.packet(1)
    if state is PacketState.DONE:
        tell(books, key, (*OVER, _R.SIGNED))
    assert books.row(key).state is state
    assert way(books, key).holder.holding is (HERE if state is PacketState.ACTIVE else TAKEN)


ARRIVALS = {
    ArrivalState.LANDED: ((), HERE, Because.NOT_JUDGED),
    ArrivalState.NEEDING: ((), LAST, Because.LACKS_BLOBS),
    ArrivalState.HELD: ((_E.HOLD,), HERE, Because.NOT_JUDGED),
    ArrivalState.QUARANTINED: ((_E.QUARANTINE,), HERE, Because.NOT_JUDGED),
    ArrivalState.DISCARDED: ((_E.QUARANTINE,), NOBODY, Because.ENDED_HERE),
}
# A packet stands in their place, or nothing.
JUDGED = {ArrivalState.ADMITTED, ArrivalState.REFUSED, ArrivalState.REPEATED}


@pytest.mark.parametrize("state", sorted(set(ArrivalState) - JUDGED))
def test_in_every_state_of_an_arrival_the_holder_is_who_has_it(books: Books, state: ArrivalState) -> None:
    events, holding, because = ARRIVALS[state]
    key = PacketKey(COURT, packet_id(8))
    missing = ("ab" * 32,) if state is ArrivalState.NEEDING else ()
    number = books.arrival(key, *events, reason="unknown-key" if events else "", missing=missing)
    if state is ArrivalState.DISCARDED:
        books.give_up(number)
    found = way(books, key)
    assert (found.recipient, found.state) == ("", state.value)
    assert (found.holder.holding, found.holder.because) == (holding, because)
    assert found.holder.node == (BRIDGE if state is ArrivalState.NEEDING else POLICE)


def test_what_was_given_up_untold_lies_in_no_queue_and_the_trace_says_where(books: Books) -> None:
    key = PacketKey(COURT, packet_id(8))
    number = books.arrival(key, Event.QUARANTINE, reason="packet-by-a-wrong-road")
    at = books.give_up(number)
    found = way(books, key)
    assert found.holder == Holder(POLICE, at, NOBODY, Because.ENDED_HERE)
    assert [(step.kind, step.detail) for step in found.steps] == [
        (StepKind.LANDED, f"link {LINK}"),
        (StepKind.QUARANTINED, "packet-by-a-wrong-road"),
        (StepKind.DISCARDED, f"discarded/{number}"),
    ]
    # It comes once more: what lies here now counts.
    books.arrival(key)
    assert way(books, key).state == "landed"


def test_of_what_passed_and_is_forgotten_a_copy_given_up_says_nothing(books: Books) -> None:
    key = PacketKey(COURT, packet_id(8))
    books.write(lambda tx: tx.event(Event.ADMIT.value, key, detail={"to": "admitted", "transit": True}))
    books.give_up(books.arrival(key, Event.QUARANTINE, reason="packet-by-a-wrong-road"))
    assert ask(books, key).ways == ()
