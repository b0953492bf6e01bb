"""What judges bytes that rotted: each put of them, each item that is not what it says, each keeper."""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest

from certainty.sweep.rotten import Puts, _keepers, _too_often, is_whole
from packet_spec.identity import PacketKey
from packet_spec.model import ItemKind
from packet_spec.waybill import encode_waybill
from packet_spec.waybill_model import Waybill, WaybillItem

KEY = PacketKey("620199-01-00", "019f6365-21c0-77fb-9144-f70390bde43d")
WAYBILL = Waybill(
    speaks=("1",), from_node="620199-01-00", to_node="620000-00-00", incarnation="6ae6833077106789", number=1,
    items=(), acknowledgement=None, ledger_head="0" * 64, directory_version=1,
    sent_at=datetime(2026, 11, 30, tzinfo=UTC), key_id="0123456789abcdef" * 2,
)  # fmt: skip


def test_changed_bytes_in_the_mailbox_are_seen_once_for_each_put(tmp_path: Path) -> None:
    whole, changed = b"a sealed packet, whole", b"a sealed pakket, whole"
    name = f"{hashlib.sha256(whole).hexdigest()}.blob"
    puts = Puts(tmp_path)
    (tmp_path / name).write_bytes(whole)
    (tmp_path / ".part").write_bytes(changed)
    puts.look()
    assert puts.rotten == []
    for again in (1, 2):
        (tmp_path / f"{again}").write_bytes(changed)
        (tmp_path / f"{again}").rename(tmp_path / name)
        puts.look()
        puts.look()
        assert puts.rotten == [name] * again
    puts.window = b"pakket"
    (tmp_path / "ack.batch").write_bytes(changed)
    puts.look()
    assert puts.rotten[2:] == ["ack.batch"]


@pytest.mark.parametrize("is_changed", [False, True])
def test_an_item_of_a_batch_that_is_not_what_its_waybill_says_is_seen(is_changed: bool) -> None:
    item = b"the bytes of an item"
    digest = hashlib.sha256(item).hexdigest()
    waybill = replace(WAYBILL, items=(WaybillItem(ItemKind.PACKET, digest, len(item), KEY),))
    members = (encode_waybill(waybill), b"signature", item.replace(b"i", b"o") if is_changed else item)
    data = BytesIO()
    with tarfile.open(fileobj=data, mode="w") as batch:
        for number, member in enumerate(members):
            info = tarfile.TarInfo(str(number))
            info.size = len(member)
            batch.addfile(info, BytesIO(member))
    assert is_whole("00000001-6ae6833077106789.batch", data.getvalue()) is not is_changed


@pytest.mark.parametrize(("most", "invariants"), [(0, ["I4"]), (1, ["I4"]), (2, [])])
def test_changed_bytes_that_are_put_too_often_are_told(most: int, invariants: list[str]) -> None:
    puts = Puts(Path("up"), rotten=["1-a.batch", "2-b.batch"])
    assert [each.invariant for each in _too_often(puts, most, "case 7")] == invariants


def test_another_node_that_keeps_changed_bytes_is_told(tmp_path: Path) -> None:
    (tmp_path / "node" / "spool").mkdir(parents=True)
    (tmp_path / "node" / "spool" / "1.group").write_bytes(b"a sealed pakket")
    assert list(_keepers([tmp_path / "node"], b"packet")) == []
    assert len(list(_keepers([tmp_path / "node"], b"pakket"))) == 1
