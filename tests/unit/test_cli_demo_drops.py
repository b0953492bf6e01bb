"""The demo case: 27 valid packets whose facts agree, with the documents of the story as real files."""

from __future__ import annotations

import hashlib
from datetime import UTC
from itertools import pairwise
from pathlib import Path

import pypdf
import pytest
from lxml import etree

from cli.demo.case_data import ROWS, WRONG_ID_NUMBER, DemoRow, demo_rows
from cli.demo.drops import (
    DEMO_VIDEO_BYTES,
    DemoFault,
    build_demo_drop,
    demo_request,
    demo_row,
    faulty_drops,
)
from cli.documents.context import MARK
from cli.fiction.agencies import find_agency
from cli.fiction.drop import make_drop
from cli.fiction.packet_xml import DropEncoding
from cli.fiction.writer import DropFormat, write_drop
from exchanged.errors import NameTakenError, NotFoundError
from packet_spec.findings import Outcome, Severity
from packet_spec.identity import PacketKey
from packet_spec.limits import INLINE_PART_BYTES
from packet_spec.model import Packet
from packet_spec.sequence import check_sequence
from packet_spec.sequence_policy import SequencePolicy
from tests.support.fiction import CATALOGUE, check


def code_of(alias: str) -> str:
    agency = find_agency(alias)
    assert agency is not None
    return agency.code


IDS = {
    row.number: PacketKey(code_of(row.sender), f"00000000-0000-8000-8000-{row.number:012d}") for row in ROWS
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """All 27 drops as folders, with a small video."""
    out = tmp_path_factory.mktemp("outbox")
    return {row.number: build_demo_drop(row, IDS, out, video_bytes=300_000) for row in demo_rows()}


@pytest.fixture(scope="module")
def packets(written: dict[int, Path]) -> dict[int, Packet]:
    """The packets as the check reads them; every one has to be free of findings."""
    read: dict[int, Packet] = {}
    for number, path in written.items():
        result = check(path)
        assert (number, result.verdict.findings) == (number, ())
        assert result.packet is not None
        read[number] = result.packet
    return read


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_story_has_27_packets_in_order_of_time():
    assert [row.number for row in demo_rows()] == list(range(1, 28))
    assert all(earlier.at < later.at for earlier, later in pairwise(demo_rows()))
    # Nine days from the transfer to the judgment.
    assert (demo_row(17).at.date() - demo_row(2).at.date()).days == 9
    assert [row.number for row in demo_rows() if row.copy_to] == [17, 18, 20, 27]


def test_every_packet_is_valid_and_says_when_and_between_whom(packets):
    for row in demo_rows():
        envelope = packets[row.number].envelope
        assert envelope.business_type == row.business_type
        assert envelope.sender == code_of(row.sender)
        assert envelope.recipients == (code_of(row.receiver), *map(code_of, row.copy_to))
        assert envelope.created_at == row.at.astimezone(UTC)
        assert envelope.sender_ref == f"DEMO-{row.number:02d}"
        assert envelope.packet_id is None


def test_every_packet_holds_exactly_its_documents_once(packets, written):
    for row in demo_rows():
        carried = [attachment.document_type for attachment in packets[row.number].attachments]
        assert carried == list(row.documents)
        assert len(carried) == len(set(carried))
        files = {attachment.file for attachment in packets[row.number].attachments}
        assert {path.name for path in written[row.number].iterdir()} == {*files, "packet.xml"}
    assert len(demo_row(2).documents) == 22


def test_the_order_of_the_case_is_the_one_that_the_catalogue_enforces():
    history: list[str] = []
    for row in demo_rows():
        findings = check_sequence(row.business_type, history, CATALOGUE, SequencePolicy.ENFORCE)
        assert (row.number, [one.code for one in findings if one.severity is Severity.REFUSE]) == (
            row.number,
            [],
        )
        history.append(row.business_type)


def test_replies_answer_what_their_sender_received(packets):
    for row in demo_rows():
        answered = packets[row.number].envelope.in_reply_to
        if row.in_reply_to is None:
            assert answered is None
            continue
        before = packets[row.in_reply_to].envelope
        kinds = CATALOGUE.business_type(row.business_type).replies_to
        assert answered == IDS[row.in_reply_to]
        assert row.in_reply_to < row.number
        assert packets[row.number].envelope.sender in before.recipients
        assert before.business_type in kinds or "ANY_NEEDS_ACCEPTANCE" in kinds


def test_a_reply_needs_the_id_of_what_it_answers():
    with pytest.raises(NotFoundError, match="row 3"):
        demo_request(demo_row(3), {})
    with pytest.raises(NotFoundError):
        demo_row(28)


def test_numbers_and_person_agree_from_row_to_row(packets):
    numbers = {
        "police": "A6201990000002026070001",
        "procuratorate": "62019920260001200",
        "court": "（2026）甘0199刑初58号",
    }
    known = {"police": 1, "procuratorate": 3, "court": 13}
    for number, packet in packets.items():
        expected = {kind: value for kind, value in numbers.items() if number >= known[kind]}
        assert {one.kind: one.value for one in packet.envelope.case_numbers} == expected
        for person in packet.persons:
            assert (person["person_name"], person["id_no"]) == ("李某甲", "620199199003077016")
            assert person["in_custody"] == "false"
    assert packets[2].persons[0]["plea"] == packets[11].persons[0]["plea"] == "true"
    roles = [packets[number].persons[0]["person_role"] for number in (2, 11, 18, 20)]
    assert roles == ["suspect", "defendant", "offender", "subject"]


def test_dates_of_the_story_stand_in_the_packets(packets):
    assert packets[1].fields["filed_date"] == packets[2].fields["filed_date"] == "2026-07-08"
    assert packets[15].fields["hearing_time"] == "2026-07-24T09:30:00+08:00"
    assert packets[17].fields["pronounced_date"] == "2026-07-24"
    assert packets[18].fields["effective_date"] == packets[20].persons[0]["correction_start"] == "2026-08-04"
    assert (
        packets[20].persons[0]["correction_end"] == packets[27].persons[0]["correction_end"] == "2026-10-03"
    )
    assert packets[24].persons[0]["reported_date"] < packets[24].persons[0]["report_due"] == "2026-08-14"
    approved = {number: packet.envelope.approved_on for number, packet in packets.items()}
    assert [number for number, day in approved.items() if day] == [2, 8, 11, 12, 25]
    for number, packet in packets.items():
        day = approved[number]
        assert day is None or day <= packet.envelope.created_at.date()
        for attachment in packet.attachments:
            assert attachment.document_date is not None
            assert attachment.document_date <= demo_row(number).at.date()


def test_the_dossier_goes_on_byte_for_byte_and_is_large_enough_for_a_blob(written):
    first, again = (written[number] / "电子卷宗.zip" for number in (2, 11))
    assert digest(first) == digest(again)
    assert first.stat().st_size > INLINE_PART_BYTES
    index = etree.fromstring((written[11] / "卷内文件目录.xml").read_bytes())
    pages = sum(int(entry.get("pages", "0")) for entry in index)
    assert str(pages) in (written[2] / "packet.xml").read_text(encoding="utf-8")


def test_a_document_that_is_sent_again_is_the_same_file(written):
    for rows, name in (
        ((1, 2), "立案决定书.pdf"),
        ((2, 5), "起诉意见书.pdf"),
        ((10, 11), "调查评估意见书.pdf"),
        ((11, 12), "起诉书.pdf"),
        ((17, 19), "刑事判决书.pdf"),
        ((19, 20), "刑事判决书.pdf"),
    ):
        assert digest(written[rows[0]] / name) == digest(written[rows[1]] / name)
    # The procuratorate decided on bail again: another document of the same type.
    assert digest(written[2] / "取保候审决定书.pdf") != digest(written[8] / "取保候审决定书.pdf")


def test_the_documents_say_what_the_story_says(written):
    reader = pypdf.PdfReader(written[17] / "刑事判决书.pdf", strict=True)
    text = "".join(page.extract_text() for page in reader.pages).replace("\n", "")
    for words in ("（2026）甘0199刑初58号", "李某甲", "拘役一个月，缓刑二个月", MARK):
        assert words in text
    assert len(reader.pages) == 2
    assert (written[12] / "审查起诉结果通知书.ofd").read_bytes()[:2] == b"PK"
    assert (written[2] / "现场照片.jpg").read_bytes()[:2] == b"\xff\xd8"


def test_the_video_is_large_unless_told_otherwise(written):
    video = written[2] / "执法记录仪视频.mp4"
    planned = make_drop(demo_request(demo_row(2), IDS)).documents
    assert video.stat().st_size >= 300_000
    assert video.read_bytes()[4:8] == b"ftyp"
    assert [document.size_bytes for document in planned if document.size_bytes] == [DEMO_VIDEO_BYTES]
    assert DEMO_VIDEO_BYTES >= 200_000_000


def test_a_row_can_be_dropped_in_every_form_and_again_under_another_reference(tmp_path: Path):
    row: DemoRow = demo_row(3)
    path = build_demo_drop(row, IDS, tmp_path, drop_format=DropFormat.ZIP, encoding=DropEncoding.GBK)
    assert path.name == "DEMO-03-common.accept.zip"
    with pytest.raises(NameTakenError):
        build_demo_drop(row, IDS, tmp_path, drop_format=DropFormat.ZIP)
    again = build_demo_drop(row, IDS, tmp_path, reference="DEMO2")
    packet = check(again).packet
    assert packet is not None
    assert packet.envelope.sender_ref == "DEMO2-03"


@pytest.mark.parametrize(
    ("fault", "code", "place"),
    [
        (DemoFault.MISSING_UNDERTAKING, "document-missing-conditional", "PRO-017"),
        (DemoFault.WRONG_CHECK_DIGIT, "id-number-check-digit", "persons/person[1]/id_no"),
    ],
)
def test_a_faulty_drop_is_refused_for_its_one_fault(tmp_path, fault, code, place):
    (drop,) = faulty_drops(fault, IDS)
    verdict = check(write_drop(drop, tmp_path)).verdict
    assert verdict.outcome is Outcome.REFUSED
    assert [(finding.code, finding.document or finding.element) for finding in verdict.findings] == [
        (code, place)
    ]


def test_the_wrong_number_differs_in_its_check_digit_alone():
    assert WRONG_ID_NUMBER[:17] == demo_request(demo_row(1), IDS).case.persons[0]["id_no"][:17]


def test_the_same_packet_is_dropped_twice_under_two_names(tmp_path: Path):
    first, second = (write_drop(drop, tmp_path) for drop in faulty_drops(DemoFault.DROPPED_TWICE, IDS))
    assert first.name != second.name
    assert {path.name: digest(path) for path in first.iterdir()} == {
        path.name: digest(path) for path in second.iterdir()
    }
    assert check(first).verdict.outcome is Outcome.VALID
