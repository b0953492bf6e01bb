"""The Merkle log of an admitting node: shown to its agencies, and found out when it was changed."""

from __future__ import annotations

import pytest

from packet_spec.log_head import EntryKind
from tests.support.logs import LogStory


@pytest.fixture
def story(tmp_path):
    with LogStory(tmp_path) as story:
        yield story


def test_both_agencies_hold_head_and_proofs_of_what_was_accepted(story):
    story.exchange("first")
    seal, receipt = story.accepted("first")
    for code in (story.police, story.procuratorate):
        newest = story.newest(code)
        assert newest is not None
        assert newest.head.root == story.root(newest.head.size)
        assert story.is_proved(code, EntryKind.SEAL, seal)
        assert story.is_proved(code, EntryKind.RECEIPT, receipt)
        assert story.awaited(code) == 0
    assert story.events(story.police, "security") == []
