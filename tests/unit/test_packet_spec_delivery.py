from __future__ import annotations

from dataclasses import replace

import pytest

from packet_spec.delivery import decode_delivery, delivered_files, encode_delivery
from packet_spec.errors import FormatError
from packet_spec.identity import content_digest
from packet_spec.limits import PARTS, SEAL_XML_BYTES
from packet_spec.model import Carriage, SealPart
from packet_spec.seal_document import decode_seal, encode_seal
from packet_spec.told import DeliveredFile, Delivery
from tests.support.documents import DAY, DIGEST, KEY, NOW, PROCURATORATE, make_seal

DELIVERY = Delivery(
    key=KEY,
    attempt=1,
    recipient=PROCURATORATE,
    business_type="prosecution.transfer",
    sender_ref="A620199-0007",
    sealed_at=NOW,
    accepted_at=NOW + DAY,
    delivered_at=NOW + 2 * DAY,
    packet_digest=DIGEST,
    content_digest=DIGEST,
    seal_digest=DIGEST,
    encoding="gb18030",
    files=(
        DeliveredFile("起诉意见书.pdf", "起诉意见书.pdf", 5, DIGEST, "POL-020"),
        DeliveredFile("CON.pdf", "part-0002.pdf", 0, DIGEST, "POL-020"),
    ),
)


@pytest.mark.parametrize("delivery", [DELIVERY, replace(DELIVERY, files=())])
def test_deliveries_read_back(delivery):
    assert decode_delivery(encode_delivery(delivery)) == delivery


def test_the_reply_element_stands_ready():
    element = f'<inReplyTo sender="{KEY.sender}">{KEY.packet_id}</inReplyTo>'
    assert element.encode() in encode_delivery(DELIVERY)


def test_what_cannot_be_written():
    with pytest.raises(FormatError):
        encode_delivery(replace(DELIVERY, recipient="nobody"))
    with pytest.raises(FormatError):
        encode_delivery(replace(DELIVERY, files=DELIVERY.files[:1] * 5001))


@pytest.mark.parametrize(
    "name",
    [
        # As many as the seal can carry; in base64 it carries any, and then each & weighs most here.
        pytest.param("&" * 110 + "{:04d}.csv", id="in the seal as text"),
        pytest.param("卷" + "&" * 244 + "{:04d}.csv", id="in the seal as base64"),
    ],
)
def test_what_a_seal_can_list_a_delivery_can_name(name):
    names = [name.format(number).encode("gbk") for number in range(PARTS)]
    parts = tuple(
        SealPart(place, each, 0, DIGEST, Carriage.BLOB, "POL-020") for place, each in enumerate(names, 1)
    )
    digest = content_digest(DIGEST, ((part.name, part.size, part.digest) for part in parts))
    seal = decode_seal(encode_seal(make_seal(parts=parts, packet_digest=DIGEST, content_digest=digest)))
    files = tuple(replace(file, carried_digest=DIGEST) for file in delivered_files(seal).values())
    delivery = replace(DELIVERY, files=files)
    data = encode_delivery(delivery)
    assert len(data) > SEAL_XML_BYTES
    assert decode_delivery(data) == delivery
