"""What status files say, read back as the case software reads them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from exchanged.config import StatusEncoding
from exchanged.ledger import Transaction, effects, packets, statements
from exchanged.ledger.rows import PacketRow
from exchanged.states import EVENT_OF_RECEIPT, DestinationState, DropState, Event
from frontend_server.status_files import build_status, encode_refusal, encode_status, receipt_names
from frontend_server.status_words import MESSAGES, REASONS, message_of
from packet_spec.findings import Finding
from packet_spec.findings_xml import decode_findings
from packet_spec.limits import FINDINGS, STATUS_BYTES
from packet_spec.model import KeyUse, Receipt, ReceiptKind
from packet_spec.receipt import sign_receipt
from packet_spec.sentences import make_finding
from packet_spec.status import decode_status_xml
from packet_spec.told import Status
from tests.support.documents import COURT, FINDING, KEYS, PROCURATORATE, PROVINCE, make_receipt
from tests.support.outbox import SendingFrontend, acceptance_xml, names_in


@pytest.fixture
def frontend(tmp_path: Path) -> Iterator[SendingFrontend]:
    frontend = SendingFrontend(tmp_path / "front-end")
    yield frontend
    frontend.close()


@pytest.fixture
def packet(frontend: SendingFrontend) -> PacketRow:
    frontend.drop_xml()
    frontend.run()
    return frontend.packets()[0]


def receive(frontend: SendingFrontend, packet: PacketRow, kind: ReceiptKind, **changes: object) -> Receipt:
    """A receipt arrived and was verified: what the engine writes."""
    by_node = kind is ReceiptKind.ACCEPTED
    receipt = replace(
        make_receipt(kind),
        key=packet.key,
        attempt=packet.attempt,
        recipient="" if by_node else PROCURATORATE,
        issued_by=PROVINCE if by_node else PROCURATORATE,
        issued_at=frontend.clock.now(),
        number=int(frontend.clock.monotonic()),
        **changes,  # type: ignore[arg-type]
    )
    document = sign_receipt(receipt, KEYS[receipt.issued_by, KeyUse.RECEIPT])

    def write(tx: Transaction) -> None:
        number = statements.record_receipt(tx, receipt, document, own=False)
        for row in packets.destinations(tx.connection, packet.id):
            if receipt.recipient in ("", row.recipient):
                current = packets.get(tx.connection, packet.id)
                packets.move(tx, current, row, EVENT_OF_RECEIPT[kind])
        effects.intend(tx, "receipt-file", str(number))
        effects.intend(tx, "status", f"packet:{packet.id}")

    frontend.clock.advance(60)
    frontend.ledger.write(write)
    frontend.effects.step()
    return receipt


def xml(frontend: SendingFrontend, name: str = "A.xml") -> Status:
    return decode_status_xml((frontend.folders.status / f"{name}.status.xml").read_bytes())


def test_a_status_follows_its_packet_to_the_end(frontend: SendingFrontend, packet: PacketRow) -> None:
    queued = xml(frontend)
    assert (queued.drop, queued.state, queued.final, queued.attempt) == ("A.xml", "queued", False, 1)
    assert (queued.packet_id, queued.sender_ref) == (packet.key.packet_id, "A620199-0007")
    expected = [
        (ReceiptKind.ACCEPTED, False, f"accepted-{PROVINCE}-1.xml"),
        (ReceiptKind.DELIVERED, True, f"delivered-{PROCURATORATE}-1.xml"),
        (ReceiptKind.COLLECTED, True, f"collected-{PROCURATORATE}-1.xml"),
        (ReceiptKind.SIGNED, True, f"signed-{PROCURATORATE}-1.xml"),
    ]
    for kind, final, file in expected:
        receive(frontend, packet, kind)
        status = xml(frontend)
        assert (status.state, status.final) == (kind.value, final)
        (destination,) = status.destinations
        assert (destination.agency, destination.state) == (PROCURATORATE, kind.value)
        assert destination.receipt == file
        assert (frontend.folders.receipts / packet.key.packet_id / file).is_file()
        assert (status.message_zh, status.message_en) == MESSAGES[DestinationState(kind.value)]
        assert status.updated_at == frontend.clock.now()
    assert len(names_in(frontend.folders.receipts / packet.key.packet_id)) == 4


def test_json_and_the_file_by_id_say_the_same(frontend: SendingFrontend, packet: PacketRow) -> None:
    receive(frontend, packet, ReceiptKind.ACCEPTED)
    by_id = frontend.folders.status / "by-id" / f"{packet.key.packet_id}.status.xml"
    assert by_id.read_bytes() == (frontend.folders.status / "A.xml.status.xml").read_bytes()
    json, status = frontend.status("A.xml"), xml(frontend)
    assert (json["state"], json["packetId"]) == (status.state, status.packet_id)
    assert json["message"] == {"zh": status.message_zh, "en": status.message_en}


def test_findings_of_receipts_are_shown(frontend: SendingFrontend, packet: PacketRow) -> None:
    receive(frontend, packet, ReceiptKind.REFUSED, findings=(FINDING,))
    status = xml(frontend)
    assert (status.state, status.final) == ("refused", True)
    assert status.findings == (FINDING,)


def test_the_headline_is_the_worst_destination(
    frontend: SendingFrontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    frontend.drop_xml()
    frontend.run()
    (packet,) = frontend.packets()

    def add_copy(tx: Transaction) -> None:
        tx.execute("UPDATE packet SET copies = ? WHERE id = ?", f'["{COURT}"]', packet.id)
        packets.add_destination(tx, packet.id, COURT, DestinationState.QUEUED, "bridge")

    frontend.ledger.write(add_copy)
    receive(frontend, packet, ReceiptKind.DELIVERED)
    status = xml(frontend)
    assert (status.state, status.final) == ("queued", False)
    assert [each.agency for each in status.destinations] == [PROCURATORATE, COURT]
    assert [each.state for each in status.destinations] == ["delivered", "queued"]
    assert status.destinations[1].receipt == ""


def test_an_attempt_that_failed_keeps_its_story(frontend: SendingFrontend, packet: PacketRow) -> None:
    receive(frontend, packet, ReceiptKind.REFUSED, findings=(FINDING,))
    frontend.end_packet(packet)
    frontend.drop_xml("B.xml")
    frontend.run()
    second = xml(frontend, "B.xml")
    assert (second.state, second.attempt, second.findings) == ("queued", 2, ())
    # The first drop's status is written again, and still speaks of the first attempt.
    frontend.ledger.write(lambda tx: effects.intend(tx, "status", "drop:1"))
    frontend.effects.step()
    first = xml(frontend)
    assert (first.state, first.final, first.attempt) == ("refused", True, 1)
    assert first.findings == (FINDING,)
    assert first.destinations[0].receipt == f"refused-{PROCURATORATE}-1.xml"
    by_id = frontend.folders.status / "by-id" / f"{packet.key.packet_id}.status.xml"
    assert decode_status_xml(by_id.read_bytes()).attempt == 2
    receive(frontend, frontend.packets()[0], ReceiptKind.ACCEPTED)
    assert xml(frontend, "B.xml").state == "accepted"
    assert xml(frontend).state == "refused"


def test_a_cancelled_attempt_keeps_its_story(frontend: SendingFrontend, packet: PacketRow) -> None:
    frontend.end_packet(packet, Event.CANCEL)
    frontend.drop_xml("B.xml")
    frontend.run()
    frontend.ledger.write(lambda tx: effects.intend(tx, "status", "drop:1"))
    frontend.effects.step()
    assert (xml(frontend).state, xml(frontend).final) == ("cancelled", True)


def test_only_the_newest_drop_of_a_name_writes_its_file(frontend: SendingFrontend, packet: PacketRow) -> None:
    receive(frontend, packet, ReceiptKind.DELIVERED)
    frontend.drop_xml("A.xml", acceptance_xml(senderRef="R-2"))
    frontend.run()
    receive(frontend, packet, ReceiptKind.COLLECTED)
    assert (xml(frontend).sender_ref, xml(frontend).state) == ("R-2", "queued")
    by_id = frontend.folders.status / "by-id" / f"{packet.key.packet_id}.status.xml"
    assert decode_status_xml(by_id.read_bytes()).state == "collected"


def test_the_profile_may_ask_for_gb18030(tmp_path: Path) -> None:
    frontend = SendingFrontend(tmp_path / "front-end", status_encoding=StatusEncoding.GB18030)
    frontend.drop_xml("案件.xml")
    frontend.run()
    data = (frontend.folders.status / "案件.xml.status.xml").read_bytes()
    assert "等待发送".encode("gb18030") in data
    assert decode_status_xml(data).drop == "案件.xml"
    assert frontend.status("案件.xml")["drop"] == "案件.xml"
    frontend.close()


def test_long_and_strange_names_are_whole_inside(frontend: SendingFrontend) -> None:
    name = "案" * 83 + ".xml"
    frontend.drop_xml(name)
    frontend.run()
    (file,) = (file for file in names_in(frontend.folders.status) if file.endswith(".xml"))
    assert len(file.encode()) <= 255
    assert decode_status_xml((frontend.folders.status / file).read_bytes()).drop == name


def test_a_status_is_never_too_large_to_be_written(frontend: SendingFrontend) -> None:
    long = replace(make_finding("attachment-unlisted", found="x"), zh="案" * 900, en="x" * 900)
    findings = tuple(replace(long, file=f"{'案' * 300}{number}") for number in range(FINDINGS))
    status = Status(
        drop="A",
        state="refused",
        final=True,
        updated_at=frontend.clock.now(),
        message_zh="-",
        message_en="-",
        findings=findings,
        missing=tuple("案" * 300 for _ in range(200)),
    )
    data, _ = encode_status(status, StatusEncoding.UTF_8)
    assert len(data) <= STATUS_BYTES
    assert 0 < len(decode_status_xml(data).findings) < FINDINGS


def test_a_refusal_is_never_too_large_to_be_written(frontend: SendingFrontend) -> None:
    frontend.drop_xml("A.xml", b"<packet></packet>")
    frontend.run()
    long = replace(FINDING, zh="案" * 900, en="案" * 900, file="案" * 300)
    row = replace(
        frontend.rows()[0], findings=tuple(replace(long, line=number + 1) for number in range(FINDINGS))
    )
    document, text = encode_refusal(row)
    assert len(document) <= STATUS_BYTES
    drop, findings, at = decode_findings(document)
    assert (drop, at) == ("A.xml", row.since)
    assert 0 < len(findings) < FINDINGS
    assert text.startswith(b"A.xml\n")


def test_many_missing_files_are_counted(frontend: SendingFrontend) -> None:
    frontend.drop_xml("A.xml", b"<packet></packet>")
    frontend.run()
    names = tuple(f"{number}.pdf" for number in range(250))
    row = replace(frontend.rows()[0], state=DropState.INCOMPLETE, missing=names)
    missing = build_status(frontend.ledger.read(), row).missing
    assert (len(missing), missing[-1]) == (201, "… +50")


def test_receipts_of_one_kind_never_replace_each_other(frontend: SendingFrontend, packet: PacketRow) -> None:
    receive(frontend, packet, ReceiptKind.ACCEPTED)
    rows = statements.receipts_of(frontend.ledger.read(), packet.key)
    again = replace(rows[0], id=99)
    other = replace(rows[0], id=100, attempt=2)
    assert receipt_names([rows[0], again, other]) == {
        rows[0].id: f"accepted-{PROVINCE}-1.xml",
        99: f"accepted-{PROVINCE}-1~2.xml",
        100: f"accepted-{PROVINCE}-2.xml",
    }


def test_a_receipt_of_another_format_does_not_stop_the_status(
    frontend: SendingFrontend, packet: PacketRow
) -> None:
    receive(frontend, packet, ReceiptKind.ACCEPTED)
    newer = statements.receipts_of(frontend.ledger.read(), packet.key)[0].document.replace(
        b"receipt:1", b"receipt:2"
    )
    frontend.ledger.write(lambda tx: tx.execute("UPDATE receipt SET document = ?", newer))
    frontend.ledger.write(lambda tx: effects.intend(tx, "status", f"packet:{packet.id}"))
    frontend.effects.step()
    assert xml(frontend).state == "accepted"


def test_a_status_reads_no_receipt_whose_findings_are_not_shown(
    frontend: SendingFrontend, packet: PacketRow
) -> None:
    """Each may be large, and there may be many of them."""
    many = tuple(replace(FINDING, line=number + 1) for number in range(FINDINGS))
    receive(frontend, packet, ReceiptKind.ACCEPTED, findings=many)
    receive(frontend, packet, ReceiptKind.DELIVERED)
    seen: list[str] = []
    connection = frontend.ledger.read()
    connection.set_trace_callback(seen.append)
    assert len(build_status(connection, frontend.rows()[0]).findings) == FINDINGS
    connection.set_trace_callback(None)
    documents = [each for each in seen if "document" in each or ("*" in each and "FROM receipt" in each)]
    assert documents == ["SELECT document FROM receipt WHERE id = 1"]


def test_a_receipt_is_written_without_reading_others(frontend: SendingFrontend, packet: PacketRow) -> None:
    receive(frontend, packet, ReceiptKind.ACCEPTED)
    receive(frontend, packet, ReceiptKind.DELIVERED)
    seen: list[str] = []
    frontend.ledger.write(lambda tx: effects.intend(tx, "receipt-file", "2"))
    frontend.ledger.read().set_trace_callback(seen.append)
    frontend.effects.step()
    frontend.ledger.read().set_trace_callback(None)
    read = [each for each in seen if "FROM receipt" in each]
    assert [each for each in read if "document" in each] == ["SELECT document FROM receipt WHERE id = 2"]
    assert [each for each in read if "*" in each] == []


def test_every_state_has_its_sentences() -> None:
    for state in (*DropState, *DestinationState):
        zh, en = message_of(state)
        assert zh.endswith("。")
        assert en.endswith(".")
    for reason, words in REASONS.items():
        assert message_of(DropState.HELD, reason) == words
    zh, en = message_of(DropState.HELD, "validator-failed")
    assert zh.endswith("（validator-failed）")
    assert en.endswith("(validator-failed)")


def test_warnings_of_a_taken_drop_stay_with_it(frontend: SendingFrontend) -> None:
    wrong = acceptance_xml().replace(b'encoding="utf-8"', b'encoding="GBK"')
    frontend.drop_xml("A.xml", wrong)
    frontend.run()
    findings: tuple[Finding, ...] = xml(frontend).findings
    assert "encoding-misdeclared" in {finding.code for finding in findings}
