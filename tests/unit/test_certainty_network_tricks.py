"""What the shards of the network judge relays, losses and full inboxes by: each judgement can fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from certainty.network.betraying import Tricks, unseen
from certainty.network.crowd import alike
from certainty.network.judging import Sent
from certainty.network.late import judge_pending, judge_waiting
from certainty.network.lost_receipts import Losing
from certainty.network.relay import CODES, Put, Relay, Step
from certainty.network.waybills import acknowledged, read_waybill, receipts_of
from cli.demo.watch import Original
from packet_spec.model import Envelope, ItemKind, KeyUse
from packet_spec.ustar import encode_header
from packet_spec.waybill import SPEAKS, encode_waybill
from packet_spec.waybill_model import Acknowledgement, Waybill, WaybillItem
from tests.support.documents import DIGEST, KEY, KEYS, NOW, POLICE, PROCURATORATE, PROVINCE

ITEM = WaybillItem(ItemKind.RECEIPT, DIGEST, 1, KEY)
WAYBILL = Waybill(
    SPEAKS, PROVINCE, POLICE, "5f3a", 7, (ITEM, replace(ITEM, kind=ItemKind.PACKET)),
    Acknowledgement(POLICE, "77aa", 4, 1), DIGEST, 1, NOW, KEYS[POLICE, KeyUse.LINK].key_id,
)  # fmt: skip
SENT = Sent("drop", POLICE, PROCURATORATE, "t", Original(cast("Envelope", None), (), DIGEST, DIGEST), 0.0)


def as_file(waybill: Waybill) -> bytes:
    """The beginning of a batch: as much as somebody needs who only wants to know what is in it."""
    data = encode_waybill(waybill)
    return encode_header("waybill", len(data)) + data


@pytest.fixture
def relay(tmp_path: Path) -> Relay:
    for side in ("near", "far"):
        for code in CODES:
            for direction in ("up", "down"):
                (tmp_path / side / code / direction).mkdir(parents=True)
    return Relay(tmp_path / "near", tmp_path / "far", 1)


def batch(number: int, data: bytes = b"x", age: float = 0.0) -> Step:
    return Step(CODES[0], "down", f"{number:08d}-0123456789abcdef.batch", data, age)


def test_the_receipts_in_a_batch_and_what_it_acknowledges_are_read_without_keys(tmp_path: Path) -> None:
    assert list(receipts_of(as_file(WAYBILL))) == [KEY]
    assert list(receipts_of(as_file(replace(WAYBILL, items=(WAYBILL.items[1],))))) == []
    assert list(receipts_of(b"no batch")) == []
    file = tmp_path / "ack.batch"
    assert acknowledged(file) == 0
    file.write_bytes(as_file(WAYBILL))
    assert acknowledged(file) == 4
    assert read_waybill(as_file(WAYBILL)) == WAYBILL


def test_a_relay_that_loses_lets_the_file_pass_again_and_knows_whose_receipt_it_was(relay: Relay) -> None:
    losing = Losing(relay, 1)
    data = as_file(replace(WAYBILL, items=(replace(ITEM, key=replace(KEY, sender=CODES[0])),)))
    lost = []
    for number in range(1, 40):
        step = batch(number, data)
        path = relay.far / step.code / "down" / step.name
        for _ in range(2):
            path.write_bytes(data)
            lost.append(not losing(step))
    assert not any(lost[1::2])
    assert losing.lost == sum(lost) > 5
    assert {key.sender for key in losing.receipts} == {CODES[0]}
    assert losing(replace(batch(1), name="ack.batch"))
    assert losing(replace(batch(1), direction="up"))


def test_a_held_back_number_that_is_acknowledged_is_told(relay: Relay) -> None:
    tricks = Tricks(relay)
    delays = tricks.ways()["delays"]
    answer = relay.answer(batch(5))
    answer.write_bytes(as_file(WAYBILL))
    assert not delays(batch(5))
    assert not tricks.wrong
    assert not delays(batch(4))
    assert len(tricks.wrong) == 1
    assert delays(batch(4, age=100.0)) == relay.honest(batch(4))
    assert len(tricks.held) == 2
    tricks.begin()
    assert not tricks.wrong
    assert not tricks.held


def test_a_gap_is_one_only_when_a_later_number_passed(relay: Relay) -> None:
    tricks = Tricks(relay)
    reorders = tricks.ways()["reorders"]
    assert not reorders(batch(10))
    assert not tricks.gaps
    assert reorders(batch(14, age=3.0))
    assert not reorders(batch(10, age=3.0))
    assert len(tricks.gaps) == 1


def test_what_lies_where_it_does_not_belong_stays_for_several_looks(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = replace(batch(1), direction="up")
    (relay.near / step.code / "up" / step.name).write_bytes(step.data)
    stray = relay.far / CODES[1] / "up" / step.name
    relay.treat = lambda one: [*relay.honest(one), (stray.parent, stray.name, one.data)]
    relay.trip()
    relay.trip()
    assert stray.exists()
    assert relay.puts == [Put(stray.parent, stray.name)]
    assert relay.highest[step.code, "up"] == 1
    monkeypatch.setattr("certainty.network.relay.STAY_SECONDS", 0.0)
    relay.trip()
    assert not stray.exists()


def test_a_forged_batch_must_be_named_by_whoever_reads_that_folder() -> None:
    up, down = (
        Put(Path("far") / POLICE / "up", "00000001-a.batch"),
        Put(Path("near") / POLICE / "down", "00000002-b.batch"),
    )
    told = {PROVINCE: {up.name}, POLICE: {down.name}}
    assert unseen([up, down], told.__getitem__) == []
    told = {PROVINCE: {down.name}, POLICE: {up.name}}
    assert unseen([up, down], told.__getitem__) == [up, down]


def test_a_packet_without_its_receipt_must_be_told_as_overdue() -> None:
    assert not list(judge_pending([(SENT, KEY)], {KEY}, "case"))
    assert list(judge_pending([(SENT, KEY)], set(), "case"))
    assert list(judge_pending([(SENT, None)], {KEY}, "case"))


@pytest.mark.parametrize(
    ("state", "is_told", "reason", "invariants"),
    [
        ("accepted", True, "no-space", []),
        ("delivered", True, "no-space", ["I7"]),
        ("queued", True, "no-space", ["I13"]),
        ("none", True, "no-space", ["I13"]),
        ("accepted", False, "no-space", ["I13"]),
        ("accepted", True, "", ["I13"]),
        ("accepted", True, "inbox-unusable", ["I13"]),
    ],
)
def test_both_sides_must_be_told_why_a_packet_waits_at_a_full_inbox(
    state: str, is_told: bool, reason: str, invariants: list[str]
) -> None:
    found = judge_waiting("drop", state, is_told=is_told, reason=reason, case="case")
    assert [each.invariant for each in found] == invariants


def test_a_crowd_that_waits_equally_long_is_told() -> None:
    spread = [0.5 + number / 200 for number in range(100)]
    assert not list(alike({1: spread, 2: [2 * each for each in spread]}))
    assert list(alike({1: [1.0] * 8}))
    assert list(alike({1: spread, 2: [1.9 + each / 10 for each in spread]}))
    # Of a few nothing is said but that they are not the same.
    assert not list(alike({3: [4.0, 4.001, 4.002, 4.003, 4.004], 4: [1.0, 1.0]}))
