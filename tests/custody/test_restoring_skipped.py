"""C23: a restored sender goes on without its neighbour's answer, and what it forgot had got far by then."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchanged.acts.values import Act
from exchanged.ledger import questions, restoring
from exchanged.trace import trace
from exchanged.trace_values import Because, Holder, Holding, Viewpoint
from packet_spec.identity import PacketKey
from packet_spec.model import ReceiptKind
from tests.support.acting import act, outcomes
from tests.support.network import POLICE, PROCURATORATE, PROVINCE
from tests.support.restored_folders import (
    delivered,
    events,
    folder,
    lying,
    police,
    save,
    send,
    status,
)
from tests.support.restoring import World

ACCEPTED, DELIVERED, SIGNED = ReceiptKind.ACCEPTED, ReceiptKind.DELIVERED, ReceiptKind.SIGNED


def send_as_far_as(world: World, kind: ReceiptKind) -> str:
    """One packet whose receipts up to this kind lie with its sender. Its id."""
    receiver = world.network.nodes[PROCURATORATE]
    if kind is ACCEPTED:
        receiver.close()
    send(world)
    world.drain()
    packet_id = str(status(world)["packetId"])
    if kind is SIGNED:
        answer = (
            f'<disposition xmlns="urn:exchanged:disposition:1" kind="signed" sender="{POLICE}"'
            f' packetId="{packet_id}" by="虚构丙" at="2026-07-16T10:00:00+08:00"/>'
        )
        (world.network.agency(PROCURATORATE) / "outbox" / "ANSWER.xml").write_text(answer, "utf-8")
        world.drain()
    assert status(world)["state"] == kind.value
    return packet_id


def restore_alone(world: World, saved: dict[str, Path]) -> None:
    """The police come back from a backup while their line is cut, and are told not to wait."""
    world.network.nodes[PROVINCE].close()
    world.restore(POLICE, saved[POLICE])
    police(world).open()
    world.drain()
    link = police(world).opened.links.name_of(PROVINCE)
    assert outcomes(act(police(world), Act.SKIP, link)) == ["skipped"]
    world.drain()
    assert not restoring.is_going_on(police(world).opened.ledger.read())


def holder(world: World, packet_id: str) -> Holder:
    facts = questions.facts(police(world).opened.ledger.read(), PacketKey(POLICE, packet_id))
    traced = trace(facts, Viewpoint(POLICE, {}, police(world).opened.trust.directory))
    assert traced.set_aside == 0
    (way,) = traced.ways
    return way.holder


@pytest.mark.parametrize("kind", [ACCEPTED, DELIVERED, SIGNED])
def test_c23_a_forgotten_packet_is_as_far_as_its_receipts_say(
    world: World, tmp_path: Path, kind: ReceiptKind
) -> None:
    saved = save(world, tmp_path, POLICE)
    packet_id = send_as_far_as(world, kind)
    held = sorted(path.name for path in (folder(world, "receipts") / packet_id).iterdir())
    restore_alone(world, saved)
    assert len(events(world, "sent-again")) == 1
    assert (status(world)["packetId"], status(world)["state"]) == (packet_id, kind.value)
    world.network.nodes[PROVINCE].open()
    world.drain()
    assert status(world)["state"] == kind.value
    if kind is ACCEPTED:
        world.network.nodes[PROCURATORATE].open()
        world.drain()
    assert delivered(world) == {"R-1": packet_id}
    assert status(world)["state"] == ("delivered" if kind is ACCEPTED else kind.value)
    if kind is not ACCEPTED:
        assert status(world)["final"]
        assert sorted(path.name for path in (folder(world, "receipts") / packet_id).iterdir()) == held
    assert (lying(world, "sent"), lying(world, "outbox")) == (["DATA"], [])
    found = holder(world, packet_id)
    assert (found.node, found.because) == (PROCURATORATE, Because.RECEIPT)
    assert found.holding is (Holding.CASE_SOFTWARE if kind is SIGNED else Holding.INBOX)
