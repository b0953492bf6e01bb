"""An operator's desk."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchanged.states import Event
from packet_spec.identity import PacketKey
from packet_spec.model import ReceiptKind
from tests.support.asking import Operator, make_node, operator
from tests.support.books import Books, packet_id
from tests.support.documents import BRIDGE, COURT, PROCURATORATE, PROVINCE


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Operator:
    """A node that knows three packets of its own and one that is only landed."""
    config = make_node(tmp_path)
    with Books(tmp_path / "data") as books:
        first = books.packet(1, PROCURATORATE, COURT)
        books.move(first, Event.OFFER, Event.ACKNOWLEDGE)
        books.hop(first, BRIDGE, PROVINCE)
        books.receipt(first, ReceiptKind.ACCEPTED)
        books.packet(2, COURT, business_type="custody.change.receipt")
        books.packet(3, sender=COURT, own=False)
        books.arrival(PacketKey(COURT, packet_id(0x99)), Event.HOLD, reason="unknown-key")
    return operator(config, capsys)
