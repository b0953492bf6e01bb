"""Rotten bytes where packets are judged and delivered: nobody is blamed, and there is a way out (C6, C21)."""

from __future__ import annotations

from pathlib import Path

from exchanged.acts.values import Act
from exchanged.notices import LOOK_SECONDS
from packet_spec.model import ItemKind, ReceiptKind
from packet_spec.waybill_model import ExceptionKind
from tests.custody.test_rotten_bytes import FOUND, stored, told
from tests.support.acting import act, outcomes
from tests.support.bridging import rows
from tests.support.network import PROVINCE
from tests.support.peer import Sealed
from tests.support.province import Province, video_packet


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
