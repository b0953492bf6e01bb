"""Revoked and disabled: what the directory says closes every door of a node that knows it (C1, C21, C24)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from exchanged.station import Station
from packet_spec.model import Directory, ItemKind, KeyUse
from tests.custody.test_front_ends import drop, inbox
from tests.support.listing import next_version, with_node, with_revoked
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, SimulatedNode, small_plan
from tests.support.province import Province, link_to, node, publish, video_packet
from tests.support.publishing import signed


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as made:
        yield made


def disabled(directory: Directory, code: str, *, is_disabled: bool = True) -> Directory:
    return next_version(with_node(directory, code, disabled=is_disabled))


def take(province: Province, directory: Directory) -> None:
    """As a person puts it in: from then on it is in force."""
    incoming = node(province).opened.trust.incoming
    (incoming / f"directory-{directory.version}.xml").write_bytes(publish(province, directory))


def in_force(province: Province) -> Directory:
    return node(province).opened.trust.directory


def down(province: Province) -> list[str]:
    return sorted(path.name for path in (province.procuratorate.mailbox / "down").iterdir())


def test_c1_what_a_disabled_neighbour_has_not_disposed_of_is_taken_back_and_put_again(
    province: Province,
) -> None:
    packet = video_packet(province)
    province.police.send(packet)
    province.run()
    before = {
        path.name: path.read_bytes()
        for path in (province.procuratorate.mailbox / "down").iterdir()
        if path.suffix in {".blob", ".batch"} and path.name != "ack.batch"
    }
    assert {path.rpartition(".")[2] for path in before} == {"blob", "batch"}
    take(province, disabled(in_force(province), PROCURATORATE))
    province.run()
    assert down(province) == []
    assert [event["detail"] for event in province.events("neighbour-disabled")]
    take(province, disabled(in_force(province), PROCURATORATE, is_disabled=False))
    province.run()
    after = province.procuratorate.mailbox / "down"
    assert {name: (after / name).read_bytes() for name in before} == before
    assert len(province.events("neighbour-enabled")) == 1
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]


def test_c1_a_blob_that_is_half_put_when_its_neighbour_is_disabled_goes_too(province: Province) -> None:
    province.police.send(video_packet(province))
    province.run()
    (blob,) = (name for name in down(province) if name.endswith(".blob"))
    partial = province.procuratorate.mailbox / "down" / f".{blob}.part"
    partial.write_bytes(b"the first half")
    take(province, disabled(in_force(province), PROCURATORATE))
    province.run()
    assert down(province) == []


def test_what_is_addressed_to_a_disabled_node_waits_and_goes_when_it_is_enabled(province: Province) -> None:
    take(province, disabled(in_force(province), PROCURATORATE))
    province.run()
    packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    assert down(province) == []
    take(province, disabled(in_force(province), PROCURATORATE, is_disabled=False))
    province.run()
    if not province.procuratorate.items(ItemKind.PACKET):
        # Refused while its receiver was disabled: then the sender has been told.
        assert [receipt.kind.value for receipt in province.receipts(province.police)] == ["refused"]


def test_waybills_of_a_disabled_node_are_refused_and_taken_when_it_is_enabled(province: Province) -> None:
    take(province, disabled(in_force(province), POLICE))
    province.run()
    packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    assert province.arrivals() == []
    assert [event["kind"] for event in province.events("mailbox-file-refused")]
    take(province, disabled(in_force(province), POLICE, is_disabled=False))
    province.run()
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]


def test_waybills_under_a_revoked_link_key_are_refused(province: Province) -> None:
    revoked = with_revoked(in_force(province), POLICE, KeyUse.LINK, province.network.clock.now())
    take(province, next_version(revoked))
    province.run()
    province.police.send(province.police.seal(province.request()))
    province.run()
    assert province.arrivals() == []


def test_packets_under_a_revoked_seal_key_are_held_although_they_landed_before(province: Province) -> None:
    province.police.send(province.police.seal(province.request()))
    link_to(province, POLICE).step()
    province.network.clock.advance(1)
    revoked = with_revoked(in_force(province), POLICE, KeyUse.SEAL, province.network.clock.now())
    node(province).opened.trust.offer(publish(province, next_version(revoked)))
    province.run()
    assert province.arrivals() == [("held", "revoked-since")]
    assert not province.procuratorate.items(ItemKind.PACKET)


def test_c24_a_disabled_neighbour_still_brings_a_newer_directory(province: Province) -> None:
    take(province, disabled(in_force(province), POLICE))
    province.run()
    newer = disabled(in_force(province), POLICE, is_disabled=False)
    up = province.police.mailbox / "up"
    (up / f"directory-{newer.version}.xml").write_bytes(publish(province, newer))
    province.run()
    assert in_force(province) == newer


# --- received, and not yet delivered ------------------------------------------------------------


def station(found: SimulatedNode, name: str) -> Station:
    return next(one for one in found.stations if one.name.startswith(name))


def offer(network: Network, code: str, directory: Directory) -> None:
    network.nodes[code].opened.trust.offer(signed(network, directory))


def wait_before_the_inbox(network: Network, *, staged: bool) -> tuple[SimulatedNode, Directory]:
    """A packet has come to the procuratorate and is not in its inbox yet; ``staged``: it nearly is."""
    receiver = network.nodes[PROCURATORATE]
    delivery = station(receiver, "delivery")
    receiver.stations.remove(delivery)
    drop(network, name="one")
    network.run()
    if staged:
        # Something of the case software's stands where the folder of the type should be made.
        in_the_way = network.agency(PROCURATORATE) / "inbox" / "case.report"
        in_the_way.write_text("in the way")
        delivery.step()
        in_the_way.unlink()
        network.clock.advance(600)
    receiver.stations.append(delivery)
    return receiver, receiver.opened.trust.directory


def states(found: SimulatedNode) -> list[str]:
    rows = found.opened.ledger.read().execute("SELECT state FROM destination")
    return [row["state"] for row in rows]


def reasons(found: SimulatedNode) -> list[str]:
    rows = found.opened.ledger.read().execute("SELECT detail FROM event WHERE kind = 'delivery-waiting'")
    return [row["detail"] for row in rows]


@pytest.mark.parametrize("staged", [False, True], ids=["arrived", "delivering"])
@pytest.mark.parametrize("what", ["revoked", "node disabled", "agency disabled"])
def test_what_is_received_but_not_delivered_when_its_key_or_sender_goes_is_held(
    network: Network, what: str, staged: bool
) -> None:
    receiver, before = wait_before_the_inbox(network, staged=staged)
    assert states(receiver) == ["delivering" if staged else "arrived"]
    now = network.clock.now()
    agencies = tuple(
        replace(agency, disabled=agency.code == POLICE or agency.disabled) for agency in before.agencies
    )
    changed = {
        "revoked": with_revoked(before, POLICE, KeyUse.SEAL, now),
        "node disabled": with_node(before, POLICE, disabled=True),
        "agency disabled": replace(before, agencies=agencies),
    }[what]
    offer(network, PROCURATORATE, next_version(changed))
    for _ in range(3):
        station(receiver, "delivery").step()
        network.clock.advance(600)
    assert inbox(network) == []
    # It goes back: there an operator may give it up.
    assert states(receiver) == ["arrived"]
    assert ("revoked-since" if what == "revoked" else "no-authority") in reasons(receiver)[-1]
    offer(network, PROCURATORATE, replace(before, version=3))
    station(receiver, "delivery").step()
    assert len(inbox(network)) == 1
    assert states(receiver) == ["delivered"]


def test_the_province_tells_its_nodes_within_one_round_of_each(network: Network) -> None:
    """Every node that is linked refuses what the directory closes, whoever got it first."""
    network.run()
    before = network.nodes[PROVINCE].opened.trust.directory
    incoming = network.nodes[PROVINCE].opened.trust.incoming
    (incoming / "directory-2.xml").write_bytes(signed(network, disabled(before, POLICE)))
    network.round()
    network.round()
    assert network.nodes[PROVINCE].opened.trust.directory.version == 2
    assert network.nodes[PROCURATORATE].opened.trust.directory.version == 2
