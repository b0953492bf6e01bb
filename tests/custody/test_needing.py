"""What one end of a link lacks, or says that it lacks, costs nothing each time it is said (C6, I9)."""

from __future__ import annotations

from typing import Any

from exchanged.ledger import blobs
from packet_spec.model import ItemKind
from packet_spec.waybill_model import BatchException, ExceptionKind
from tests.support.network import PROCURATORATE
from tests.support.peer import Sealed
from tests.support.province import Province, answer, node, rows, video_packet


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
