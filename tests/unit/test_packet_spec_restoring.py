"""What a restored node and its neighbours tell each other, bytes <-> values (C23)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from packet_spec.errors import FormatError, SchemaError
from packet_spec.identity import PacketKey
from packet_spec.limits import NOTE_PAYLOAD_BYTES
from packet_spec.model import Priority
from packet_spec.restoring import (
    WANTED,
    Ask,
    KnownPacket,
    Numbers,
    Page,
    Stream,
    Want,
    decode_restoring,
    encode_restoring,
    pages_of,
)

AT = datetime(2026, 7, 15, 1, 30, tzinfo=UTC)
KEY = PacketKey("620199-01-00", "0190a5b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b")
PACKET = KnownPacket(
    key=KEY,
    attempt=2,
    business_type="case.report",
    sender_ref="虚构-1",
    receiver="620199-03-00",
    copy_to=("620199-04-00",),
    priority=Priority.URGENT,
    expires_at=AT,
    sealed_at=AT,
    incarnation="f" * 32,
    sequence=3,
    content_digest="a" * 64,
    seal_digest="b" * 64,
    in_reply_to=KEY.packet_id,
    supersedes="",
    case_key="police:A1",
    given=True,
    offered=False,
    has_bytes=True,
    destinations=(("620199-03-00", "handed-over"), ("620199-04-00", "queued")),
)
PAGE = Page("c" * 32, last=True, final=False, sure=True)


@pytest.mark.parametrize(
    "said",
    [
        Ask("c" * 32, AT),
        Want("c" * 32, (KEY,)),
        Want("c" * 32, ()),
        PAGE,
        replace(PAGE, stream=Stream("d" * 32, 5, (2, 4)), numbers=Numbers(1, 2, AT)),
        replace(PAGE, packets=(PACKET, replace(PACKET, expires_at=None, case_key="", copy_to=()))),
        replace(PAGE, receipts=("e" * 64,), final=True, last=False),
    ],
)
def test_what_is_written_is_read(said: Ask | Want | Page) -> None:
    assert decode_restoring(encode_restoring(said)) == said


def test_portions_fit_into_a_note_each_and_lose_nothing() -> None:
    longest = replace(PACKET, sender_ref="虚" * 128, copy_to=("620199-04-00",) * 32, destinations=())
    longest = replace(longest, destinations=tuple((f"6201{n:02}-04-00", "handed-over") for n in range(33)))
    packets = (longest,) * 400
    receipts = tuple(f"{number:064x}" for number in range(12_000))
    portions = list(pages_of(packets, receipts))
    assert tuple(packet for some, _ in portions for packet in some) == packets
    assert tuple(digest for _, some in portions for digest in some) == receipts
    for some, digests in portions:
        assert len(encode_restoring(replace(PAGE, packets=some, receipts=digests))) <= NOTE_PAYLOAD_BYTES
    assert list(pages_of((), ())) == []


def test_too_many_wishes_and_what_is_no_such_document_are_refused() -> None:
    with pytest.raises(SchemaError):
        encode_restoring(Want("c" * 32, (KEY,) * (WANTED + 1)))
    most = encode_restoring(Want("c" * 32, (KEY,) * WANTED))
    one = most[most.index(b"<packet") : most.index(b"/>") + 2]
    with pytest.raises(SchemaError):
        decode_restoring(most.replace(one, one * 2, 1))
    with pytest.raises(FormatError):
        decode_restoring(encode_restoring(PAGE).replace(b"<page", b"<pages"))
    with pytest.raises(FormatError):
        decode_restoring(b"<restore/>")
