"""Both sample cases, packet by packet, through a province that holds strictly to the order of a case.

Real daemons, a real sshd and folder links side by side; every packet is seen through the folders of the
agencies. All data is fictional.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import pytest

from cli.demo.journey import Journey
from cli.demo.watch import Proofs
from cli.fiction.agencies import DEFAULT_AGENCIES
from cli.lab.joints import Joint
from cli.lab.lab import Lab, create_lab
from cli.lab.plan import default_plan, with_sequence
from exchanged.config import LinkTransport
from packet_spec.model import CaseNumber, ReceiptKind
from tests.support.stories import Story, assert_books_balance, assert_ledgers_are_whole, events

pytestmark = [pytest.mark.process, pytest.mark.slow]

# Agencies that exchange by a folder; the others log in to sshd.
_BY_FOLDER = ("620199-06-00", "620199-07-00", "620000-08-01")

# What no node's chain of events may tell.
_UNWANTED = {
    *("refuse", "hold", "quarantine", "repeat", "batch-bad"),
    *("drop-refused", "drop-held", "drop-duplicate"),
}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """The ten agencies of the sample cases; the province enforces the order."""
    plan = with_sequence(default_plan(), "enforce")
    joints = tuple(
        Joint(joint.upper, joint.lower, LinkTransport.FOLDER if joint.lower in _BY_FOLDER else None)
        for joint in plan.links
    )
    made = create_lab(tmp_path / "lab", replace(plan, joints=joints), "sftp")
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_both_cases_pass_side_by_side_through_a_province_that_enforces_the_order(lab: Lab) -> None:
    proofs = Proofs.of(lab, lab.agencies[0])
    journeys: list[Journey] = []
    bail = Story(lab, "dangerous_driving", "B", proofs, journeys)
    custody = Story(lab, "theft_in_custody", "C", proofs, journeys)
    for pair in zip_longest(bail.rows, custody.rows):
        rows = zip((bail, custody), pair, strict=True)
        begun = [(story, story.drop(number)) for story, number in rows if number is not None]
        for story, journey in begun:
            story.wait(journey)

    assert [len(story.keys) for story in (bail, custody)] == [27, 31]
    assert_books_balance(lab, journeys, proofs)
    # One accepted for each, one delivered for each receiver and copy, nothing else and nothing warned of.
    assert proofs.receipts == sum(1 + len(journey.recipients) for journey in journeys)
    for journey in journeys:
        assert journey.status is not None
        assert (journey.status.state, journey.status.findings) == ("delivered", ()), journey.name
        assert journey.received[ReceiptKind.ACCEPTED, ""].findings == (), journey.name
    assert_numbers_are_known(journeys)
    for code in lab.nodes:
        found = [each["kind"] for each in events(lab, code)]
        assert "directory-taken" in found or "started" in found, found
        assert _UNWANTED.isdisjoint(found), f"{_UNWANTED.intersection(found)} at {code}"
    # The province admitted each case in its order.
    admitted = [each["key"]["packet_id"] for each in events(lab, lab.province, "--kind", "admit")]
    for story in (bail, custody):
        own = [story.keys[number].packet_id for number in story.rows]
        assert [each for each in admitted if each in own] == own
    assert_ledgers_are_whole(lab)


def assert_numbers_are_known(journeys: list[Journey]) -> None:
    """Nobody used a case number that it had neither given itself nor been sent before."""
    kinds = {agency.code: agency.kind for agency in DEFAULT_AGENCIES}
    known: dict[str, set[CaseNumber]] = defaultdict(set)
    for journey in journeys:
        numbers = journey.original.envelope.case_numbers
        assert numbers, journey.name
        for number in numbers:
            assert number.kind == kinds[journey.sender] or number in known[journey.sender], journey.name
        for code in (journey.sender, *journey.recipients):
            known[code].update(numbers)
