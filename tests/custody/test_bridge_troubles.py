"""Nodes in between: what is on hold, down, behind, comes again or is given up (C12, C14, C21, C24)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cli.fiction.request import DropRequest
from cli.lab.plan import LabPlan
from exchanged.acts.values import Act
from exchanged.errors import TransportFileError
from exchanged.folder_transport import FolderTransport
from exchanged.keys import load_key
from exchanged.ledger import Transaction, arrivals, releasing
from exchanged.states import ArrivalState, Event
from exchanged.trace_values import Holding, StepKind
from exchanged.transport import Fetched
from packet_spec.directory import encode_directory, sign_directory
from packet_spec.identity import PacketKey
from packet_spec.model import Directory
from tests.support.acting import act, outcomes
from tests.support.bridging import (
    NORTH,
    SOUTH,
    check_books,
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
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, Network, small_plan
from tests.support.peer import Peer, Sealed

DAY = 86_400.0


@pytest.fixture
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Network]:
    with Network(tmp_path / "lab", request.param()) as network:
        yield network


def direct() -> LabPlan:
    return small_plan(POLICE, PROCURATORATE)


row = pytest.mark.parametrize("world", [in_a_row], indirect=True, ids=["row"])
one = pytest.mark.parametrize("world", [one_for_all], indirect=True, ids=["one"])


def link_of(world: Network, node: str, peer: str) -> str:
    return world.nodes[node].opened.links.name_of(peer)


def report(world: Network, police: Peer, **changes: object) -> Sealed:
    return police.seal(
        DropRequest("case.report", POLICE, PROCURATORATE, world.clock.now(), **changes)  # type: ignore[arg-type]
    )


def days_pass(world: Network) -> None:
    """Longer than a bridge remembers, with neighbours heard in between."""
    for seconds in (100 * DAY, 40 * DAY, 3_700.0, 3_700.0):
        world.clock.advance(seconds)
        world.run(rounds=90)


def publish(world: Network, directory: Directory) -> bytes:
    return sign_directory(encode_directory(directory), [load_key(world.layout.root_key)])


@row
def test_c14_what_a_receipt_ended_while_it_was_on_hold_leaves_nothing_that_stops_a_later_packet(
    world: Network,
) -> None:
    """Forgotten rows gave their numbers, and what still waited under them, to the next packet."""
    world.only(NORTH, SOUTH, PROVINCE, PROCURATORATE)
    police, north = Peer(world, POLICE, NORTH), world.nodes[NORTH]
    packet = report(world, police)
    police.send(packet)
    world.run()
    (folder,) = delivered(world, PROCURATORATE)
    act(north, Act.PAUSE, link_of(world, NORTH, SOUTH))
    police.send(packet)
    world.run()
    assert outcomes(act(north, Act.HOLD, packet.key.packet_id)) == ["on-hold"]
    act(north, Act.RESUME, link_of(world, NORTH, SOUTH))
    shutil.rmtree(folder)
    for _ in range(4):
        world.clock.advance(600.0)
        world.run()
    assert rows(world, NORTH, "SELECT state FROM destination") == [("collected",)]
    assert rows(world, NORTH, "SELECT kind FROM outgoing WHERE kind = 'packet'") == []
    days_pass(world)
    later = report(world, police, seed=2)
    police.send(later)
    world.run()
    assert len(delivered(world, PROCURATORATE)) == 1


@row
def test_c18_a_clock_that_was_behind_makes_a_bridge_forget_nothing_early(world: Network) -> None:
    """Times in the ledger may be wrong: what was there when a time was confirmed counts as well."""
    send(world, "一", extra_documents=())
    send(world, "二", extra_documents=(), seed=2)
    world.run()
    world.clock.advance(3_700.0)
    world.run()
    long_ago = "2020-01-01T00:00:00.000000Z"
    north = world.nodes[NORTH].opened.ledger
    north.write(lambda tx: tx.execute("UPDATE packet SET since = ?", long_ago))
    world.clock.advance(3_700.0)
    world.run()
    assert count(world, NORTH, "packet") == 2


@pytest.mark.slow
@row
def test_c14_a_forgotten_packet_leaves_neither_its_number_nor_what_is_told_of_it_later(
    world: Network,
) -> None:
    send(world, "一", extra_documents=())
    world.run()
    send(world, "二", extra_documents=(), seed=2)
    world.run()
    days_pass(world)
    for folder in delivered(world, PROCURATORATE):
        shutil.rmtree(folder)
    for _ in range(4):
        world.clock.advance(600.0)
        world.run()
    assert status(world, "一")["state"] == "collected"
    days_pass(world)
    known = rows(world, NORTH, "SELECT packet_id FROM packet")
    assert len(known) == 1
    assert set(rows(world, NORTH, "SELECT packet_id FROM receipt")) <= set(known)
    check_books(world)
    send(world, "三", extra_documents=(), seed=3)
    world.run()
    assert rows(world, NORTH, "SELECT max(id) FROM packet") == [(3,)]


@one
def test_c14_a_packet_that_waits_for_its_other_passage_costs_little(
    world: Network,
) -> None:
    """It is held here for a receiver whose link is down; its sender, set back, offers it again."""
    world.only(NORTH, PROVINCE, PROCURATORATE)
    police, north = Peer(world, POLICE, NORTH), world.nodes[NORTH]
    act(north, Act.PAUSE, link_of(world, NORTH, PROCURATORATE))
    packet = report(world, police)
    police.send(packet)
    world.run()
    assert rows(world, NORTH, "SELECT state FROM destination") == [("queued",)]
    # Its way up is no step of its way down: it was handed over to the province, not to the receiver.
    way = traced(world, NORTH, PROCURATORATE)
    assert [step.kind for step in way.steps if step.node == NORTH] == [StepKind.LANDED, StepKind.ADMITTED]
    assert way.holder.holding is Holding.HERE
    police.send(packet)
    before = north.head()
    for _ in range(150):
        world.round()
    assert held_by(world, NORTH) == [("held", "passes-already")]
    assert north.head() - before < 40
    act(north, Act.RESUME, link_of(world, NORTH, PROCURATORATE))
    for _ in range(10):
        world.round()
    assert held_by(world, NORTH) == []
    assert len(delivered(world, PROCURATORATE)) == 1
    world.run()
    check_books_without_sender(world)


def check_books_without_sender(world: Network) -> None:
    """Nothing waits but what the hand-driven sender does not acknowledge."""
    for code in world.nodes:
        assert count(world, code, "arrival") == 0, code
        assert rows(world, code, "SELECT kind FROM outgoing WHERE kind = 'packet'") == [], code


@one
def test_c24_no_copy_is_left_out_by_a_bridge_whose_directory_is_behind(
    world: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knows one receiver and not the other; the province, which is ahead, relies on it for both."""
    current = world.nodes[PROVINCE].opened.trust.directory
    without = replace(
        current, version=2, agencies=tuple(each for each in current.agencies if each.code != POLICE)
    )
    for node in world.nodes.values():
        node.opened.trust.offer(publish(world, without))
    world.run()
    newest = publish(world, replace(current, version=3))
    for code, node in world.nodes.items():
        if code != NORTH:
            node.opened.trust.offer(newest)
    fetch, failing = FolderTransport.fetch, [True]

    def fail(self: FolderTransport, name: str, target: Path, *, limit_bytes: int) -> Fetched:
        if failing and name == "directory-3.xml":
            raise TransportFileError("a file cannot be opened", found="Input/output error")
        return fetch(self, name, target, limit_bytes=limit_bytes)

    monkeypatch.setattr(FolderTransport, "fetch", fail)
    send(world, "判决", business_type="trial.judgment", sender=COURT, copy_to=(POLICE,), extra_documents=())
    world.run(rounds=90)
    assert world.nodes[NORTH].opened.trust.version == 2
    assert delivered(world, PROCURATORATE) == delivered(world, POLICE) == []
    assert held_by(world, NORTH) == [("held", "directory-behind")]
    failing.clear()
    world.clock.advance(60.0)
    world.run(rounds=90)
    assert (len(delivered(world, PROCURATORATE)), len(delivered(world, POLICE))) == (1, 1)
    check_books(world)


@one
def test_c21_the_only_copy_on_its_way_down_is_not_given_up_as_known(world: Network) -> None:
    """The same packet passed here on its way up; that is no reason to lose it on its way down."""
    send(world, "案件", extra_documents=())
    north = world.nodes[NORTH]
    down = link_of(world, NORTH, PROVINCE)
    for _ in range(60):
        for station in north.stations:
            if station.name != "judge" or count(world, NORTH, "packet") == 0:
                station.step()
        for code in (POLICE, PROVINCE):
            world.nodes[code].step()
        world.clock.advance(1.0)
        if rows(world, NORTH, f"SELECT id FROM arrival WHERE kind = 'packet' AND link = '{down}'"):  # noqa: S608
            break
    ledger = north.opened.ledger
    (waiting,) = (
        each for each in arrivals.in_state(ledger.read(), ArrivalState.LANDED) if each.kind.value == "packet"
    )
    ledger.write(lambda tx: arrivals.keep(tx, waiting, Event.QUARANTINE, "crashed-three-times"))
    packet_id = waiting.key.packet_id
    assert outcomes(act(north, Act.DISCARD, packet_id)) == ["no-receipt"]
    assert outcomes(act(north, Act.REQUEUE, packet_id)) == ["requeued"]
    world.run()
    assert len(delivered(world, PROCURATORATE)) == 1
    check_books(world)


@row
def test_c23_a_receipt_for_which_there_is_no_link_yet_waits_and_is_not_lost(world: Network) -> None:
    """The directory is ahead of this bridge's configuration."""
    send(world, "案件", extra_documents=())
    south = world.nodes[SOUTH].opened
    by_peer = south.links._by_peer  # as after a start with a shorter configuration
    for _ in range(60):
        world.round()
        if rows(world, SOUTH, "SELECT id FROM packet WHERE state = 'done'"):
            break
    link = by_peer.pop(NORTH)
    world.run()
    assert ("held", "no-route") in held_by(world, SOUTH)
    by_peer[NORTH] = link
    south.ledger.write(releasing.mark)
    world.run()
    assert status(world, "案件")["state"] == "delivered"
    check_books(world)


@row
def test_c24_what_only_an_old_directory_forbids_is_held_at_a_bridge_that_is_behind(
    world: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = world.nodes[PROVINCE].opened.trust.directory
    barred = tuple(replace(each, disabled=each.code == POLICE) for each in current.agencies)
    for node in world.nodes.values():
        node.opened.trust.offer(publish(world, replace(current, version=2, agencies=barred)))
    world.run()
    for code in (POLICE, NORTH):
        world.nodes[code].opened.trust.offer(publish(world, replace(current, version=3)))
    fetch, failing = FolderTransport.fetch, [True]

    def fail(self: FolderTransport, name: str, target: Path, *, limit_bytes: int) -> Fetched:
        if failing and name == "directory-3.xml":
            raise TransportFileError("a file cannot be opened", found="Input/output error")
        return fetch(self, name, target, limit_bytes=limit_bytes)

    monkeypatch.setattr(FolderTransport, "fetch", fail)
    send(world, "案件", extra_documents=())
    world.run(rounds=90)
    assert held_by(world, SOUTH) == [("held", "directory-behind")]
    failing.clear()
    world.clock.advance(60.0)
    world.run(rounds=90)
    assert len(delivered(world, PROCURATORATE)) == 1
    check_books(world)


@pytest.mark.parametrize("world", [direct], indirect=True, ids=["direct"])
def test_c14_what_only_passed_is_admitted_when_its_sender_is_admitted_here_since(world: Network) -> None:
    """Nothing was ever decided about it here: to suppress it as known would lose it."""
    world.only(PROVINCE)
    police = Peer(world, POLICE)
    packet = report(world, police)
    police.send(packet)
    world.run()
    ledger = world.nodes[PROVINCE].opened.ledger
    assert rows(world, PROVINCE, "SELECT kind FROM receipt") == [("accepted",)]

    def as_in_transit(tx: Transaction) -> None:
        tx.execute("DELETE FROM receipt")
        tx.execute("DELETE FROM case_history")
        tx.execute("UPDATE destination SET state = 'passed-on'")
        tx.execute("UPDATE packet SET transit = 1, state = 'done'")

    ledger.write(as_in_transit)
    police.send(packet)
    world.run()
    assert rows(world, PROVINCE, "SELECT kind FROM receipt") == [("accepted",)]
    assert rows(world, PROVINCE, "SELECT transit, state FROM packet") == [(0, "active")]


@row
def test_c16_what_came_over_a_link_that_is_no_longer_configured_is_held_and_nobody_is_blamed(
    world: Network,
) -> None:
    world.only(NORTH)
    police = Peer(world, POLICE, NORTH)
    police.send(report(world, police))
    north = world.nodes[NORTH]
    for station in north.stations:
        if station.name.startswith("link:"):
            station.step()
    north.die()
    original = north.config
    north.config = replace(original, links=tuple(each for each in original.links if each.peer != POLICE))
    north.open()
    world.run()
    assert held_by(world, NORTH) == [("held", "link-not-configured")]
    north.die()
    north.config = original
    north.open()
    world.run()
    assert held_by(world, NORTH) == []
    assert rows(world, NORTH, "SELECT state FROM destination") == [("offered",)]


@row
def test_c12_accepted_sent_again_by_an_operator_reaches_a_receiver_behind_a_bridge(world: Network) -> None:
    """The bridge knows that receipt already; the receiver still waits for it."""
    send(world, "案件", extra_documents=())
    world.run()
    answered = PacketKey(POLICE, str(status(world, "案件")["packetId"]))
    back = {"sender": PROCURATORATE, "receiver": POLICE, "in_reply_to": answered, "extra_documents": ()}
    send(world, "答复", business_type="common.accept", **back)
    world.run()
    packet_id = str(status(world, "答复", PROCURATORATE)["packetId"])
    before = rows(world, NORTH, "SELECT count(*) FROM batch_item WHERE kind = 'receipt'")[0][0]
    assert outcomes(act(world.nodes[PROVINCE], Act.RESEND, packet_id)) == ["resent"]
    for _ in range(12):
        world.round()
    waybills = rows(world, NORTH, "SELECT count(*) FROM batch_item WHERE kind = 'receipt'")[0][0]
    assert waybills == before + 1
    check_books(world)


@pytest.mark.slow
@one
def test_c9_a_bridge_does_not_keep_the_large_parts_of_what_passed(world: Network) -> None:
    send(world, "一")
    world.run()
    blobs = world.nodes[NORTH].opened.blobs
    for seconds in (1.5 * DAY, 1.5 * DAY, 3_700.0, 3_700.0):
        world.clock.advance(seconds)
        world.run(rounds=90)
    assert blobs.files_on_disk() == {}
    assert world.nodes[PROVINCE].opened.blobs.files_on_disk()
    send(world, "二", seed=2)
    world.run()
    assert len(delivered(world, PROCURATORATE)) == 2
    check_books(world)


@row
def test_c5_what_changed_on_a_bridges_own_disk_is_found_there_and_goes_nowhere(
    world: Network,
) -> None:
    """Changed before its batch is composed: the waybill would be true, and only the seal tell."""
    send(world, "案件", extra_documents=())
    north = world.nodes[NORTH]
    upwards = next(each for each in north.stations if each.name == f"link:{link_of(world, NORTH, SOUTH)}")
    place = north.stations.index(upwards)
    north.stations.remove(upwards)
    world.run()
    (spooled,) = (north.config.node.data_dir / "spool").glob("*.batch")
    data = bytearray(spooled.read_bytes())
    data[data.index(b"%PDF") + 100] ^= 1
    spooled.write_bytes(data)
    north.stations.insert(place, upwards)
    world.run()
    assert rows(world, NORTH, "SELECT state FROM destination") == [("on-hold",)]
    assert (count(world, SOUTH, "arrival"), count(world, SOUTH, "packet")) == (0, 0)
    assert delivered(world, PROCURATORATE) == []
    # Its sender is not blamed, and keeps the sealed packet.
    assert rows(world, POLICE, "SELECT state FROM destination") == [("handed-over",)]
    assert status(world, "案件")["final"] is False
    assert rows(world, POLICE, "SELECT count(*) FROM packet WHERE spool IS NOT NULL") == [(1,)]
    world.clock.advance(60.0)
    world.run()
    (notice,) = (north.config.node.data_dir / "notices").glob("*-bytes-rotten-1.txt")
    assert "告警 alarm" in notice.read_text(encoding="utf-8-sig")
