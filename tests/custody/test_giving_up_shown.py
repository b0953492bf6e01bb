"""What may be given up, and what was given up by whom, as the commands show it."""

from __future__ import annotations

import shlex

import pytest

from exchanged.acts.values import Act
from tests.custody.test_giving_up import lack, land, quarantine
from tests.support.acting import act, outcomes
from tests.support.asking import Operator, operator
from tests.support.network import PROVINCE
from tests.support.province import Province, node, video_packet


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


def test_a_trace_names_the_operators_word_and_the_place_of_the_bytes(
    province: Province, asked: Operator
) -> None:
    """A receipt alone says that it ended, and not that somebody here ended it."""
    packet = province.police.seal(province.request())
    land(province, packet)
    quarantine(province)
    name = packet.key.packet_id
    assert outcomes(act(node(province), Act.DISCARD, name)) == ["discarded-told"]
    (kept,) = (node(province).config.node.data_dir / "discarded").iterdir()
    (way,) = asked.json("packet", "trace", name)["ways"]
    assert [(step["kind"], step["detail"]) for step in way["steps"]][2:] == [
        ("discarded", f"discarded/{kept.name}"), ("undeliverable", ""),
    ]  # fmt: skip
    assert "given up by an operator" in asked.text("packet", "trace", name)


def test_a_trace_tells_nothing_of_a_copy_that_was_given_up_beside_it(
    province: Province, asked: Operator
) -> None:
    packet = province.police.seal(province.request())
    province.procuratorate.send(packet)
    province.run()
    province.police.send(packet)
    province.run()
    name = packet.key.packet_id
    assert outcomes(act(node(province), Act.DISCARD, name)) == ["discarded-known"]
    ways = asked.json("packet", "trace", name)["ways"]
    assert "discarded" not in [step["kind"] for way in ways for step in way["steps"]]
