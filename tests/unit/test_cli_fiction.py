"""Invented packets pass the packet check for every type, and say what they are told to say."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.documents.document import DocumentFormat
from cli.fiction.drop import make_drop
from cli.fiction.packet_xml import DropEncoding
from cli.fiction.request import Drop, ListItem
from cli.fiction.writer import write_drop
from packet_spec.errors import CatalogueError, SchemaError
from packet_spec.identity import PacketKey
from packet_spec.model import Priority
from tests.support.fiction import CATALOGUE, MOMENT, check, request_for


def findings_of(code: str, folder: Path, **changes: object) -> dict[str, str]:
    """Finding code -> place, for the drop of this request."""
    result = check(write_drop(make_drop(request_for(code, **changes)), folder))
    return {finding.code: finding.element or finding.document for finding in result.verdict.findings}


def documents_of(drop: Drop) -> list[str]:
    return [document.document_type for document in drop.documents]


@pytest.mark.parametrize("encoding", DropEncoding)
def test_every_type_of_the_catalogue_is_valid_without_a_single_finding(
    tmp_path: Path, encoding: DropEncoding
):
    found: dict[str, list[str]] = {}
    for code in CATALOGUE.business_types:
        path = write_drop(make_drop(request_for(code)), tmp_path, encoding=encoding)
        result = check(path)
        assert result.packet is not None
        assert len(result.packet.attachments) == len(list(path.iterdir())) - 1
        codes = [finding.code for finding in result.verdict.findings]
        if codes:
            found[code] = codes

    # The six reserved types can be written too; they are only switched off.
    reserved = [row.code for row in CATALOGUE.business_types.values() if not row.enabled_by_default]
    assert len(CATALOGUE.business_types) == 171
    assert found == {code: ["type-disabled"] for code in reserved}


def test_every_outcome_brings_the_documents_and_fields_that_it_asks_for(tmp_path: Path):
    for row in CATALOGUE.business_types.values():
        if not row.enabled_by_default:
            continue
        for outcome in row.outcome_codes:
            found = findings_of(
                row.code, tmp_path, set_fields={"decision_code": outcome}, name=f"{row.code}-{outcome}"
            )
            assert (row.code, outcome, found) == (row.code, outcome, {})


@pytest.mark.parametrize(
    ("code", "settings", "triggered"),
    [
        ("prosecution.transfer", {"in_custody": "true"}, {"DET-011"}),
        ("prosecution.transfer", {"juvenile": "true"}, {"POL-046"}),
        ("prosecution.transfer", {"fast_track": "true"}, {"POL-022"}),
        ("trial.indict", {"plea": "true"}, {"PRO-016", "PRO-017"}),
        ("trial.indict", {"procedure_code": "summary", "in_custody": "true"}, {"PRO-018", "DET-011"}),
    ],
)
def test_what_the_values_trigger_comes_with_them(tmp_path, code, settings, triggered):
    drop = make_drop(request_for(code, set_fields=settings))
    assert triggered <= set(documents_of(drop))
    assert findings_of(code, tmp_path, set_fields=settings) == {}


def test_values_that_trigger_nothing_bring_nothing():
    drop = make_drop(request_for("trial.indict", set_fields={"plea": "false", "procedure_code": "ordinary"}))
    assert documents_of(drop) == ["PRO-015", "COM-001", "COM-002", "EVD-016"]


def test_custody_fields_come_with_custody_and_name_the_county_s_detention_centre():
    drop = make_drop(request_for("arrest.request", set_fields={"in_custody": "true"}))
    person = drop.body.persons[0]
    assert person["custody_place"] == "620199-02-00"
    assert person["measure_code"] == "arrest"
    assert "detention_date" in person


def test_one_of_a_group_is_a_document_that_the_sender_issues():
    court = request_for("trial.resume", sender="CRT", receiver="PRO")
    assert documents_of(make_drop(court)) == ["CRT-008"]
    assert documents_of(make_drop(request_for("trial.resume", sender="PRO", receiver="CRT"))) == ["PRO-028"]


def test_the_same_request_gives_the_same_bytes_and_another_seed_another_person(tmp_path: Path):
    request = request_for("case.report", name="drop")
    first, second, other = (tmp_path / name for name in ("first", "second", "other"))
    for folder, seed in ((first, 1), (second, 1), (other, 2)):
        folder.mkdir()
        write_drop(make_drop(replace(request, seed=seed)), folder)

    def contents(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (folder / "drop").iterdir()}

    assert contents(first) == contents(second)
    assert contents(first)["packet.xml"] != contents(other)["packet.xml"]


def test_sizes_and_digests_are_those_of_the_files(tmp_path: Path):
    path = write_drop(make_drop(request_for("prosecution.transfer")), tmp_path)
    packet = check(path).packet
    assert packet is not None
    for attachment in packet.attachments:
        data = (path / attachment.file).read_bytes()
        assert attachment.size == len(data)
        assert attachment.sha256 == hashlib.sha256(data).hexdigest()
        assert attachment.title
        assert attachment.document_number


def test_the_envelope_says_what_the_request_says(tmp_path: Path):
    key = PacketKey("620199-03-00", "00000000-0000-8000-8000-000000000001")
    own = "00000000-0000-8000-8000-000000000002"
    request = request_for(
        "common.correct",
        sender="PRO",
        receiver="CRT",
        copy_to=("POL",),
        in_reply_to=key,
        supersedes=own,
        packet_id="00000000-0000-8000-8000-000000000003",
        sender_ref="A-7",
        set_fields={
            "priority": "urgent",
            "expires_at": "2026-08-01T00:00:00+08:00",
            "secrecy": "work_secret",
        },
    )
    packet = check(write_drop(make_drop(request), tmp_path)).packet
    assert packet is not None
    envelope = packet.envelope
    assert envelope.recipients == ("620199-04-00", "620199-01-00")
    assert (envelope.in_reply_to, envelope.supersedes) == (key, own)
    assert envelope.packet_id == "00000000-0000-8000-8000-000000000003"
    assert (envelope.sender_ref, envelope.priority, envelope.secrecy) == (
        "A-7",
        Priority.URGENT,
        "work_secret",
    )
    assert envelope.expires_at == datetime(2026, 7, 31, 16, 0, tzinfo=UTC)
    assert envelope.created_at == MOMENT
    # The packet that is corrected is the one that is replaced.
    assert packet.fields["corrected_packet"] == own


def test_a_dossier_is_handed_over_and_a_letter_is_a_copy():
    assert make_drop(request_for("prosecution.transfer")).envelope.handover == "transfer"
    assert make_drop(request_for("supervise.suggest")).envelope.handover == "copy"


def test_a_query_belongs_to_no_case():
    envelope = make_drop(request_for("info.query")).envelope
    assert (envelope.case_kind, envelope.case_numbers) == ("", ())


def test_a_case_keeps_its_person_and_gathers_numbers():
    first = make_drop(request_for("prosecution.transfer"))
    second = make_drop(request_for("common.accept", sender="PRO", receiver="POL", case=first.case))
    third = make_drop(request_for("common.accept", sender="CRT", receiver="PRO", case=second.case, seed=9))
    assert list(first.case.numbers) == ["police"]
    assert list(second.case.numbers) == ["police", "procuratorate"]
    assert list(third.case.numbers) == ["police", "procuratorate", "court"]
    later = make_drop(request_for("trial.judgment", case=third.case, seed=9))
    assert later.body.persons[0]["id_no"] == first.body.persons[0]["id_no"]
    assert later.body.persons[0]["person_role"] == "defendant"
    assert later.body.fields["case_name"] == first.body.fields["case_name"]
    assert {number.kind for number in later.envelope.case_numbers} == {"police", "procuratorate", "court"}


def test_settings_win_leave_out_and_split(tmp_path: Path):
    assert findings_of("case.report", tmp_path, set_fields={"case_name": ""})["field-missing"] == "case_name"
    changed = make_drop(request_for("case.report", set_fields={"case_name": "另案", "person_name": "甲"}))
    assert changed.body.fields["case_name"] == changed.case.name == "另案"
    assert changed.body.persons[0]["person_name"] == "甲"
    drop = make_drop(
        request_for("prosecution.evidence.request", set_fields={"missing_items": "EVD-001；EVD-002"})
    )
    assert drop.body.lists["missing_items"] == (ListItem("EVD-001"), ListItem("EVD-002"))


@pytest.mark.parametrize(
    ("code", "changes", "finding"),
    [
        ("trial.indict", {"omit_documents": frozenset({"PRO-017"})}, "document-missing-conditional"),
        ("trial.indict", {"set_fields": {"id_no": "620199199003077017"}}, "id-number-check-digit"),
        ("supplement.return", {"set_fields": {"supplement_round": "3"}}, "number-out-of-range"),
        ("case.report", {"extra_documents": ("CRT-010",)}, "document-not-allowed"),
        ("arrest.request", {"set_fields": {"approver": ""}}, "approval-missing"),
        ("case.report", {"set_fields": {"case_kind": "none_such"}}, "case-kind-unknown"),
    ],
)
def test_wrong_packets_can_be_made_on_purpose(tmp_path, code, changes, finding):
    assert finding in findings_of(code, tmp_path, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"business_type": "no.such"},
        {"sender": "NOBODY"},
        {"sender": "620199-77-00"},
        {"set_fields": {"no_such": "1"}},
        {"set_fields": {"priority": "soon"}},
        {"extra_documents": ("XXX-001",)},
        {"omit_documents": frozenset({"XXX-001"})},
        {"formats": {"POL-008": DocumentFormat.MP4}},
    ],
)
def test_what_the_catalogue_does_not_know_is_refused(changes):
    with pytest.raises(CatalogueError):
        make_drop(replace(request_for("case.report"), **changes))


def test_a_person_s_field_needs_a_type_with_persons():
    with pytest.raises(CatalogueError, match="no persons"):
        make_drop(request_for("common.accept", set_fields={"id_no": "1"}))
    with pytest.raises(SchemaError):
        make_drop(request_for("arrest.request", set_fields={"approval_date": "soon"}))
