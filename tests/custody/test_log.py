"""The Merkle log of an admitting node: shown to its agencies, and found out when it was changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from packet_spec.log_head import EntryKind
from tests.support.logs import (
    Change,
    LogStory,
    cut_to,
    forget_told,
    remove_packet,
    reorder,
    replace_receipt,
)
from tests.support.network import PROVINCE


@pytest.fixture
def story(tmp_path: Path) -> Iterator[LogStory]:
    with LogStory(tmp_path) as made:
        yield made


def test_both_agencies_hold_head_and_proofs_of_what_was_accepted(story: LogStory) -> None:
    story.exchange("first")
    seal, receipt = story.accepted("first")
    for code in (story.police, story.procuratorate):
        newest = story.newest(code)
        assert newest is not None
        assert newest.head.root == story.root(newest.head.size)
        assert story.is_proved(code, EntryKind.SEAL, seal)
        assert story.is_proved(code, EntryKind.RECEIPT, receipt)
        assert story.awaited(code) == 0
    # The receipts that came later stand there too.
    assert story.read(story.police).execute("SELECT count(*) FROM log_proof").fetchone()[0] >= 3
    assert story.events(story.police, "security") == []


def _replaced(story: LogStory) -> tuple[Change, ...]:
    return (replace_receipt(story.keys, story.key("first")),)


def _replaced_and_forgotten(story: LogStory) -> tuple[Change, ...]:
    return (replace_receipt(story.keys, story.key("first")), forget_told)


def _removed(story: LogStory) -> tuple[Change, ...]:
    return (remove_packet(story.key("first")),)


def _reordered(_story: LogStory) -> tuple[Change, ...]:
    return (reorder,)


def _cut(_story: LogStory) -> tuple[Change, ...]:
    return (cut_to(2), forget_told)


def _emptied(_story: LogStory) -> tuple[Change, ...]:
    return (cut_to(0), forget_told)


@pytest.mark.parametrize(
    "changes", [_replaced, _replaced_and_forgotten, _removed, _reordered, _cut, _emptied]
)
def test_a_log_rewritten_by_the_provinces_administrator_shows_at_the_next_exchange(
    story: LogStory, changes: Callable[[LogStory], tuple[Change, ...]]
) -> None:
    story.exchange("first")
    found = story.tamper(*changes(story))
    assert found.is_sound, found.problems
    assert story.doubts(story.police) == []

    story.exchange("second")
    # Which of them depends on how long the log has become again.
    reasons = {"log-rewritten", "log-shortened", "log-forked"}
    for code in (story.police, story.procuratorate):
        (doubt,) = story.doubts(code)
        assert doubt in reasons
        assert [each["reason"] for each in story.events(code, "security")] == [doubt]
    # The exchange itself goes on, and what is accepted now is not taken for proved.
    seal, receipt = story.accepted("second")
    assert not story.is_proved(story.police, EntryKind.SEAL, seal)
    assert not story.is_proved(story.police, EntryKind.RECEIPT, receipt)
    story.wait(minutes=2)
    assert "log-contradicted" in story.notices(story.police)
    text = story.notice_text(story.police, "log-contradicted")
    assert PROVINCE in text
    assert "exchangectl log export" in text


def test_a_restart_of_an_honest_province_alarms_nobody(story: LogStory) -> None:
    story.exchange("first")
    assert story.tamper().is_sound
    story.exchange("second")
    assert story.doubts(story.police) == []
    assert story.awaited(story.police) == 0
    assert story.notices(story.police) == []
