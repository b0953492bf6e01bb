from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchanged.states import DestinationState
from packet_spec.delivery import decode_delivery
from packet_spec.limits import SEAL_XML_BYTES
from tests.support.inbox import Arrival, FailingKernel, ReceivingFrontend, contents

FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def kernel() -> FailingKernel:
    return FailingKernel()


@pytest.fixture
def frontend(tmp_path: Path, kernel: FailingKernel) -> Iterator[ReceivingFrontend]:
    made = ReceivingFrontend(tmp_path, kernel=kernel)
    yield made
    made.close()


def test_long_names_that_grow_when_they_are_written_are_delivered(frontend):
    """delivery.xml names each file twice, and each & takes five bytes: it may be far larger than the seal."""
    names = [f"{'&' * 247}{number:04d}.csv" for number in range(1_700)]
    key = frontend.deliver(Arrival(inline=dict.fromkeys(names, b"a,b"), blobs={}))
    found = contents(frontend.folder(key))
    assert len(found["seal.xml"]) < SEAL_XML_BYTES < len(found["delivery.xml"])
    assert [file.file for file in decode_delivery(found["delivery.xml"]).files] == names


def test_nothing_is_copied_before_delivery_xml_can_be_said(frontend, kernel, monkeypatch):
    """Should it ever not, each new attempt costs no copy of all parts."""
    monkeypatch.setattr("packet_spec.delivery.DELIVERY_XML_BYTES", 100)
    key = frontend.arrive()
    kernel.write_error = FULL  # whoever writes says so
    frontend.delivery.step()
    assert frontend.events("delivery-waiting") == ['{"reason": "schema-violated", "state": "arrived"}']
    assert frontend.state(key) is DestinationState.ARRIVED
