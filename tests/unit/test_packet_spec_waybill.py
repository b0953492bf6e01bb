from __future__ import annotations

from dataclasses import replace

import pytest
from nacl.signing import SigningKey

from packet_spec.errors import FormatError, SchemaError, SignatureError, UnknownKeyError, VersionError
from packet_spec.identity import PacketKey
from packet_spec.model import ItemKind, KeyUse
from packet_spec.signing import Domain, encode_signature
from packet_spec.waybill import SPEAKS, decode_waybill, encode_waybill, open_waybill, sign_waybill
from packet_spec.waybill_model import (
    Acknowledgement,
    BatchException,
    BlobReference,
    ExceptionKind,
    Waybill,
    WaybillItem,
)
from tests.support.documents import BRIDGE, DIGEST, KEY, KEYS, NOW, POLICE, look_up

LINK_KEY = KEYS[POLICE, KeyUse.LINK]
WAYBILL = Waybill(
    speaks=SPEAKS,
    from_node=POLICE,
    to_node=BRIDGE,
    incarnation="5f3a",
    number=12,
    items=(
        WaybillItem(ItemKind.PACKET, DIGEST, 9, KEY, (BlobReference("1" * 64, 2_000_000),)),
        WaybillItem(ItemKind.RECEIPT, "2" * 64, 1, KEY),
        WaybillItem(ItemKind.HOP, "3" * 64, 1, KEY),
    ),
    acknowledgement=Acknowledgement(
        BRIDGE,
        "77aa",
        4,
        9,
        (
            BatchException(3, ExceptionKind.NEED, blobs=("4" * 64, "5" * 64)),
            BatchException(2, ExceptionKind.HELD, "1"),
            BatchException(1, ExceptionKind.BAD, "digest-mismatch"),
        ),
    ),
    ledger_head="6" * 64,
    directory_version=3,
    sent_at=NOW,
    key_id=LINK_KEY.key_id,
)
BARE = replace(
    WAYBILL, number=None, items=(), ledger_head="", acknowledgement=Acknowledgement(BRIDGE, "7", 0, 0)
)


@pytest.mark.parametrize("waybill", [WAYBILL, BARE, replace(WAYBILL, acknowledgement=None)])
def test_waybills_read_back(waybill):
    data = encode_waybill(waybill)
    assert data.startswith(b"exchanged-waybill-1\n<?xml ")
    assert open_waybill(data, sign_waybill(data, LINK_KEY), look_up) == waybill


@pytest.mark.parametrize("line", [b"exchanged-waybill-2\n", b"", b"exchanged-waybill-1\r\n", b"garbage\n"])
def test_another_version_line_is_told_before_anything_else(line):
    data = encode_waybill(WAYBILL).replace(b"exchanged-waybill-1\n", line)
    for attempt in (
        lambda: open_waybill(data, b"not a signature", look_up),
        lambda: decode_waybill(data),
        lambda: sign_waybill(data, LINK_KEY),
    ):
        with pytest.raises(VersionError):
            attempt()


def test_the_signature_covers_the_version_line_once():
    data = encode_waybill(WAYBILL)
    whole = SigningKey(LINK_KEY.export_seed()).sign(data).signature
    assert sign_waybill(data, LINK_KEY).split()[2] == whole.hex().encode()


def test_the_signature_is_verified_before_parsing():
    data = b"exchanged-waybill-1\n<not xml"
    with pytest.raises(SignatureError):
        open_waybill(data, sign_waybill(encode_waybill(WAYBILL), LINK_KEY), look_up)
    with pytest.raises(FormatError):
        open_waybill(data, sign_waybill(data, LINK_KEY), look_up)


def test_an_unknown_key_is_held():
    data = encode_waybill(WAYBILL)
    with pytest.raises(UnknownKeyError):
        open_waybill(data, sign_waybill(data, LINK_KEY), lambda _: None)


def test_the_waybill_names_its_key():
    data = encode_waybill(WAYBILL)
    other = KEYS[BRIDGE, KeyUse.LINK]
    with pytest.raises(SignatureError, match="another key"):
        open_waybill(data, sign_waybill(data, other), look_up)


def test_a_receipt_signature_is_no_waybill_signature():
    data = encode_waybill(WAYBILL)
    wrong = encode_signature(LINK_KEY.sign(Domain.RECEIPT, data))
    with pytest.raises(SignatureError):
        open_waybill(data, wrong, look_up)


OF_A_NODE = PacketKey(BRIDGE, KEY.packet_id)


def test_a_note_is_of_a_node():
    waybill = replace(WAYBILL, items=(WaybillItem(ItemKind.NOTE, "7" * 64, 1, OF_A_NODE),))
    assert decode_waybill(encode_waybill(waybill)) == waybill


@pytest.mark.parametrize("kind", [kind for kind in ItemKind if kind is not ItemKind.NOTE])
def test_nothing_but_a_note_is_of_a_node(kind):
    waybill = replace(WAYBILL, items=(WaybillItem(kind, "7" * 64, 1, OF_A_NODE),))
    with pytest.raises(SchemaError, match="no agency"):
        encode_waybill(waybill)
    written = encode_waybill(replace(waybill, items=(replace(waybill.items[0], kind=ItemKind.NOTE),)))
    with pytest.raises(SchemaError, match="no agency"):
        decode_waybill(written.replace(b'kind="note"', f'kind="{kind}"'.encode()))


def items(count: int):
    return tuple(WaybillItem(ItemKind.RECEIPT, f"{number:064x}", 1, KEY) for number in range(count))


def test_the_items_are_capped():
    full = replace(WAYBILL, items=items(4096))
    assert decode_waybill(encode_waybill(full)) == full
    with pytest.raises(FormatError):
        encode_waybill(replace(WAYBILL, items=items(4097)))
    line = b'  <item kind="hop" digest="%s" size="1" sender="%s" packetId="%s"/>\n'
    line %= (b"3" * 64, POLICE.encode(), KEY.packet_id.encode())
    data = encode_waybill(full).replace(b"</waybill>", line + b"</waybill>")
    with pytest.raises(FormatError):
        decode_waybill(data)


@pytest.mark.parametrize(
    "changes",
    [
        {"number": 0},
        {"from_node": "somebody"},
        {"speaks": ()},
        {"key_id": ""},
        {"directory_version": -1},
        {"ledger_head": "x"},
        {"incarnation": ""},
    ],
)
def test_values_that_cannot_be_written(changes):
    with pytest.raises(FormatError):
        encode_waybill(replace(WAYBILL, **changes))
