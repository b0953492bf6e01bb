"""C5, C6: acknowledgements that say what no honest neighbour does keep nothing open and fill no ledger."""

from __future__ import annotations

from packet_spec.model import ItemKind
from packet_spec.waybill_model import BatchException, ExceptionKind
from tests.support.network import PROCURATORATE
from tests.support.province import Province, answer, node, rows, video_packet


def told(province: Province, *exceptions: BatchException) -> None:
    """The procuratorate acknowledges what lies there, but for these."""
    receiver = province.procuratorate
    acknowledgement = answer(receiver, *exceptions)
    receiver.put(receiver.batch([], bare=True, acknowledgement=acknowledgement), name="ack.batch")
    province.run()


def forwarded(province: Province) -> int:
    """A packet comes from the police; the number of the batch in which it goes on."""
    province.procuratorate.greet()
    province.police.send(video_packet(province))
    province.run()
    waybills = [one for one in province.procuratorate.waybills() if one.number is not None]
    (number,) = [
        one.number for one in waybills if any(item.kind is ItemKind.PACKET for item in one.items)
    ]
    return number or 0


def states(province: Province) -> list[str]:
    """Of the batches for the procuratorate."""
    name = node(province).opened.links.name_of(PROCURATORATE)
    return [state for link, state in rows(province, "SELECT link, state FROM batch_out") if link == name]


def test_c6_who_needs_what_a_batch_does_not_name_keeps_it_open_for_nothing(province: Province) -> None:
    number = forwarded(province)
    told(province, BatchException(number, ExceptionKind.NEED, blobs=("a" * 64,)))
    assert rows(province, "SELECT state FROM destination") == [("handed-over",)]
    assert set(states(province)) == {"closed"}
    assert list((province.procuratorate.mailbox / "down").glob("*.blob")) == []


def test_c6_of_what_is_needed_only_what_the_batch_names_counts(province: Province) -> None:
    number = forwarded(province)
    ((digest,),) = rows(province, "SELECT digest FROM batch_blob")
    told(province, BatchException(number, ExceptionKind.NEED, blobs=("a" * 64, digest)))
    assert rows(province, "SELECT state FROM destination") == [("offered",)]
    assert "needing" in states(province)
    told(province, BatchException(number, ExceptionKind.NEED, blobs=("b" * 64,)))
    assert rows(province, "SELECT state FROM destination") == [("handed-over",)]
    assert set(states(province)) == {"closed"}
