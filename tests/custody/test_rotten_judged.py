"""Rotten bytes where packets are judged and delivered: nobody is blamed, and there is a way out (C6, C21)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exchanged.acts.values import Act, Filter
from exchanged.ledger.verify import verify_ledger
from exchanged.notices import LOOK_SECONDS
from packet_spec.model import ItemKind, ReceiptKind
from packet_spec.waybill_model import ExceptionKind
from tests.custody.test_rotten_bytes import (
    FOUND,
    LARGE,
    STATES,
    delivered,
    no_errors,
    rot,
    rounds,
    stored,
    take,
    told,
)
from tests.support.acting import act, outcomes
from tests.support.bridging import rows
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, small_plan
from tests.support.peer import Sealed
from tests.support.province import Province, video_packet
from tests.support.traffic import drop_packet


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as network:
        network.run()
        yield network


def break_format(path: Path) -> bytes:
    """The beginning, by which its format is known; returns what it was."""
    data = path.read_bytes()
    path.write_bytes(bytes(64) + data[64:])
    return data


def refuses_nobody(province: Province) -> bool:
    """Nobody is blamed for what lies at the province."""
    return ReceiptKind.REFUSED not in {each.kind for each in province.receipts(province.police)}


def held_by_a_rotten_part(province: Province) -> tuple[Sealed, Path, bytes]:
    """A packet that left out what the province has, and has no more; where that lies, and what it was."""
    first, police = video_packet(province), province.police
    police.send(first)
    province.run()
    (digest,) = first.blobs
    path = stored(province.network, PROVINCE, f"blobs/{digest}.1")
    whole = break_format(path)
    for peer in (police, province.procuratorate):
        peer.acknowledge()
    province.run()
    (police.mailbox / "up" / f"{digest}.blob").unlink(missing_ok=True)
    second = video_packet(province)
    police.send(second, blobs=False)
    for _ in range(5):
        province.network.round()
    assert province.arrivals() == [("held", "stored-part-rotten")]
    assert refuses_nobody(province)
    assert rows(province.network, PROVINCE, FOUND) == [
        (second.key.packet_id, f'{{"file": "blobs/{path.name}"}}')
    ]
    for _ in range(3):
        province.network.clock.advance(LOOK_SECONDS)
        province.network.round()
    assert told(province.network, PROVINCE) == [("bytes-rotten", 1)]
    return second, path, whole


def test_nobody_is_refused_for_a_part_that_rotted_here_and_it_comes_whole(province: Province) -> None:
    second, path, whole = held_by_a_rotten_part(province)
    police = province.police
    third = video_packet(province)
    police.send(third, blobs=False)
    province.run()
    answered = police.acknowledgement()
    assert answered is not None
    assert [each.kind for each in answered.exceptions] == [ExceptionKind.NEED]
    police.put_blob(whole)
    for _ in range(10):
        province.network.round()
    assert province.arrivals() == []
    assert path.with_suffix(".2").exists()
    assert refuses_nobody(province)
    assert {second.data, third.data} <= {*province.procuratorate.items(ItemKind.PACKET)}
    for _ in range(3):
        province.network.clock.advance(LOOK_SECONDS)
        province.network.round()
    assert told(province.network, PROVINCE) == []


def test_a_packet_held_by_a_rotten_part_goes_on_when_that_is_put_back(province: Province) -> None:
    second, path, whole = held_by_a_rotten_part(province)
    path.write_bytes(whole)
    province.network.clock.advance(3_600)
    province.run()
    assert (province.arrivals(), refuses_nobody(province)) == ([], True)
    assert second.data in province.procuratorate.items(ItemKind.PACKET)


def test_a_packet_held_by_a_rotten_part_is_given_up_and_its_next_attempt_brings_the_part(
    province: Province,
) -> None:
    second, _path, whole = held_by_a_rotten_part(province)
    police = province.police
    assert outcomes(act(province.network.nodes[PROVINCE], Act.DISCARD, second.key.packet_id)) == [
        "discarded-told"
    ]
    request = province.request("prosecution.transfer", extra_documents=("EVD-024",), video_bytes=2_000_000)
    again = police.seal(request, packet_id=second.key.packet_id, attempt=2)
    police.send(again, blobs=False)
    province.run()
    police.put_blob(whole)
    province.run()
    kinds = [each.kind for each in province.receipts(police) if each.key == second.key]
    assert kinds == [ReceiptKind.UNDELIVERABLE, ReceiptKind.ACCEPTED]
    assert again.data in province.procuratorate.items(ItemKind.PACKET)


def rotten_before_the_inbox(world: Network, pattern: str, **changes: object) -> tuple[str, Path, bytes]:
    """A packet that arrived, and whose bytes change before it is delivered; the file, and what it was."""
    receiver = world.nodes[PROCURATORATE]
    delivery = next(each for each in receiver.stations if each.name == "delivery")
    receiver.stations.remove(delivery)
    packet_id = take(world, **changes)
    rounds(world)
    assert rows(world, PROCURATORATE, STATES) == [("arrived",)]
    path = stored(world, PROCURATORATE, pattern)
    whole = rot(path)
    receiver.stations.append(delivery)
    for _ in range(3):
        world.clock.advance(LOOK_SECONDS)
        rounds(world, 5)
    assert (rows(world, PROCURATORATE, STATES), delivered(world)) == ([("arrived",)], 0)
    file = f"{path.parent.name}/{path.name}"
    assert rows(world, PROCURATORATE, FOUND) == [(packet_id, f'{{"file": "{file}"}}')]
    assert told(world, PROCURATORATE) == [("bytes-rotten", 1)]
    return packet_id, path, whole


AT_THE_RECEIVER = pytest.mark.parametrize(
    ("pattern", "changes"), [("blobs/*.1", LARGE), ("spool/*.batch", {})], ids=["part", "packet"]
)


@AT_THE_RECEIVER
def test_what_rots_before_its_delivery_is_delivered_when_it_is_put_back(
    world: Network, pattern: str, changes: dict[str, object]
) -> None:
    _packet_id, path, whole = rotten_before_the_inbox(world, pattern, **changes)
    path.write_bytes(whole)
    for _ in range(4):
        world.clock.advance(LOOK_SECONDS * 10)
        rounds(world, 5)
    assert (delivered(world), told(world, PROCURATORATE)) == (1, [])
    noted = "SELECT packet FROM rotten_packet UNION ALL SELECT generation FROM rotten_blob"
    assert rows(world, PROCURATORATE, noted) == []
    assert no_errors(world)


@AT_THE_RECEIVER
def test_what_rots_before_its_delivery_is_given_up_and_its_next_attempt_arrives(
    world: Network, pattern: str, changes: dict[str, object]
) -> None:
    """The neighbour would leave the part out: the receiver says that it needs it."""
    packet_id, _path, _whole = rotten_before_the_inbox(world, pattern, **changes)
    assert outcomes(act(world.nodes[PROCURATORATE], Act.DISCARD, packet_id)) == ["discarded-told"]
    rounds(world)
    assert rows(world, POLICE, STATES) == [("undeliverable",)]
    drop_packet(world, **({"seed": 1} | changes))  # type: ignore[arg-type]
    rounds(world, 100)
    assert delivered(world) == 1
    receiver = world.nodes[PROCURATORATE]
    verify_ledger(receiver.opened.ledger.read(), receiver.config.node.data_dir)


def test_what_rots_at_the_province_is_given_up_there_and_its_next_attempt_arrives(world: Network) -> None:
    """Its sender has whole bytes, and can neither cancel nor send them once more by itself."""
    province = world.nodes[PROVINCE]
    link = province.opened.links.name_of(PROCURATORATE)
    assert outcomes(act(province, Act.PAUSE, link)) == ["paused"]
    packet_id = take(world)
    rounds(world)
    assert rows(world, PROVINCE, STATES) == [("queued",)]
    assert outcomes(act(province, Act.DISCARD, packet_id)) == ["not-in-quarantine"]
    held = Filter(state="on-hold")
    assert outcomes(act(province, Act.HOLD, packet_id)) == ["on-hold"]
    assert outcomes(act(province, Act.DISCARD, filter=held, preview=True)) == ["not-in-quarantine"]
    act(province, Act.RELEASE, packet_id)
    rot(stored(world, PROVINCE, "spool/*.batch"))
    act(province, Act.RESUME, link)
    rounds(world)
    assert rows(world, PROVINCE, STATES) == [("on-hold",)]
    assert outcomes(act(world.nodes[POLICE], Act.CANCEL, packet_id)) == ["has-left"]
    assert outcomes(act(province, Act.DISCARD, filter=held, preview=True)) == ["discarded-told"]
    assert outcomes(act(province, Act.DISCARD, packet_id)) == ["discarded-told"]
    (kept,) = (province.config.node.data_dir / "discarded").iterdir()
    assert (kept / "item.packet").stat().st_size > 0
    rounds(world)
    assert rows(world, POLICE, STATES) == [("undeliverable",)]
    assert told(world, PROVINCE) == []
    assert rows(world, PROVINCE, "SELECT 1 FROM outgoing WHERE kind = 'packet'") == []
    drop_packet(world, seed=1)
    rounds(world, 100)
    assert delivered(world) == 1
    verify_ledger(province.opened.ledger.read(), province.config.node.data_dir)
    assert no_errors(world)
