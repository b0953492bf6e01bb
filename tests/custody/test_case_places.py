"""Only the last attempt of a packet has a place in a case (C12, C17)."""

from __future__ import annotations

from pathlib import Path

from cli.fiction.request import DropRequest
from exchanged.ledger import batches
from packet_spec.identity import PacketKey
from packet_spec.model import ItemKind, ReceiptKind
from tests.custody.test_earlier_attempts import refuse
from tests.support.bridging import alone, send, status
from tests.support.bridging import rows as rows_of
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, SimulatedNode
from tests.support.peer import Sealed
from tests.support.province import Province, receipt_item, rows
from tests.support.restoring import World

IDENTITY = "019f6365-21c0-7cf0-bac3-fed983341449"
CASE_OF_NUMBER = "SELECT DISTINCT case_id FROM case_number ORDER BY case_id"
HISTORY = "SELECT business_type, sender FROM case_history ORDER BY id"


def send_and_refuse(province: Province, packet: Sealed) -> None:
    """It is accepted, and its receiver does not want it."""
    province.police.send(packet)
    province.run()
    receiver = province.procuratorate
    refused = receipt_item(province, packet, ReceiptKind.REFUSED, PROCURATORATE, receiver)
    receiver.put(receiver.batch([refused]))
    province.run()


def said(province: Province) -> list[ReceiptKind]:
    return [receipt.kind for receipt in province.receipts(province.police)]


def test_c17_a_number_that_was_corrected_after_a_refusal_joins_no_cases(province: Province) -> None:
    """The wrong number of the first attempt is that of a case of others, or of nobody's."""
    first = province.police.seal(province.request("prosecution.transfer", seed=1))
    send_and_refuse(province, first)
    right = province.police.seal(
        province.request("prosecution.transfer", seed=2), packet_id=first.key.packet_id, attempt=2
    )
    province.police.send(right)
    province.run()
    assert said(province) == [ReceiptKind.ACCEPTED, ReceiptKind.REFUSED, ReceiptKind.ACCEPTED]
    before = rows(province, CASE_OF_NUMBER)
    assert len(before) == 2
    assert rows(province, HISTORY) == [("prosecution.transfer", POLICE)]
    now = province.network.clock.now()
    reply = DropRequest("common.accept", PROCURATORATE, POLICE, now, in_reply_to=right.key, seed=2)
    province.procuratorate.send(province.procuratorate.seal(reply))
    province.run()
    assert [each.kind for each in province.receipts(province.procuratorate)][-1] is ReceiptKind.ACCEPTED
    assert province.events("case-joined") == []
    assert rows(province, CASE_OF_NUMBER) == before
    cases = rows(province, "SELECT DISTINCT case_id FROM case_history")
    assert len(cases) == 1


def test_c17_a_type_that_was_corrected_after_a_refusal_is_the_one_that_its_case_has_had(
    province: Province,
) -> None:
    """The refused one stands in nobody's way, under ``warn`` neither, and is no predecessor."""
    first = province.police.seal(province.request("prosecution.transfer"))
    send_and_refuse(province, first)
    right = province.police.seal(province.request("arrest.request"), packet_id=first.key.packet_id, attempt=2)
    province.police.send(right)
    province.run()
    assert said(province) == [ReceiptKind.ACCEPTED, ReceiptKind.REFUSED, ReceiptKind.ACCEPTED]
    assert rows(province, HISTORY) == [("arrest.request", POLICE)]
    assert len(rows(province, CASE_OF_NUMBER)) == 1


def test_c17_point_to_point_the_sender_knows_its_own_packet_by_the_last_number(tmp_path: Path) -> None:
    """Each side admits the other's packets: what the sender keeps of its own decides about the reply."""
    with Network(tmp_path / "lab", alone()) as world:
        send(world, "误", seed=1, packet_id=IDENTITY, business_type="arrest.request", extra_documents=())
        world.run()
        refuse(world, IDENTITY)
        world.run()
        assert status(world, "误")["state"] == "refused"
        send(world, "正", seed=2, packet_id=IDENTITY)
        world.run()
        again = status(world, "正")
        assert (again["state"], again["attempt"]) == ("delivered", 2)
        for node in (POLICE, PROCURATORATE):
            assert rows_of(world, node, "SELECT business_type FROM case_history") == [
                ("prosecution.transfer",)
            ]
        reply = {"sender": PROCURATORATE, "receiver": POLICE, "in_reply_to": PacketKey(POLICE, IDENTITY)}
        send(world, "答复", seed=2, business_type="common.accept", extra_documents=(), **reply)
        world.run()
        assert status(world, "答复", PROCURATORATE)["state"] == "delivered"
        for node in (POLICE, PROCURATORATE):
            assert rows_of(world, node, "SELECT * FROM event WHERE kind = 'case-joined'") == []
            assert len(rows_of(world, node, "SELECT DISTINCT case_id FROM case_number")) == 2
            assert len(rows_of(world, node, "SELECT DISTINCT case_id FROM case_history")) == 1


def test_c17_point_to_point_the_sender_knows_the_case_whenever_accepted_comes(tmp_path: Path) -> None:
    """After ``delivered``, which says more: it moves no state any more."""
    with Network(tmp_path / "lab", alone()) as world:
        send(world, "案件")
        receiver = world.nodes[PROCURATORATE]
        step_until_accepted(world)
        hold_accepted(receiver, held=True)
        world.run()
        assert status(world, "案件")["state"] == "delivered"
        hold_accepted(receiver, held=False)
        world.run()
        assert rows_of(world, POLICE, "SELECT count(*) FROM receipt WHERE kind = 'accepted'") == [(1,)]
        history = rows_of(world, POLICE, "SELECT business_type, sender FROM case_history")
        assert history == [("prosecution.transfer", POLICE)]


def step_until_accepted(world: Network) -> None:
    """Stations of both, one after the other; the receiver's stops when it has decided."""
    for _ in range(20):
        world.nodes[POLICE].step()
        for station in world.nodes[PROCURATORATE].stations:
            station.step()
            if rows_of(world, PROCURATORATE, "SELECT 1 FROM receipt WHERE kind = 'accepted'"):
                return
        world.clock.advance(1.0)
    raise AssertionError("it was never accepted")


def hold_accepted(node: SimulatedNode, *, held: bool) -> None:
    """The receipt does not leave yet, or may again."""
    row = node.opened.ledger.read().execute("SELECT id FROM receipt WHERE kind = 'accepted'").fetchone()
    (link,) = node.opened.config.links
    node.opened.ledger.write(
        lambda tx: batches.set_held(tx, link.name, ItemKind.RECEIPT, row["id"], held=held)
    )


def test_c17_c23_a_restored_province_moves_a_packet_to_the_case_of_its_last_attempt(
    world: World, tmp_path: Path
) -> None:
    """Its backup knows the refused attempt; the next one is told by its neighbours."""
    network = world.network
    send(network, "误", seed=1, packet_id=IDENTITY, business_type="arrest.request", extra_documents=())
    network.run()
    refuse(network, IDENTITY)
    network.run()
    saved = world.snapshot(PROVINCE, tmp_path / "refused")
    send(network, "正", seed=2, packet_id=IDENTITY)
    network.run()
    assert status(network, "正")["state"] == "delivered"
    network.nodes[PROVINCE].die()
    world.restore(PROVINCE, saved)
    network.nodes[PROVINCE].open()
    world.drain()
    assert rows_of(network, PROVINCE, "SELECT business_type FROM case_history") == [("prosecution.transfer",)]
    reply = {"sender": PROCURATORATE, "receiver": POLICE, "in_reply_to": PacketKey(POLICE, IDENTITY)}
    send(network, "答复", seed=2, business_type="common.accept", extra_documents=(), **reply)
    network.run()
    assert status(network, "答复", PROCURATORATE)["state"] == "delivered"
    assert rows_of(network, PROVINCE, "SELECT * FROM event WHERE kind = 'case-joined'") == []
    assert len(rows_of(network, PROVINCE, "SELECT DISTINCT case_id FROM case_number")) == 2
