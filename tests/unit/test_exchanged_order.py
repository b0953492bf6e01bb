"""C15: what must wait at its sender, and for how long."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from exchanged.order import Candidate, choose

NOW = datetime(2026, 7, 15, 9, 0, tzinfo=UTC)


def candidate(
    number: int, *, case: str = "police:A1", receiver: str = "R", open_named: bool = False, age: float = 0.0
) -> Candidate:
    return Candidate(number, NOW - timedelta(seconds=age), case, receiver, open_named)


def test_c15_free_packets_go_in_the_order_of_sealing() -> None:
    choice = choose([candidate(1), candidate(2), candidate(3)], NOW, 600)
    assert choice.offer == (1, 2, 3)
    assert choice.look_again_seconds is None


def test_c15_a_packet_waits_for_the_one_it_names_and_holds_back_its_case_and_receiver() -> None:
    choice = choose(
        [candidate(1, open_named=True, age=10), candidate(2), candidate(3, receiver="S")], NOW, 600
    )
    assert choice.offer == (3,)
    assert choice.look_again_seconds == 590


def test_c15_other_cases_and_packets_without_a_case_are_not_held_back() -> None:
    waiting = candidate(1, open_named=True)
    choice = choose([waiting, candidate(2, case="police:B2"), candidate(3, case="")], NOW, 600)
    assert choice.offer == (2, 3)


def test_c15_nothing_waits_longer_than_the_limit() -> None:
    choice = choose([candidate(1, open_named=True, age=600), candidate(2)], NOW, 600)
    assert choice.offer == (1, 2)


def test_c15_a_clock_set_back_does_not_make_a_packet_wait_for_ever() -> None:
    assert choose([candidate(1, open_named=True, age=-3600)], NOW, 600).offer == (1,)


def test_c15_behind_one_that_names_blobs_nothing_of_its_case_goes_into_the_same_batch() -> None:
    """However long it waited before: what it waits for is only offered now."""
    large = replace(candidate(1, age=900), names_blobs=True)
    choice = choose([large, candidate(2, age=900), candidate(3, case="police:B2")], NOW, 600)
    assert choice.offer == (1, 3)
    assert choice.look_again_seconds == 600


def test_c15_packets_without_a_case_that_name_blobs_hold_nothing_back() -> None:
    free = [replace(candidate(number, case=""), names_blobs=True) for number in (1, 2)]
    assert choose(free, NOW, 600).offer == (1, 2)
