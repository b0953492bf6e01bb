"""A check that takes long holds its own packet, is no crash of it, and says who has to wait (ADR 13)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cli.fiction.request import DropRequest
from exchanged.acts.values import Act
from exchanged.errors import CheckTakesLongError
from exchanged.examine import ExamineWork, examine
from exchanged.pool import InlinePool, WorkPool
from frontend_server.judging import judge_drop
from frontend_server.opened import check_opened
from packet_spec.model import ItemKind, ReceiptKind
from tests.custody.test_front_ends import drop, inbox, status
from tests.support import encrypted_lab
from tests.support.acting import act
from tests.support.bridging import NORTH, one_for_all, send
from tests.support.lane import LanePool
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, SimulatedNode, small_plan
from tests.support.province import Province, node, rows


class SlowPool(InlinePool):
    """The packets of one origin take long; ``works`` are all that were asked for."""

    def __init__(self, origin: str = "") -> None:
        self.origin = origin
        self.works: list[ExamineWork] = []

    def run(self, function: Callable[[Any], Any], works: Sequence[Any]) -> list[Any]:
        self.works += works
        return [
            CheckTakesLongError("a check takes long")
            if self.origin and work.origin == self.origin
            else super(SlowPool, self).run(function, [work])[0]
            for work in works
        ]


def reopen(province: Province, pool: WorkPool) -> None:
    """The province with another pool."""
    with_pool(node(province), pool)


def with_pool(opened: SimulatedNode, pool: WorkPool) -> None:
    """A node with another pool."""
    opened.close()
    opened.pool = pool
    # A lab does not wait as long as a real node does.
    limits = replace(opened.config.limits, retry_first_seconds=1.0, retry_max_seconds=300.0)
    opened.config = replace(opened.config, limits=limits)
    opened.open()


def link_of(province: Province, agency: str) -> str:
    return node(province).opened.links.name_of(agency)


def test_a_packet_whose_check_takes_long_holds_up_no_other_agency(province: Province) -> None:
    pool = SlowPool(link_of(province, province.police.agency))
    reopen(province, pool)
    slow = [province.police.seal(province.request(seed=seed)) for seed in (1, 2)]
    moment = province.network.clock.now()
    quick = province.procuratorate.seal(
        DropRequest("prosecution.result", PROCURATORATE, POLICE, moment, seed=3)
    )
    province.police.send(*slow)
    province.procuratorate.send(quick)
    for _ in range(10):
        province.network.round()
    assert province.arrivals() == [("held", "check-takes-long")] * 2
    assert province.police.items(ItemKind.PACKET) == [quick.data]


def test_it_is_asked_for_again_with_growing_delays_and_is_no_crash(province: Province) -> None:
    pool = SlowPool(link_of(province, province.police.agency))
    reopen(province, pool)
    packet = province.police.seal(province.request())
    province.police.send(packet)
    for _ in range(300):
        province.network.round()
    assert province.arrivals() == [("held", "check-takes-long")]
    assert rows(province, "SELECT crashes FROM arrival") == [(0,)]
    # Five minutes: asked at once, then after delays that double; not every second.
    assert 5 <= len(pool.works) <= 10
    assert len(province.events("hold")) == 1
    pool.origin = ""
    for _ in range(20):
        province.network.clock.advance(60)
        province.network.round()
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]
    assert [receipt.kind for receipt in province.receipts(province.police)] == [ReceiptKind.ACCEPTED]


def test_behind_a_bridge_only_the_same_sender_has_to_wait(tmp_path: Path) -> None:
    with Network(tmp_path / "lab", one_for_all()) as network:
        pool = SlowPool()
        hub = network.nodes[PROVINCE]
        hub.close()
        hub.pool = pool
        hub.open()
        send(network, "A", sender=POLICE)
        to_police = {"receiver": POLICE, "business_type": "common.accept", "extra_documents": ()}
        send(network, "B", sender=PROCURATORATE, **to_police)
        network.run()
        assert {work.origin for work in pool.works} == {
            f"{hub.opened.links.name_of(NORTH)} {sender}" for sender in (POLICE, PROCURATORATE)
        }


def wait_long(network: Network, pool: LanePool) -> None:
    """Until it was just asked for in vain, and is not to be asked for again for half a minute at least."""
    for _ in range(400):
        if pool.put_off == 7:
            break
        network.round()
    assert pool.put_off == 7


def look_soon(network: Network) -> None:
    """As the runner would: stations that are due or woken, for a few seconds."""
    for _ in range(8):
        network.round(only_due=True)


def test_what_was_done_in_the_slow_lane_is_judged_at_once(province: Province) -> None:
    pool = LanePool(lambda piece: piece.function is examine)
    reopen(province, pool)
    packet = province.police.seal(province.request())
    province.police.send(packet)
    wait_long(province.network, pool)
    assert province.arrivals() == [("held", "check-takes-long")]
    pool.finish()
    look_soon(province.network)
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]


def test_what_an_operator_holds_is_not_judged_because_its_check_is_done(province: Province) -> None:
    pool = LanePool(lambda piece: piece.function is examine)
    reopen(province, pool)
    packet = province.police.seal(province.request())
    province.police.send(packet)
    wait_long(province.network, pool)
    act(node(province), Act.HOLD, packet.key.packet_id)
    pool.finish()
    look_soon(province.network)
    assert province.arrivals() == [("held", "held-by-operator")]


def test_a_drop_whose_check_is_done_in_the_slow_lane_is_taken_at_once(tmp_path: Path) -> None:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as network:
        pool = LanePool(lambda piece: piece.function is judge_drop)
        with_pool(network.nodes[POLICE], pool)
        drop(network, name="A")
        wait_long(network, pool)
        assert status(network, "A")["state"] == "held"
        pool.finish()
        look_soon(network)
        assert status(network, "A")["state"] == "delivered"


def test_what_was_opened_and_is_checked_in_the_slow_lane_is_delivered_at_once(tmp_path: Path) -> None:
    with Network(tmp_path / "lab", encrypted_lab.encrypting_plan()) as network:
        pool = LanePool(lambda piece: piece.function is check_opened)
        with_pool(network.nodes[PROCURATORATE], pool)
        encrypted_lab.drop(network, "A")
        wait_long(network, pool)
        assert inbox(network) == []
        pool.finish()
        look_soon(network)
        assert len(inbox(network)) == 1
