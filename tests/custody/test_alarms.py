"""What points at a stolen key or a foreign account is held at its first word, and is an alarm (C11, C15)."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from exchanged.notices import LOOK_SECONDS
from packet_spec.model import ItemKind, KeyUse
from packet_spec.notice import Notice, NoticeLevel, decode_notice
from tests.custody.test_clones import A_QUARTER
from tests.support.network import COURT, POLICE
from tests.support.peer import Peer
from tests.support.province import Province, node, publish

CONFLICTS = ("another batch under a number", "two packets under a number", "an earlier incarnation")


def notices(province: Province) -> dict[str, Notice]:
    """What the province's operator is told, by reference."""
    province.network.clock.advance(LOOK_SECONDS)
    province.run()
    folder = node(province).config.node.data_dir / "notices"
    found = [decode_notice(path.read_bytes()) for path in folder.glob("*.xml")]
    return {notice.reference: notice for notice in found if notice.over_at is None}


@pytest.mark.parametrize("by", ["court", "procuratorate"])
def test_f81_a_packet_in_the_account_of_somebody_else_is_a_security_event_and_an_alarm(
    province: Province, by: str, record_property: Any
) -> None:
    thief = province.procuratorate if by == "procuratorate" else Peer(province.network, COURT)
    packet = province.police.seal(province.request())
    thief.send(packet)
    province.run()
    assert province.arrivals() == [("quarantined", "packet-in-a-foreign-mailbox")]
    # In the ledger, under the packet, with the link that it came by.
    (event,) = [
        event for event in province.events("quarantine") if event["packet_id"] == packet.key.packet_id
    ]
    assert "packet-in-a-foreign-mailbox" in str(event["detail"])
    alarm = notices(province)["quarantined"]
    assert alarm.level is NoticeLevel.ALARM
    assert province.procuratorate.items(ItemKind.PACKET) == []
    # Its owner's own copy still passes.
    province.police.send(packet)
    province.run()
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]
    record_property("accounts", 1)


@pytest.mark.parametrize("conflict", CONFLICTS)
@pytest.mark.parametrize("seed", range(4))
def test_f86_a_stolen_key_is_seen_at_the_first_word_that_conflicts(
    province: Province, conflict: str, seed: int, record_property: Any
) -> None:
    """The thief has keys, account and books of the police, and goes on from them beside their owner."""
    chance = random.Random(f"{conflict} {seed}")  # noqa: S311 - a seed, no secret
    police, requests = province.police, iter(range(1, 100))

    def send(peer: Peer) -> bytes:
        packet = peer.seal(province.request(seed=next(requests)))
        peer.send(packet)
        province.run()
        return packet.data

    good = [send(police) for _ in range(chance.randrange(1, 5))]
    thief = Peer(province.network, POLICE)
    thief.number, thief.sequence = police.number, police.sequence
    if conflict == "two packets under a number":
        # Its batches come in turn with those of the owner, so that these do not conflict.
        good += [send(police) for _ in range(chance.randrange(1, 3))]
        thief.number = police.number
    elif conflict == "an earlier incarnation":
        thief.incarnation = "e" * 32
        thief.number = 0
        good += [send(thief)]
        police, thief = thief, police
    else:
        good += [send(police) for _ in range(chance.randrange(1, 3))]
    assert "neighbour-forked" not in notices(province)
    assert province.procuratorate.items(ItemKind.PACKET) == good
    if conflict == "an earlier incarnation":
        # For so long its words may have been written before the restore.
        province.network.clock.advance(A_QUARTER)
    send(thief)
    # Nothing of it went on, and who listens is told.
    assert province.procuratorate.items(ItemKind.PACKET) == good
    told = notices(province)
    alarm = told.get("neighbour-forked") or told.get("held")
    if conflict == "two packets under a number":
        assert ("held", "sequence-fork") in province.arrivals()
        assert len(province.events("hold")) >= 1
    else:
        assert alarm is not None
        assert alarm.level is NoticeLevel.ALARM
        # Both are held: the owner does not get through either until a person has looked.
        send(police)
        assert province.procuratorate.items(ItemKind.PACKET) == good
    record_property("conflicts", 1)


def test_f85_what_a_key_signs_past_its_end_is_set_aside(province: Province) -> None:
    opened, clock = node(province).opened, province.network.clock
    ends = clock.now() + timedelta(hours=1)
    nodes = tuple(
        replace(each, keys=tuple(
            replace(key, not_after=ends) if KeyUse.SEAL in key.uses else key for key in each.keys
        )) if each.code == POLICE else each
        for each in opened.trust.directory.nodes
    )  # fmt: skip
    opened.trust.offer(publish(province, replace(opened.trust.directory, version=2, nodes=nodes)))
    before = province.police.seal(province.request(seed=1))
    clock.advance(7_200)
    after = province.police.seal(province.request(seed=2))
    province.police.send(before, after)
    province.run()
    assert province.procuratorate.items(ItemKind.PACKET) == [before.data]
    assert province.arrivals() == [("quarantined", "no-authority")]
    assert notices(province)["quarantined"].level is NoticeLevel.ALARM
