"""The bytes of a batch as they are put."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exchanged import batch
from exchanged.batch import BatchSource
from exchanged.durable import DurableFiles, Volume
from exchanged.spool import Spool
from packet_spec.identity import PacketKey, sha256_hex
from packet_spec.model import ItemKind
from packet_spec.waybill_model import WaybillItem
from tests.support.clock import FakeRandomness


def test_putting_a_batch_measures_each_of_its_items_a_few_times_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its size was summed up anew with every block: a batch of thousands of receipts took minutes."""
    content, count = b"r", 200
    item = WaybillItem(ItemKind.RECEIPT, sha256_hex(content), 1, PacketKey("620199-01-00", "p"))
    measured: list[Any] = []
    length = batch._length

    def counted(of: Any) -> int:
        measured.append(of)
        return length(of)

    monkeypatch.setattr(batch, "_length", counted)
    spool = Spool(tmp_path, DurableFiles(Volume.OWN), FakeRandomness("batch"))
    source = BatchSource(spool, b"w", b"s", [item] * count, [content] * count)
    # As a transport does: with each block it looks whether there are more than were stated.
    sizes = [(len(block), source.size) for block in source.blocks()]
    assert {size for _, size in sizes} == {sum(each for each, _ in sizes)}
    assert len(measured) < 12 * count
