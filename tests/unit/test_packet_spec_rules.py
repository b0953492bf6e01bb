from __future__ import annotations

from dataclasses import replace

from packet_spec.findings import Severity
from packet_spec.limits import LIST_ITEMS, PERSONS
from tests.unit.packet_values import (
    ARREST,
    DECISION,
    SUSPECT,
    change,
    documents,
    findings,
    the_finding,
    typed,
)


def test_a_good_packet_has_no_finding() -> None:
    assert findings(ARREST) == []


def test_too_many_persons_or_items_is_the_only_finding() -> None:
    finding = the_finding(change(persons=({},) * (PERSONS + 1)))
    assert (finding.code, finding.element, finding.expected) == ("list-too-long", "persons", str(PERSONS))
    finding = the_finding(change(lists={"missing_items": ("?",) * (LIST_ITEMS + 1)}))
    assert (finding.code, finding.found) == ("list-too-long", str(LIST_ITEMS + 1))


def test_unknown_type_is_the_only_finding() -> None:
    finding = the_finding(typed("no.such", attachments=()))
    assert (finding.code, finding.found) == ("type-unknown", "no.such")


def test_reserved_type_is_refused() -> None:
    codes = [finding.code for finding in findings(typed("civil.supervision"))]
    assert codes[0] == "type-disabled"


def test_secrecy_above_work_secret_is_refused() -> None:
    assert the_finding(change(envelope={"secrecy": "secret"})).code == "secrecy-refused"
    assert findings(change(envelope={"secrecy": "work_secret"})) == []


def test_case_kind_is_one_of_the_list() -> None:
    assert the_finding(change(envelope={"case_kind": "piracy"})).code == "case-kind-unknown"


def test_missing_document() -> None:
    finding = the_finding(change(attachments=ARREST.attachments[1:]))
    assert (finding.code, finding.document) == ("document-missing", "POL-009")
    assert "提请批准逮捕书" in finding.zh


def test_document_of_no_list_is_refused_with_its_file() -> None:
    finding = the_finding(change(attachments=(*ARREST.attachments, *documents("CRT-010"))))
    assert (finding.code, finding.severity) == ("document-not-allowed", Severity.REFUSE)
    assert (finding.file, finding.document) == ("CRT-010.pdf", "CRT-010")


def test_document_of_no_catalogue() -> None:
    finding = the_finding(change(attachments=(*ARREST.attachments, *documents("XXX-001"))))
    assert (finding.code, finding.found) == ("document-unknown", "XXX-001")


def test_outcome_decides_which_documents_are_needed() -> None:
    assert findings(DECISION) == []
    refused = replace(DECISION, fields=DECISION.fields | {"decision_code": "refused_evidence"})
    assert sorted(finding.document for finding in findings(refused)) == ["PRO-003", "PRO-004", "PRO-006"]


def test_one_of_a_group() -> None:
    packet = replace(DECISION, attachments=(), fields=DECISION.fields | {"decision_code": "other"})
    group, outcome = findings(packet)
    assert (group.code, outcome.code) == ("document-missing-one-of", "code-not-in-list")
    assert "PRO-002" in group.expected
    assert "PRO-003" in group.expected


def test_a_person_scoped_condition_holds_for_any_person() -> None:
    second = SUSPECT | {"person_no": "2", "juvenile": "true"}
    packet = typed(
        "prosecution.transfer",
        persons=(SUSPECT, second),
        attachments=documents("POL-020", "COM-001", "COM-002", "EVD-016", "DET-011"),
    )
    missing = [finding for finding in findings(packet) if finding.code == "document-missing-conditional"]
    assert [(finding.document, finding.expected) for finding in missing] == [("POL-046", "juvenile=true")]
