"""C5, C6: acknowledgements that say what no honest neighbour does keep nothing open and fill no ledger."""

from __future__ import annotations

from exchanged.hourly import AN_HOUR
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


def count(province: Province, kind: str) -> int:
    return len(province.events(kind))


def test_c5_held_is_told_once_however_often_it_is_said(province: Province) -> None:
    """An honest neighbour repeats it in every acknowledgement, until a good batch lands under that number."""
    number = forwarded(province)
    for _ in range(4):
        told(province, BatchException(number, ExceptionKind.HELD, "speaks 7"))
    assert count(province, "batch-held-by-neighbour") == 1
    told(province, BatchException(number, ExceptionKind.HELD, "speaks 8"))
    assert count(province, "batch-held-by-neighbour") == 2


def test_c5_words_that_change_always_write_so_many_events_in_an_hour(province: Province) -> None:
    number = forwarded(province)
    words = [f"speaks {one}" for one in range(2, 26)] + [f"forked {one}" for one in range(24)]
    for one in words:
        told(province, BatchException(number, ExceptionKind.HELD, one))
    assert count(province, "batch-held-by-neighbour") == AN_HOUR
    assert count(province, "neighbour-holds-us") == AN_HOUR
    province.network.clock.advance(3600)
    told(province, BatchException(number, ExceptionKind.HELD, "speaks 30"))
    assert count(province, "batch-held-by-neighbour") == AN_HOUR + 1
    assert count(province, "neighbour-takes-us") == 1
