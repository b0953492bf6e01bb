from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exchanged.ledger import effects
from exchanged.states import DestinationState
from frontend_server.dispositions import DeliveryUnfinishedError
from packet_spec.errors import SchemaError
from packet_spec.findings import Finding, Severity
from packet_spec.identity import PacketKey
from packet_spec.model import Disposition, ReceiptKind
from packet_spec.receipt import open_receipt
from tests.support.documents import COURT, FINDING, NOW, POLICE, PROCURATORATE, look_up
from tests.support.inbox import Arrival, ReceivingFrontend, packet_id

SIGNED, REFUSED = ReceiptKind.SIGNED, ReceiptKind.REFUSED


@pytest.fixture
def frontend(tmp_path: Path) -> Iterator[ReceivingFrontend]:
    made = ReceivingFrontend(tmp_path)
    yield made
    made.close()


def answer(
    frontend: ReceivingFrontend,
    key: PacketKey,
    kind: ReceiptKind = SIGNED,
    findings: tuple[Finding, ...] = (),
) -> list[str]:
    """Take a disposition; the codes of its findings."""
    disposition = Disposition(key, kind, "虚构丙", NOW, findings)
    found = frontend.ledger.write(lambda tx: frontend.dispositions.take(tx, disposition))
    assert all(finding.severity is Severity.REFUSE and finding.zh and finding.en for finding in found)
    return [finding.code for finding in found]


def receipt(frontend: ReceivingFrontend, key: PacketKey, kind: ReceiptKind):
    (row,) = frontend.receipts(key, kind)
    return open_receipt(row.document, look_up)[0]


def test_a_signature_becomes_a_receipt_with_the_name_of_who_signed(frontend):
    key = frontend.deliver()
    assert answer(frontend, key) == []
    assert frontend.state(key) is DestinationState.SIGNED
    signed = receipt(frontend, key, SIGNED)
    packet, _ = frontend.rows(key)
    assert (signed.by, signed.recipient, signed.issued_by) == ("虚构丙", PROCURATORATE, PROCURATORATE)
    assert (signed.attempt, signed.seal_digest) == (1, packet.seal_digest)
    assert [effect.kind for effect in effects.waiting(frontend.ledger.read())] == ["counts"]


def test_a_refusal_carries_its_reasons(frontend):
    key = frontend.deliver()
    assert answer(frontend, key, REFUSED, (FINDING,)) == []
    assert frontend.state(key) is DestinationState.REFUSED
    assert receipt(frontend, key, REFUSED).findings == (FINDING,)


def test_an_answer_counts_at_any_time_after_delivery(frontend):
    key = frontend.deliver()
    (frontend.folder(key) / "collected").touch()
    frontend.collected.step()
    assert frontend.state(key) is DestinationState.COLLECTED
    assert answer(frontend, key) == []
    assert frontend.state(key) is DestinationState.SIGNED


@pytest.mark.parametrize("first", [SIGNED, REFUSED])
@pytest.mark.parametrize("second", [SIGNED, REFUSED])
def test_a_second_answer_changes_nothing(frontend, first, second):
    key = frontend.deliver()
    answer(frontend, key, first, (FINDING,))
    before = frontend.state(key)
    assert answer(frontend, key, second, (FINDING,)) == ["disposition-repeated"]
    assert frontend.state(key) is before
    assert len(frontend.receipts(key, SIGNED) + frontend.receipts(key, REFUSED)) == 1


def test_a_packet_that_was_never_here_is_not_known(frontend):
    frontend.deliver()
    assert answer(frontend, PacketKey(POLICE, packet_id(99))) == ["disposition-unknown-packet"]
    assert answer(frontend, PacketKey(COURT, packet_id(1))) == ["disposition-unknown-packet"]


def test_a_packet_for_another_agency_is_not_known(frontend):
    key = frontend.deliver()
    frontend.ledger.write(lambda tx: tx.execute("UPDATE destination SET recipient = ?", COURT) and None)
    assert answer(frontend, key) == ["disposition-unknown-packet"]


def test_an_answer_before_delivery_is_too_early(frontend):
    key = frontend.arrive(Arrival(is_accepted=False))
    assert answer(frontend, key) == ["disposition-too-early"]
    assert frontend.state(key) is DestinationState.ARRIVED


def test_an_answer_to_a_folder_that_is_just_being_delivered_is_taken_again(frontend):
    """The rename is visible before its commit; quick case software is not told that it was too early."""
    key = frontend.deliver()
    frontend.ledger.write(lambda tx: tx.execute("UPDATE destination SET state = 'delivering'") and None)
    with pytest.raises(DeliveryUnfinishedError) as caught:
        answer(frontend, key)
    assert caught.value.temporary


def test_an_expired_packet_needs_no_answer(frontend):
    key = frontend.arrive(Arrival(expires_at=NOW))
    frontend.delivery.step()
    assert answer(frontend, key) == ["disposition-expired"]


def test_only_signed_and_refused_are_answers(frontend):
    key = frontend.deliver()
    with pytest.raises(SchemaError):
        answer(frontend, key, ReceiptKind.COLLECTED)
    assert frontend.state(key) is DestinationState.DELIVERED


def test_the_next_attempt_is_answered_for_itself(frontend):
    key = frontend.deliver()
    answer(frontend, key, REFUSED, (FINDING,))
    frontend.deliver(Arrival(attempt=2))
    assert answer(frontend, key) == []
    assert receipt(frontend, key, SIGNED).attempt == 2
