"""The two sample cases, packet by packet, and the faults that the standard must find in them."""

from __future__ import annotations

from typing import Any

import pytest

from packet_spec.catalogue import ANY, ANY_NEEDS_ACCEPTANCE, load_catalogue
from packet_spec.check import CheckResult, check_packet
from packet_spec.findings import Finding, Outcome, Severity
from packet_spec.pack import shipped_pack
from packet_spec.sequence import check_sequence
from packet_spec.sequence_policy import SequencePolicy
from tests.conformance.case_packets import CASES, directory_of, load_case, packet_xml, row_of

ROWS = [
    pytest.param(name, row["row"], id=f"{name}-{row['row']}")
    for name in CASES
    for row in load_case(name)["rows"]
]
CATALOGUE = load_catalogue()


def check(case: dict[str, Any], row: dict[str, Any], **agencies: dict[str, Any]) -> CheckResult:
    return check_packet(
        packet_xml(case, row).encode(), directory=directory_of(case, **agencies), pack=shipped_pack()
    )


def the_finding(result: CheckResult, code: str) -> Finding:
    found = [finding for finding in result.verdict.findings if finding.code == code]
    assert len(found) == 1, [finding.code for finding in result.verdict.findings]
    return found[0]


def history_before(case: dict[str, Any], number: int) -> list[str]:
    return [row["type"] for row in case["rows"] if row["row"] < number]


def test_the_cases_are_whole() -> None:
    assert [len(load_case(name)["rows"]) for name in CASES] == [27, 31]


@pytest.mark.parametrize(("name", "number"), ROWS)
def test_packet_is_valid_without_a_single_finding(name: str, number: int) -> None:
    case = load_case(name)
    data = packet_xml(case, row_of(case, number)).encode()
    for directory in (directory_of(case), None):
        result = check_packet(data, directory=directory, pack=shipped_pack())
        assert result.verdict.findings == ()
        assert result.verdict.outcome is Outcome.VALID
        assert result.packet is not None
        assert result.packet.body_type == result.packet.envelope.business_type


@pytest.mark.parametrize(("name", "number"), ROWS)
def test_packet_comes_in_order(name: str, number: int) -> None:
    case = load_case(name)
    history = history_before(case, number)
    assert check_sequence(row_of(case, number)["type"], history, CATALOGUE, SequencePolicy.ENFORCE) == ()


@pytest.mark.parametrize(("name", "number"), ROWS)
def test_answer_answers_what_its_sender_received(name: str, number: int) -> None:
    case = load_case(name)
    row = row_of(case, number)
    business_type = CATALOGUE.business_type(row["type"])
    if row["answers"] is None:
        assert business_type.message_kind != "reply"
        return
    answered = row_of(case, row["answers"])
    allowed = business_type.replies_to
    needs = CATALOGUE.business_type(answered["type"]).needs_acceptance
    assert answered["row"] < number
    assert row["sender"] in {answered["receiver"], *answered["copies"]}
    assert answered["type"] in allowed or ANY in allowed or (ANY_NEEDS_ACCEPTANCE in allowed and needs)


@pytest.mark.parametrize(("name", "number"), ROWS)
def test_packet_without_one_of_its_required_documents_is_refused(name: str, number: int) -> None:
    case = load_case(name)
    row = row_of(case, number)
    for code in CATALOGUE.business_type(row["type"]).required_documents:
        result = check(case, row | {"documents": [each for each in row["documents"] if each != code]})
        assert result.verdict.outcome is Outcome.REFUSED
        assert the_finding(result, "document-missing").document == code


def test_plea_without_undertaking_is_refused_and_names_the_article() -> None:
    case = load_case("dangerous_driving")
    row = row_of(case, 11)
    result = check(case, row | {"documents": [code for code in row["documents"] if code != "PRO-017"]})
    finding = the_finding(result, "document-missing-conditional")
    assert result.verdict.outcome is Outcome.REFUSED
    assert finding.document == "PRO-017"
    assert "认罪认罚具结书" in finding.zh
    assert "CPL 176" in finding.zh
    assert "CPL 176" in finding.en


def test_no_plea_needs_no_undertaking() -> None:
    case = load_case("dangerous_driving")
    row = row_of(case, 11)
    documents = [code for code in row["documents"] if code != "PRO-017"]
    result = check(case, row | {"documents": documents, "person": {"plea": "false"}})
    assert result.verdict.outcome is Outcome.VALID


@pytest.mark.parametrize("policy", [SequencePolicy.ENFORCE, SequencePolicy.WARN])
def test_second_indictment_after_judgment_is_refused(policy: SequencePolicy) -> None:
    case = load_case("dangerous_driving")
    history = history_before(case, 18)
    (finding,) = check_sequence("trial.indict", history, CATALOGUE, policy)
    assert (finding.code, finding.severity) == ("forbidden-after", Severity.REFUSE)
    assert "trial.judgment" in finding.expected


@pytest.mark.parametrize(
    ("policy", "severity"),
    [(SequencePolicy.ENFORCE, Severity.REFUSE), (SequencePolicy.WARN, Severity.WARN)],
)
def test_correction_without_judgment(policy: SequencePolicy, severity: Severity) -> None:
    case = load_case("dangerous_driving")
    history = [code for code in history_before(case, 20) if "judgment" not in code]
    (finding,) = check_sequence("correction.admit", history, CATALOGUE, policy)
    assert (finding.code, finding.severity) == ("predecessor-missing", severity)


def test_wrong_check_digit_is_refused_and_the_field_named() -> None:
    case = load_case("dangerous_driving")
    result = check(case, row_of(case, 2) | {"person": {"id_no": "620199199003077017"}})
    finding = the_finding(result, "id-number-check-digit")
    assert result.verdict.outcome is Outcome.REFUSED
    assert finding.element == "persons/person[1]/id_no"


def test_declared_gbk_but_really_utf8_is_read_right_with_a_warning() -> None:
    case = load_case("dangerous_driving")
    data = ('<?xml version="1.0" encoding="GBK"?>' + packet_xml(case, row_of(case, 2))).encode()
    result = check_packet(data, directory=directory_of(case), pack=shipped_pack())
    assert result.verdict.outcome is Outcome.VALID
    assert [finding.severity for finding in result.verdict.findings] == [Severity.WARN]
    assert result.encoding == "utf-8"
    assert result.packet is not None
    assert result.packet.persons[0]["person_name"] == "李某甲"


def test_third_supplementary_round_is_refused() -> None:
    case = load_case("theft_in_custody")
    result = check(case, row_of(case, 15) | {"fields": {"supplement_round": "3"}})
    finding = the_finding(result, "number-out-of-range")
    assert result.verdict.outcome is Outcome.REFUSED
    assert "CPL 175" in finding.expected


def test_case_kind_outside_the_allow_list_is_refused_with_the_list() -> None:
    case = load_case("dangerous_driving")
    result = check(case, row_of(case, 2), PRO={"case_kinds": ("theft", "traffic_casualty")})
    finding = the_finding(result, "case-kind-not-allowed")
    assert result.verdict.outcome is Outcome.REFUSED
    assert finding.expected == "theft, traffic_casualty"


def test_every_fault_of_a_packet_is_found_at_once() -> None:
    case = load_case("dangerous_driving")
    row = row_of(case, 11)
    result = check(
        case,
        row
        | {
            "documents": [code for code in row["documents"] if code not in {"PRO-017", "COM-001"}],
            "fields": {"procedure_code": "slow", "cause_name": None},
            "person": {"id_no": "620199199003077017", "measure_code": None},
            "approver": "",
        },
        PRO={"disabled": True},
    )
    assert result.verdict.outcome is Outcome.REFUSED
    assert sorted(finding.code for finding in result.verdict.findings) == [
        "approval-missing",
        "approval-missing",
        "code-not-in-list",
        "document-missing",
        "document-missing-conditional",
        "field-missing",
        "field-missing",
        "id-number-check-digit",
        "sender-disabled",
    ]
