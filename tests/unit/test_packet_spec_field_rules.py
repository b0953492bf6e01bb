from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from packet_spec.findings import Severity
from packet_spec.model import CaseNumber
from tests.unit.packet_values import (
    ARREST,
    CATALOGUE,
    COURT,
    DECISION,
    ENVELOPE,
    SUSPECT,
    change,
    documents,
    findings,
    person,
    the_finding,
    typed,
)


def test_missing_and_empty_fields() -> None:
    fields = {key: value for key, value in ARREST.fields.items() if key != "cause_name"} | {"case_name": "  "}
    assert [(finding.code, finding.element) for finding in findings(change(fields=fields))] == [
        ("field-empty", "case_name"),
        ("field-missing", "cause_name"),
    ]


def test_missing_fields_of_the_envelope() -> None:
    packet = change(envelope={"handler": "", "case_numbers": (), "case_kind": ""})
    assert [(finding.code, finding.element) for finding in findings(packet)] == [
        ("field-missing", "envelope/case/@kind"),
        ("field-missing", "envelope/handler/@name"),
        ("field-missing", "envelope/case/number[@kind='police']"),
    ]


def test_no_persons_is_one_finding() -> None:
    finding = the_finding(change(persons=()))
    assert (finding.code, finding.element) == ("field-missing", "persons")


def test_person_fields_are_asked_of_every_person() -> None:
    second = {key: value for key, value in SUSPECT.items() if key not in {"measure_code", "person_role"}}
    packet = change(persons=(SUSPECT, second | {"person_no": "2"}))
    assert [(finding.code, finding.element) for finding in findings(packet)] == [
        ("field-missing", "persons/person[2]/measure_code"),
        ("field-missing", "persons/person[2]/person_role"),
    ]


def test_conditional_person_field_is_asked_of_those_whom_it_concerns() -> None:
    free = {key: value for key, value in SUSPECT.items() if key not in {"detention_date", "custody_place"}}
    free |= {"in_custody": "false", "person_no": "2"}
    assert findings(change(persons=(SUSPECT, free))) == []
    finding = the_finding(change(persons=(free, {**SUSPECT, "custody_place": ""})))
    assert (finding.code, finding.element) == (
        "field-missing-conditional",
        "persons/person[2]/custody_place",
    )
    assert finding.expected == "in_custody=true"


def test_conditional_person_field_after_a_condition_of_the_packet_is_asked_of_one_person() -> None:
    report = typed("correction.reported", envelope={"sender": "620199-06-00", "receiver": COURT})
    report = replace(
        report,
        attachments=documents("COR-004"),
        fields={"case_name": "x", "decision_code": "late"},
        persons=tuple({**SUSPECT, "person_no": number, "report_due": "2026-08-14"} for number in "12"),
    )
    assert [finding.element for finding in findings(report)] == ["reported_date"]
    one = replace(report, persons=({**report.persons[0], "reported_date": "2026-08-13"}, report.persons[1]))
    assert findings(one) == []


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"approver": ""}, ["envelope/approver/@name"]),
        ({"approved_on": None}, ["envelope/approver/@approvedOn"]),
        ({"approver": "", "approved_on": None}, ["envelope/approver/@name", "envelope/approver/@approvedOn"]),
    ],
)
def test_approval_where_it_is_customary(changes: dict[str, Any], missing: list[str]) -> None:
    found = findings(change(envelope=changes))
    assert [finding.element for finding in found] == missing
    assert {finding.code for finding in found} == {"approval-missing"}
    assert found[0].expected == "PSB 137"


def test_approval_is_asked_where_customary_even_if_no_list_names_it() -> None:
    row = CATALOGUE.business_type("arrest.decision")
    assert row.approval.customary
    assert "approver" not in row.allowed_fields
    packet = replace(DECISION, envelope=replace(DECISION.envelope, approver=""))
    assert the_finding(packet).code == "approval-missing"


def test_no_approval_elsewhere() -> None:
    packet = typed(
        "case.report",
        envelope={"approver": "", "approved_on": None},
        attachments=documents("POL-008", "POL-002"),
    )
    assert findings(packet) == []


@pytest.mark.parametrize(
    ("text", "fits"), [("1", True), ("2", True), ("3", False), ("0", False), ("x", True)]
)
def test_supplementary_rounds(text: str, fits: bool) -> None:
    packet = typed("supplement.return", fields={"supplement_round": text})
    assert ("number-out-of-range" in [finding.code for finding in findings(packet)]) is not fits


@pytest.mark.parametrize(("names", "fits"), [(("a", "b"), True), (("a",), False)])
def test_two_interrogators(names: tuple[str, ...], fits: bool) -> None:
    packet = typed("interrogation.book", lists={"interrogators": names})
    short = [finding for finding in findings(packet) if finding.code == "list-too-short"]
    assert (short == []) is fits
    if not fits:
        assert (short[0].expected, short[0].found) == ("2 (DCR 19)", "1")


def test_listed_documents_are_of_the_catalogue() -> None:
    packet = typed("common.return", lists={"missing_items": ("POL-009", "ZZZ-001")})
    (finding,) = [finding for finding in findings(packet) if finding.code == "document-unknown"]
    assert (finding.element, finding.found) == ("missing_items/item[2]", "ZZZ-001")


def test_required_list_without_items() -> None:
    packet = typed("common.supplement.request", fields={"missing_items": ""})
    empty = [finding.element for finding in findings(packet) if finding.code == "field-empty"]
    assert empty == ["missing_items"]


def test_custody_place_is_a_detention_centre() -> None:
    finding = the_finding(person(custody_place=COURT))
    assert (finding.code, finding.element) == ("agency-kind-wrong", "persons/person[1]/custody_place")
    assert findings(person(custody_place="not a code")) == []  # the schema says so


@pytest.mark.parametrize("text", ["1900-01-01", "9999-12-31"])
def test_placeholder_dates(text: str) -> None:
    refused = the_finding(change(fields=ARREST.fields | {"filed_date": text}))
    assert (refused.code, refused.severity) == ("date-placeholder", Severity.REFUSE)
    conditional = the_finding(person(detention_date=text))
    assert conditional.severity is Severity.REFUSE
    optional = the_finding(person(custody_end=text))
    assert (optional.code, optional.severity) == ("date-placeholder", Severity.WARN)
    approval = the_finding(change(envelope={"approved_on": date.fromisoformat(text)}))
    assert (approval.element, approval.severity) == ("envelope/approver/@approvedOn", Severity.REFUSE)


@pytest.mark.parametrize(
    ("kind", "number", "code", "severity"),
    [
        ("police", "A6201990000002026130001", "case-number-shape", Severity.WARN),
        ("procuratorate", "6201992026000310", "case-number-shape", Severity.WARN),
        ("court", "甘0199刑初58号", "case-number-shape", Severity.REFUSE),
        ("court", "（2014）城刑初字第123号", "case-number-old", Severity.WARN),
    ],
)
def test_case_number_shapes(kind: str, number: str, code: str, severity: Severity) -> None:
    numbers = [number_ for number_ in ENVELOPE.case_numbers if number_.kind != kind]
    finding = the_finding(change(envelope={"case_numbers": (*numbers, CaseNumber(kind, number))}))
    assert (finding.code, finding.severity, finding.found) == (code, severity, number)


@pytest.mark.parametrize(
    "number", ["(2026)甘0199刑初58号", "〔2026〕甘0199刑初58号", "［２０２６］甘0199刑初58号之一"]
)
def test_bracket_variants_pass(number: str) -> None:
    packet = change(envelope={"case_numbers": (*ENVELOPE.case_numbers, CaseNumber("court", number))})
    assert findings(packet) == []
