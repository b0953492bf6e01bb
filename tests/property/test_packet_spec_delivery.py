"""No seal is accepted whose delivery.xml would be too large: it could never be delivered."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from packet_spec.delivery import delivered_files, encode_delivery
from packet_spec.identity import PacketKey
from packet_spec.limits import DELIVERED_FILE_BYTES, DELIVERY_XML_BYTES, KIB, NAME_BYTES, PARTS
from packet_spec.model import Carriage, SealPart
from packet_spec.seal_document import encode_seal
from packet_spec.told import DeliveredFile, Delivery
from tests.support.documents import DIGEST, NOW, make_seal

# Everything outside the files, each text as long as its schema allows.
LARGEST = Delivery(
    key=PacketKey("620199-01-00", "0190a5b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b"),
    attempt=2**63 - 1,
    recipient="620199-03-00",
    business_type="t" * 64,
    sender_ref="\U00020000" * 128,
    sealed_at=NOW,
    accepted_at=NOW,
    delivered_at=NOW,
    packet_digest=DIGEST,
    content_digest=DIGEST,
    seal_digest=DIGEST,
    encoding="utf-8",
    files=(),
    maybe_duplicate=True,
)
EMPTY_BYTES = len(encode_delivery(LARGEST))
# What grows: in XML, in base64, when it is shown escaped, from GBK to UTF-8.
WEIGHTY = [*"&<\"'\x01\n\x7f\x80\u2028\u200b\ufffe卷\U00020000a."]
names = st.binary(min_size=1, max_size=NAME_BYTES) | st.builds(
    lambda pieces, times, encoding, end: ("".join(pieces) * times + end).encode(encoding)[:NAME_BYTES],
    st.lists(st.sampled_from(WEIGHTY), min_size=1, max_size=4),
    st.integers(1, NAME_BYTES),
    st.sampled_from(["utf-8", "gb18030"]),
    st.sampled_from(["", ".csv", "\x01", "卷"]),
)


def listed(name: bytes) -> DeliveredFile:
    """The largest entry for a part of that name which a seal takes."""
    part = SealPart(1, name, 2**63 - 1, DIGEST, Carriage.BLOB, "D" * 64)
    seal = make_seal(parts=(part,))
    encode_seal(seal)
    return replace(delivered_files(seal)[1], carried_digest=DIGEST)


@given(names.filter(lambda name: b"\0" not in name))
@example(b"&" * NAME_BYTES)
@example("卷".encode("gbk") + b"&" * (NAME_BYTES - 3))
@example(b'"' * NAME_BYTES)
@example(b"\xff" * NAME_BYTES)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_a_file_takes_no_more_room_than_the_cap_allows_for(name: bytes) -> None:
    file = listed(name)
    assert len(encode_delivery(replace(LARGEST, files=(file,)))) - EMPTY_BYTES <= DELIVERED_FILE_BYTES


def test_as_many_files_as_a_packet_may_have_stay_below_the_cap() -> None:
    assert EMPTY_BYTES <= 4 * KIB
    assert PARTS * DELIVERED_FILE_BYTES + 4 * KIB <= DELIVERY_XML_BYTES
