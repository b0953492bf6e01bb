from __future__ import annotations

from dataclasses import replace

import pytest

from packet_spec.delivery import decode_delivery, encode_delivery
from packet_spec.errors import FormatError
from packet_spec.told import DeliveredFile, Delivery
from tests.support.documents import DAY, DIGEST, KEY, NOW, PROCURATORATE

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
