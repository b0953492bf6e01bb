"""The state table: complete, deterministic, closed."""

from __future__ import annotations

import itertools

import pytest

from exchanged.errors import IllegalTransitionError
from exchanged.states import (
    EVENT_OF_RECEIPT,
    FINAL_DESTINATIONS,
    HEADLINE_ORDER,
    RETRYABLE_DESTINATIONS,
    TRANSITIONS,
    ArrivalState,
    DestinationState,
    DropState,
    Event,
    PacketState,
    advance,
    allows,
    headline,
)
from packet_spec.model import ReceiptKind

ALL_STATES = [*ArrivalState, *PacketState, *DestinationState, *DropState]


def test_one_target_for_each_state_and_event() -> None:
    pairs = [(type(line.source), line.source, line.event) for line in TRANSITIONS]
    assert len(pairs) == len(set(pairs))


def test_a_machine_never_leaves_its_own_states() -> None:
    assert all(type(transition.source) is type(transition.target) for transition in TRANSITIONS)


def test_everything_outside_the_table_raises() -> None:
    table = {(type(line.source), line.source, line.event) for line in TRANSITIONS}
    for state, event in itertools.product(ALL_STATES, Event):
        if (type(state), state, event) in table:
            assert allows(state, event)
        else:
            assert not allows(state, event)
            with pytest.raises(IllegalTransitionError):
                advance(state, event)


def test_every_event_and_every_state_is_used() -> None:
    assert {transition.event for transition in TRANSITIONS} == set(Event)
    reached = {str(type(s)) + s for line in TRANSITIONS for s in (line.source, line.target)}
    assert reached == {str(type(s)) + s for s in ALL_STATES}


def test_no_receipt_moves_a_final_destination_back() -> None:
    for state in FINAL_DESTINATIONS:
        for kind in ReceiptKind:
            if allows(state, EVENT_OF_RECEIPT[kind]):
                assert advance(state, EVENT_OF_RECEIPT[kind]) in FINAL_DESTINATIONS


def test_c18_delivered_outranks_expired() -> None:
    assert advance(DestinationState.EXPIRED, Event.RECEIPT_DELIVERED) is DestinationState.DELIVERED
    assert not allows(DestinationState.DELIVERED, Event.RECEIPT_EXPIRED)


def test_the_headline_is_the_worst_destination() -> None:
    assert set(HEADLINE_ORDER) == set(DestinationState)
    assert headline((DestinationState.SIGNED, DestinationState.QUEUED)) is DestinationState.QUEUED
    assert headline((DestinationState.REFUSED, DestinationState.QUEUED)) is DestinationState.REFUSED


def test_only_final_states_may_be_tried_again() -> None:
    assert RETRYABLE_DESTINATIONS < FINAL_DESTINATIONS
