"""What may be given up, and what was given up by whom, as the commands show it."""

from __future__ import annotations

import shlex

import pytest

from tests.custody.test_giving_up import lack, land, quarantine
from tests.support.asking import Operator, operator
from tests.support.network import PROVINCE
from tests.support.province import Province, video_packet


@pytest.fixture
def asked(province: Province, capsys: pytest.CaptureFixture[str]) -> Operator:
    return operator(province.network.layout.config(PROVINCE), capsys)


def discards(asked: Operator, packet_id: str) -> list[list[str]]:
    """The options of the commands that show as possible."""
    possible = (shlex.split(each) for each in asked.json("packet", "show", packet_id)["possible"])
    return [words[words.index("discard") + 2 :] for words in possible if "discard" in words]


def test_what_a_discard_would_mean_is_looked_at_first(province: Province, asked: Operator) -> None:
    """Whether its sender can be told says the seal, which a command that only looks does not verify."""
    packet = province.police.seal(province.request())
    land(province, packet)
    assert discards(asked, packet.key.packet_id) == []
    quarantine(province)
    assert discards(asked, packet.key.packet_id) == [["--preview", "--reason", "TEXT"]]


def test_what_lacks_a_part_can_be_given_up_in_words(province: Province, asked: Operator) -> None:
    whole = video_packet(province)
    lack(province, whole, whole.blobs)
    assert discards(asked, whole.key.packet_id) == [["--without-parts", "--preview", "--reason", "TEXT"]]
