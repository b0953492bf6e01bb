"""What one end of a link lacks, or says that it lacks, costs nothing each time it is said (C6, I9)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exchanged import needing as module
from exchanged.folder_transport import FolderTransport
from exchanged.ledger import blobs
from exchanged.transport import Fetched
from packet_spec.identity import sha256_hex
from packet_spec.model import ItemKind
from packet_spec.waybill_model import BatchException, ExceptionKind
from tests.support.crash import SimulatedCrash
from tests.support.network import POLICE, PROCURATORATE
from tests.support.peer import Sealed, packet_item
from tests.support.province import Province, answer, link_to, node, rows, video_packet

BLOB = b"one blob that many packets name" * 40_000


def offer_without_blobs(province: Province, *packets: Sealed) -> int:
    """Packets for the procuratorate, which is taken to have their blobs. Returns their batch's number."""

    def entitle(transaction: Any) -> None:
        for packet in packets:
            for digest in packet.blobs:
                blobs.entitle(transaction, digest, PROCURATORATE)

    node(province).opened.ledger.write(entitle)
    province.police.send(*packets)
    province.run()
    (number,) = {
        waybill.number
        for waybill in province.procuratorate.waybills()
        if any(item.kind is ItemKind.PACKET for item in waybill.items)
    }
    return number or 0


def say(province: Province, number: int, *lacked: str) -> list[str]:
    """The procuratorate says that it needs these for a batch. Returns what the ledger's writer was asked."""
    need = BatchException(number, ExceptionKind.NEED, "", tuple(sorted(lacked)))
    receiver = province.procuratorate
    receiver.put(receiver.batch([], bare=True, acknowledgement=answer(receiver, need)), name="ack.batch")
    seen: list[str] = []
    connection: Any = node(province).opened.ledger._connection
    connection.set_trace_callback(seen.append)
    province.run()
    connection.set_trace_callback(None)
    return seen


def states(province: Province) -> list[str]:
    return [row[0] for row in rows(province, "SELECT state FROM destination ORDER BY packet")]


def test_c6_the_same_need_said_again_and_again_looks_at_no_packet_of_the_batch(province: Province) -> None:
    packets = [video_packet(province, seed=seed) for seed in (1, 2, 3)]
    number = offer_without_blobs(province, *packets)
    lacked = [digest for packet in packets for digest in packet.blobs]
    first = say(province, number, *lacked)
    assert states(province) == ["offered"] * 3
    assert any("blob_reference" in statement for statement in first)
    again = say(province, number, *lacked)
    about = ("FROM packet", "blob_reference", "UPDATE batch_blob", "entitlement")
    assert [statement for statement in again if any(words in statement for words in about)] == []
    # Nothing is lost by it: what is needed less passes, and all of it in the end.
    say(province, number, *packets[2].blobs)
    assert states(province) == ["handed-over", "handed-over", "offered"]
    say(province, number, *packets[2].blobs)
    assert rows(province, "SELECT count(*) FROM event WHERE kind = 'acknowledge'") == [(2,)]
    province.procuratorate.acknowledge()
    province.run()
    assert states(province) == ["handed-over"] * 3


def test_c6_another_need_looks_only_at_packets_that_may_pass(province: Province) -> None:
    packets = [video_packet(province, seed=seed) for seed in (1, 2, 3)]
    number = offer_without_blobs(province, *packets)
    every = [digest for packet in packets for digest in packet.blobs]
    say(province, number, *every)
    for needed in (every[1:], every[2:]):
        seen = say(province, number, *needed)
        assert len([each for each in seen if "packet.*" in each and "packet.id =" in each]) == 1


def land_needing(province: Province, count: int, *, seed: int = 1, a_batch: int = 100) -> list[Sealed]:
    """Packets of the police that all name one blob, which it does not put."""
    packets = [province.police.seal(province.request(seed=seed + number)) for number in range(count)]
    named = {sha256_hex(BLOB): BLOB}
    for first in range(0, count, a_batch):
        some = packets[first : first + a_batch]
        items = [(packet_item(packet.data, packet.key, named), packet.data) for packet in some]
        province.police.put(province.police.batch(items))
    province.run()
    return packets


def needing(province: Province) -> int:
    return len([state for state, _ in province.arrivals() if state == "needing"])


def test_a_step_of_a_link_that_lacks_something_writes_nothing_and_asks_once(province: Province) -> None:
    land_needing(province, 3)
    assert needing(province) == 3
    link, ledger = link_to(province, POLICE), node(province).opened.ledger
    link.step()
    written: list[str] = []
    read: list[str] = []
    connections: list[tuple[Any, list[str]]] = [(ledger._connection, written), (ledger.read(), read)]
    for connection, seen in connections:
        connection.set_trace_callback(seen.append)
    link.step()
    for connection, _ in connections:
        connection.set_trace_callback(None)
    assert written == []
    assert len([each for each in read if "SELECT DISTINCT arrival_blob.digest" in each]) == 1
    plans = [
        row[3]
        for each in read
        if "arrival" in each
        for row in ledger.read().execute("EXPLAIN QUERY PLAN " + each)
    ]
    assert any("arrival_needing" in plan for plan in plans)
    assert [plan for plan in plans if plan.startswith("SCAN") or "arrival_waiting" in plan] == []


def test_one_blob_that_thousands_wait_for_completes_them_in_groups(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_COMPLETED_A_WRITE", 2)
    land_needing(province, 5)
    groups: list[int] = []
    are_complete = module._are_complete

    def counted(transaction: Any, numbers: tuple[int, ...]) -> None:
        groups.append(len(numbers))
        are_complete(transaction, numbers)

    monkeypatch.setattr(module, "_are_complete", counted)
    province.police.put_blob(BLOB)
    province.run()
    assert groups == [2, 2, 1]
    assert needing(province) == 0
    told = province.police.acknowledgement()
    assert told is not None
    assert (told.through, told.exceptions) == (1, ())


def test_a_crash_between_two_groups_leaves_none_that_lacks_nothing(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_COMPLETED_A_WRITE", 2)
    land_needing(province, 5)
    are_complete, left = module._are_complete, [1]

    def dying(transaction: Any, numbers: tuple[int, ...]) -> None:
        if not left:
            raise SimulatedCrash("between two groups")
        left.pop()
        are_complete(transaction, numbers)

    monkeypatch.setattr(module, "_are_complete", dying)
    province.police.put_blob(BLOB)
    province.network.round()
    assert node(province).parts is None
    monkeypatch.setattr(module, "_are_complete", are_complete)
    node(province).open()
    assert needing(province) == 3
    province.run()
    assert needing(province) == 0
    told = province.police.acknowledgement()
    assert told is not None
    assert (told.through, told.exceptions) == (1, ())


def test_where_much_is_lacked_what_lacks_more_stays_with_its_sender_until_there_is_less(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LACKED_A_LINK", 4)
    packets = land_needing(province, 6, a_batch=2)
    honest = province.police.seal(province.request(seed=50))
    province.police.send(honest)
    province.run()
    assert needing(province) == 4
    told = province.police.acknowledgement()
    assert told is not None
    # Nothing says that the third batch is here; what lacks nothing passes it.
    assert told.through == 2
    assert province.procuratorate.items(ItemKind.PACKET) == [honest.data]
    fetched: list[str] = []
    fetch = FolderTransport.fetch

    def counted(self: FolderTransport, name: str, target: Path, *, limit_bytes: int) -> Fetched:
        fetched.append(name)
        return fetch(self, name, target, limit_bytes=limit_bytes)

    monkeypatch.setattr(FolderTransport, "fetch", counted)
    province.run()
    assert fetched == []
    province.police.put_blob(BLOB)
    province.run()
    assert needing(province) == 0
    told = province.police.acknowledgement()
    assert told is not None
    assert (told.through, told.exceptions) == (4, ())
    landed = rows(province, "SELECT count(DISTINCT packet_id) FROM event WHERE kind = 'landed'")
    assert landed == [(len(packets) + 1,)]
