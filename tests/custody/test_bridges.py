"""Nodes in between (C14, C16): bridges in a row, one bridge for both ends, and two front-ends alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.fiction.request import DropRequest
from exchanged.trace_values import Holding, StepKind
from packet_spec.identity import PacketKey
from tests.support.bridging import (
    NORTH,
    SOUTH,
    alone,
    alone_with_bridge,
    check_books,
    check_whole,
    count,
    delivered,
    held_by,
    in_a_row,
    one_for_all,
    rows,
    send,
    status,
    traced,
)
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, Network
from tests.support.peer import Peer


@pytest.fixture
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Network]:
    with Network(tmp_path / "lab", request.param()) as network:
        yield network


@pytest.mark.parametrize("world", [in_a_row], indirect=True, ids=["row"])
def test_c14_bridges_in_a_row_pass_a_packet_on_and_leave_only_notes(world: Network) -> None:
    send(world, "案件")
    world.run()
    check_whole(world, "案件")
    assert status(world, "案件")["state"] == "delivered"
    check_books(world)
    for bridge in (NORTH, SOUTH):
        assert rows(world, bridge, "SELECT state, spool FROM packet") == [("done", None)]
        destinations = rows(world, bridge, "SELECT recipient, state FROM destination")
        assert destinations == [(PROCURATORATE, "passed-on")]
        assert rows(world, bridge, "SELECT count(*) FROM receipt WHERE own = 1") == [(0,)]
    notes = rows(world, POLICE, "SELECT node, next_node FROM hop ORDER BY landed_at, left_at, id")
    assert notes == [(NORTH, SOUTH), (SOUTH, PROVINCE), (PROVINCE, PROCURATORATE), (PROCURATORATE, "")]


@pytest.mark.parametrize("world", [one_for_all], indirect=True, ids=["one"])
def test_c14_c16_a_packet_passes_one_bridge_twice_and_the_province_hears_of_it(world: Network) -> None:
    send(world, "判决", business_type="trial.judgment", sender=COURT, copy_to=(POLICE,), extra_documents=())
    world.run()
    check_whole(world, "判决", sender=COURT)
    check_whole(world, "判决", POLICE, sender=COURT)
    assert status(world, "判决", COURT)["state"] == "delivered"
    assert rows(world, PROVINCE, "SELECT state FROM packet") == [("done",)]
    assert rows(world, PROVINCE, "SELECT DISTINCT state FROM destination") == [("delivered",)]
    notes = rows(world, COURT, "SELECT node, next_node FROM hop ORDER BY landed_at, left_at, id")
    assert notes[0] == (NORTH, PROVINCE)
    assert {(NORTH, PROCURATORATE), (NORTH, POLICE)} <= set(notes)
    check_books(world)
    way = [step.node for step in traced(world, COURT, POLICE).steps if step.kind is StepKind.HANDED_OVER]
    assert way == [COURT, NORTH, PROVINCE, NORTH]
    assert traced(world, COURT, POLICE).holder.holding is Holding.INBOX


@pytest.mark.parametrize("world", [one_for_all], indirect=True, ids=["one"])
def test_a_trace_through_one_bridge_twice_ends_where_nothing_came_back(world: Network) -> None:
    world.nodes.pop(PROVINCE).die()
    send(world, "案件", extra_documents=())
    world.run()
    assert traced(world, POLICE, PROCURATORATE).holder.node == NORTH
    assert traced(world, NORTH, PROCURATORATE).holder.node == NORTH


@pytest.mark.parametrize("world", [one_for_all], indirect=True, ids=["one"])
def test_c5_the_status_says_that_a_packet_has_left_although_nobody_accepts_it_yet(world: Network) -> None:
    """It is with the bridge, whose next line may be down for days, and can no longer be cancelled."""
    world.nodes[PROVINCE].die()
    send(world, "案件", extra_documents=())
    world.run()
    told = status(world, "案件")
    assert (told["state"], told["final"]) == ("handed-over", False)
    world.nodes[PROVINCE].open()
    world.run()
    assert status(world, "案件")["state"] == "delivered"


@pytest.mark.parametrize("world", [one_for_all], indirect=True, ids=["one"])
def test_c9_behind_a_bridge_a_known_blob_is_sent_again(world: Network) -> None:
    """What the bridge has shown to hold proves nothing about the agencies behind it."""
    send(world, "一")
    world.run()
    send(world, "二", seed=2)
    world.run()
    assert len(delivered(world, PROCURATORATE)) == 2
    put = rows(world, PROVINCE, "SELECT needed FROM batch_blob")
    assert put
    assert set(put) == {(1,)}
    check_books(world)


@pytest.mark.parametrize("world", [in_a_row], indirect=True, ids=["row"])
def test_c14_what_passed_is_taken_and_forwarded_again(world: Network) -> None:
    """A sender that lost what it had heard offers the packet again: only the ends remember it."""
    world.only(NORTH, SOUTH, PROVINCE, PROCURATORATE)
    police = Peer(world, POLICE, NORTH)
    packet = police.seal(DropRequest("case.report", POLICE, PROCURATORATE, world.clock.now()))
    police.send(packet)
    world.run()
    assert rows(world, NORTH, "SELECT state, spool FROM packet") == [("done", None)]
    police.send(packet)
    world.run()
    assert len(delivered(world, PROCURATORATE)) == 1
    assert rows(world, NORTH, "SELECT state, spool FROM packet") == [("done", None)]
    assert rows(world, NORTH, "SELECT count(*) FROM event WHERE kind = 'admit'") == [(2,)]
    assert rows(world, PROVINCE, "SELECT count(*) FROM event WHERE kind = 'repeat'") == [(1,)]


@pytest.mark.parametrize("world", [in_a_row], indirect=True, ids=["row"])
def test_c14_what_is_still_held_is_suppressed(world: Network) -> None:
    world.only(NORTH)
    police = Peer(world, POLICE, NORTH)
    packet = police.seal(DropRequest("case.report", POLICE, PROCURATORATE, world.clock.now()))
    for _ in range(2):
        police.send(packet)
        world.run()
    assert count(world, NORTH, "packet") == 1
    assert rows(world, NORTH, "SELECT count(*) FROM batch_item WHERE kind = 'packet'") == [(1,)]
    assert held_by(world, NORTH) == []


@pytest.mark.parametrize("world", [one_for_all], indirect=True, ids=["one"])
def test_c16_a_bridge_takes_nothing_from_a_neighbour_behind_whom_its_sender_is_not(world: Network) -> None:
    """The police's seal, true as it is, out of the court's mailbox: whoever copied it gains nothing."""
    world.only(NORTH)
    police, court = Peer(world, POLICE, NORTH), Peer(world, COURT, NORTH)
    packet = police.seal(DropRequest("case.report", POLICE, PROCURATORATE, world.clock.now()))
    court.send(packet)
    world.run()
    assert held_by(world, NORTH) == [("quarantined", "packet-by-a-wrong-road")]
    assert count(world, NORTH, "packet") == 0


@pytest.mark.parametrize("world", [in_a_row], indirect=True, ids=["row"])
def test_c14_a_bridge_forgets_what_passed_after_its_days(world: Network) -> None:
    send(world, "案件", extra_documents=())
    world.run()
    assert count(world, NORTH, "hop") > 0
    send(world, "新", extra_documents=(), seed=2)
    world.run()
    for seconds in (100 * 86_400.0, 40 * 86_400.0, 3_700.0, 3_700.0):
        world.clock.advance(seconds)
        world.run(rounds=90)
    newest = rows(world, NORTH, "SELECT packet_id FROM packet")
    assert len(newest) == 1
    for table in ("receipt", "hop"):
        assert set(rows(world, NORTH, f"SELECT packet_id FROM {table}")) == set(newest), table  # noqa: S608
    assert count(world, NORTH, "destination") == 1
    assert count(world, PROVINCE, "packet") == 2
    check_books(world)


@pytest.mark.parametrize("world", [in_a_row], indirect=True, ids=["row"])
def test_c14_a_bridge_sends_a_hop_note_on_that_comes_late_and_forgets_it(world: Network) -> None:
    """Behind it the way was down for longer than it remembers what passed."""
    world.nodes[PROVINCE].close()
    send(world, "案件", extra_documents=())
    world.run()
    ((packet_id,),) = rows(world, NORTH, "SELECT packet_id FROM packet")
    send(world, "新", extra_documents=(), seed=2)

    def pass_by() -> None:
        for seconds in (100 * 86_400.0, 40 * 86_400.0, 3_700.0, 3_700.0):
            world.clock.advance(seconds)
            world.run(rounds=90)

    pass_by()
    assert (packet_id,) not in rows(world, NORTH, "SELECT packet_id FROM packet")

    def noted(code: str) -> list[str]:
        found = rows(world, code, "SELECT node, packet_id FROM hop")
        return [node for node, about in found if about == packet_id]

    assert noted(NORTH) == []
    world.nodes[PROVINCE].open()
    world.run(rounds=90)
    behind = {SOUTH, PROVINCE, PROCURATORATE}
    assert set(noted(NORTH)) == behind
    send(world, "更新", extra_documents=(), seed=3)
    pass_by()
    assert noted(NORTH) == []
    assert set(noted(POLICE)) == behind | {NORTH}


@pytest.mark.parametrize("world", [alone, alone_with_bridge], indirect=True, ids=["direct", "bridge"])
def test_c21_two_front_ends_without_a_province_admit_for_each_other(world: Network) -> None:
    send(world, "案件")
    world.run()
    check_whole(world, "案件")
    found = status(world, "案件")
    assert (found["state"], found["final"]) == ("delivered", True)
    receipts = rows(world, POLICE, "SELECT kind, issued_by FROM receipt ORDER BY id")
    assert receipts == [("accepted", PROCURATORATE), ("delivered", PROCURATORATE)]
    check_books(world)
    answered = PacketKey(POLICE, str(found["packetId"]))
    reply = {"sender": PROCURATORATE, "receiver": POLICE, "in_reply_to": answered, "extra_documents": ()}
    send(world, "答复", business_type="common.accept", **reply)
    world.run()
    assert status(world, "答复", PROCURATORATE)["state"] == "delivered"
    assert len(delivered(world, POLICE)) == 1
    check_books(world)


@pytest.mark.parametrize("world", [alone], indirect=True, ids=["direct"])
def test_c12_c13_point_to_point_the_same_content_is_sent_once(world: Network) -> None:
    moment = world.clock.now()
    for _ in range(2):
        send(world, "案件", created_at=moment)
        world.run()
    assert len(delivered(world, PROCURATORATE)) == 1
    duplicate = json.loads((world.agency(POLICE) / "status" / "案件.status.json").read_text("utf-8"))
    assert duplicate["state"] == "duplicate"
