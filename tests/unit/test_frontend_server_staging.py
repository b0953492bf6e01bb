from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchanged.ledger import statements
from exchanged.states import DestinationState
from packet_spec.delivery import decode_delivery
from packet_spec.limits import SEAL_XML_BYTES
from packet_spec.model import KeyUse, ReceiptKind
from packet_spec.receipt import open_receipt, sign_receipt
from tests.support.documents import KEYS, NOW, PROVINCE, look_up, make_receipt
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


def accepted_other_content(frontend: ReceivingFrontend, arrival: Arrival) -> None:
    """The admitting node accepted that attempt with other content, and was restored; its word came back."""
    receipt = make_receipt(
        ReceiptKind.ACCEPTED, key=arrival.key, attempt=arrival.attempt, content_digest="0" * 64, issued_at=NOW
    )
    document = sign_receipt(receipt, KEYS[PROVINCE, KeyUse.RECEIPT])
    frontend.ledger.write(lambda tx: statements.record_receipt(tx, receipt, document, own=False))


def test_the_proof_that_is_delivered_speaks_of_what_is_delivered(frontend):
    accepted_other_content(frontend, Arrival())
    key = frontend.deliver()
    packet, _ = frontend.rows(key)
    found = contents(frontend.folder(key))
    assert open_receipt(found["accepted.xml"], look_up)[0].content_digest == packet.content_digest


def test_the_proof_of_other_content_is_not_enough(frontend):
    arrival = Arrival(is_accepted=False)
    accepted_other_content(frontend, arrival)
    key = frontend.arrive(arrival)
    frontend.delivery.step()
    assert frontend.state(key) is DestinationState.ARRIVED
