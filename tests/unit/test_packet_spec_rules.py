from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from packet_spec.catalogue import load_catalogue
from packet_spec.findings import Finding, Severity
from packet_spec.identifiers import id_check_character
from packet_spec.model import (
    Attachment,
    CaseNumber,
    Directory,
    DirectoryAgency,
    Envelope,
    Packet,
    Priority,
)
from packet_spec.rules import Parties, Party, check_rules

CATALOGUE = load_catalogue()
POLICE, PROCURATORATE, COURT = "620199-01-00", "620199-03-00", "620199-04-00"
UPPER_COURT, DETENTION, PRISON = "620100-04-00", "620199-02-00", "620000-08-01"

SUSPECT = {
    "person_no": "1",
    "person_name": "李某甲",
    "person_role": "suspect",
    "id_type": "id_card",
    "id_no": "620199199003077016",
    "sex": "1",
    "birth_date": "1990-03-07",
    "measure_code": "detention",
    "in_custody": "true",
    "plea": "false",
    "detention_date": "2026-07-01",
    "custody_place": DETENTION,
}

ENVELOPE = Envelope(
    packet_id=None,
    sender_ref="A-1",
    business_type="arrest.request",
    sender=POLICE,
    receiver=PROCURATORATE,
    copy_to=(),
    in_reply_to=None,
    supersedes=None,
    created_at=datetime(2026, 7, 7, 20, 0, tzinfo=UTC),
    priority=Priority.NORMAL,
    track="single",
    handover="transfer",
    expires_at=None,
    secrecy="none",
    case_kind="theft",
    case_numbers=(CaseNumber("police", "A6201990000002026070001"),),
    handler="承办人",
    approver="批准人",
    approved_on=date(2026, 7, 7),
)

ARREST = Packet(
    envelope=ENVELOPE,
    attachments=tuple(
        Attachment(f"{code}.pdf", code, 1, "0" * 64) for code in ("POL-009", "COM-001", "COM-002", "EVD-016")
    ),
    body_type="arrest.request",
    fields={
        "case_name": "李某甲盗窃案",
        "cause_code": "050200",
        "cause_name": "盗窃",
        "filed_date": "2026-07-01",
    },
    lists={},
    persons=(SUSPECT,),
)


def change(packet: Packet = ARREST, *, envelope: Mapping[str, Any] | None = None, **changes: Any) -> Packet:
    return replace(packet, envelope=replace(packet.envelope, **(envelope or {})), **changes)


def person(**changes: str | None) -> Packet:
    values = {key: value for key, value in (SUSPECT | changes).items() if value is not None}
    return change(persons=(values,))


def findings(packet: Packet, parties: Parties | None = None) -> list[Finding]:
    if parties is None:
        parties = Parties.from_codes(CATALOGUE, packet.envelope)
    return list(check_rules(packet, CATALOGUE, parties))


def the_finding(packet: Packet, parties: Parties | None = None) -> Finding:
    (finding,) = findings(packet, parties)
    return finding


def typed(code: str, **changes: Any) -> Packet:
    return change(envelope={"business_type": code} | changes.pop("envelope", {}), body_type=code, **changes)


def test_a_good_packet_has_no_finding() -> None:
    assert findings(ARREST) == []


# --- type, secrecy, case kind


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


# --- parties


def agency(code: str, level: str = "county", **changes: Any) -> DirectoryAgency:
    kind = CATALOGUE.kind_of_number(code[7:9])
    return DirectoryAgency(
        code=code,
        kind=kind,
        level=level,
        parent="",
        node=code,
        admitting_node="620000-00-01",
        name_zh=code,
        name_en=code,
        **changes,
    )


def directory(*agencies: DirectoryAgency) -> Directory:
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    return Directory(1, start, end, 1, (), (), agencies)


def with_directory(packet: Packet, *agencies: DirectoryAgency) -> list[Finding]:
    return findings(packet, Parties.from_directory(directory(*agencies), packet.envelope))


def test_directory_gives_kind_level_and_lists() -> None:
    parties = Parties.from_directory(
        directory(agency(POLICE, case_kinds=("theft",)), agency(PROCURATORATE, "city")), ENVELOPE
    )
    assert parties.sender == Party(POLICE, known=True, kind="police", level="county", case_kinds=("theft",))
    assert (parties.receiver.kind, parties.receiver.level) == ("procuratorate", "city")


def test_unknown_receiver_and_disabled_sender() -> None:
    found = with_directory(ARREST, agency(POLICE, disabled=True))
    assert [(finding.code, finding.found) for finding in found] == [
        ("sender-unknown", POLICE),
        ("receiver-unknown", PROCURATORATE),
    ]


def test_unknown_copy_is_named_by_its_place() -> None:
    packet = change(envelope={"copy_to": (COURT, DETENTION)})
    found = with_directory(packet, agency(POLICE), agency(PROCURATORATE), agency(COURT))
    assert [(finding.code, finding.element) for finding in found] == [
        ("copy-unknown", "envelope/copyTo[2]"),
        ("copy-kind", "envelope/copyTo[1]"),
    ]


def test_without_directory_a_number_of_no_kind_is_unknown() -> None:
    assert the_finding(change(envelope={"sender": "620199-77-00"})).code == "sender-unknown"


def test_kinds() -> None:
    finding = the_finding(change(envelope={"sender": COURT}))
    assert finding.code == "sender-kind"
    assert finding.found == "人民法院（court）"
    assert finding.expected == "公安机关（police）"
    assert the_finding(change(envelope={"receiver": COURT})).code == "receiver-kind"


def test_state_security_sends_what_police_may_send() -> None:
    assert findings(change(envelope={"sender": "620199-10-00"})) == []


def test_the_directory_and_not_the_code_says_what_an_agency_is() -> None:
    railway = replace(agency("620199-04-77"), kind="procuratorate")
    packet = change(envelope={"receiver": "620199-04-77"})
    assert with_directory(packet, agency(POLICE), railway) == []


@pytest.mark.parametrize(
    ("code", "sender_level", "receiver_level", "fits"),
    [
        ("arrest.request", "county", "county", True),
        ("arrest.request", "county", "city", False),
        ("arrest.review.request", "county", "city", True),
        ("arrest.review.request", "county", "province", False),
        ("arrest.review.request", "county", "county", False),
        ("arrest.request", "county", "", True),
    ],
)
def test_level_of_the_receiver(code: str, sender_level: str, receiver_level: str, fits: bool) -> None:
    packet = typed(code)
    found = with_directory(packet, agency(POLICE, sender_level), agency(PROCURATORATE, receiver_level))
    assert ("level-wrong" in [finding.code for finding in found]) is not fits


def test_a_reply_goes_any_number_of_levels_down() -> None:
    packet = typed("appeal.remand", envelope={"sender": UPPER_COURT, "receiver": COURT})
    for level, fits in (("city", True), ("province", True), ("county", False)):
        found = with_directory(packet, agency(UPPER_COURT, level), agency(COURT))
        assert ("level-wrong" in [finding.code for finding in found]) is not fits


def test_level_does_not_bind_organs_that_serve_several_levels() -> None:
    packet = typed("execution.refuse", envelope={"sender": PRISON, "receiver": DETENTION})
    found = with_directory(packet, agency(PRISON, "province"), agency(DETENTION))
    assert "level-wrong" not in [finding.code for finding in found]


def test_allow_lists_of_every_party() -> None:
    packet = change(envelope={"copy_to": (COURT,)})
    found = with_directory(
        packet,
        agency(POLICE, case_kinds=("dangerous_driving",)),
        agency(PROCURATORATE, business_types=("case.report", "prosecution.transfer")),
        agency(COURT, business_types=("arrest.request",)),
    )
    refused = [finding for finding in found if "allowed" in finding.code]
    assert [(finding.code, finding.element, finding.expected) for finding in refused] == [
        ("case-kind-not-allowed", POLICE, "dangerous_driving"),
        ("type-not-allowed", PROCURATORATE, "case.report, prosecution.transfer"),
    ]


def test_a_packet_without_a_case_is_not_held_against_case_kinds() -> None:
    packet = typed("notice.publish", envelope={"case_kind": ""}, attachments=(), persons=())
    codes = [finding.code for finding in with_directory(packet, agency(POLICE, case_kinds=("theft",)))]
    assert "case-kind-not-allowed" not in codes


def test_nobody_writes_to_himself() -> None:
    packet = typed("notice.publish", envelope={"receiver": POLICE})
    assert "recipient-is-sender" in [finding.code for finding in findings(packet)]


# --- documents


def documents(*codes: str) -> tuple[Attachment, ...]:
    return tuple(Attachment(f"{code}.pdf", code, 1, "0" * 64) for code in codes)


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


DECISION = change(
    envelope={
        "business_type": "arrest.decision",
        "sender": PROCURATORATE,
        "receiver": POLICE,
        "case_numbers": (CaseNumber("procuratorate", "62019920260003100"),),
    },
    body_type="arrest.decision",
    attachments=documents("PRO-002"),
    fields={"case_name": "李某甲盗窃案", "decision_code": "approved", "decision_date": "2026-07-07"},
    persons=({key: SUSPECT[key] for key in ("person_name", "person_role", "id_type", "id_no")},),
)


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


# --- fields


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


# --- case numbers


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


# --- persons


@pytest.mark.parametrize(
    ("changes", "code", "element"),
    [
        ({"id_no": "620199199003077017"}, "id-number-check-digit", "id_no"),
        ({"id_no": "62019919900307"}, "id-number-shape", "id_no"),
        ({"id_no": "620199199002310013", "birth_date": None}, "id-number-birth-date", "id_no"),
        ({"id_no": "620199202612310016", "birth_date": None}, "id-number-birth-date", "id_no"),
        ({"birth_date": "1990-03-08"}, "id-number-differs", "birth_date"),
        ({"sex": "2"}, "id-number-differs", "sex"),
    ],
)
def test_wrong_identity(changes: dict[str, str | None], code: str, element: str) -> None:
    number = changes.get("id_no")
    if number and code == "id-number-birth-date":
        changes = changes | {"id_no": number[:17] + id_check_character(number[:17])}
    finding = the_finding(person(**changes))
    assert (finding.code, finding.element) == (code, f"persons/person[1]/{element}")
    assert finding.severity is Severity.REFUSE


@pytest.mark.parametrize("role", ["victim", "witness"])
def test_wrong_identity_of_others_only_warns(role: str) -> None:
    finding = the_finding(person(id_no="620199199003077017", person_role=role))
    assert (finding.code, finding.severity) == ("id-number-check-digit", Severity.WARN)


def test_before_arrest_a_wrong_identity_only_warns() -> None:
    packet = typed(
        "case.report",
        attachments=documents("POL-008", "POL-002"),
        persons=({**SUSPECT, "id_no": "620199199003077017"},),
    )
    assert the_finding(packet).severity is Severity.WARN


@pytest.mark.parametrize("sex", ["0", "9"])
def test_unstated_sex_contradicts_nothing(sex: str) -> None:
    assert findings(person(sex=sex)) == []


def test_identity_unknown_passes_without_a_number() -> None:
    assert findings(person(id_type="none", id_no=None, birth_date=None)) == []


def test_a_paper_without_a_number_warns() -> None:
    finding = the_finding(person(id_no=None))
    assert (finding.code, finding.severity) == ("id-number-missing", Severity.WARN)


def test_old_number_warns_and_shows_the_new_one() -> None:
    finding = the_finding(person(id_no="620199900307701"))
    assert (finding.code, finding.severity) == ("id-number-old", Severity.WARN)
    assert finding.expected == "620199199003077016"


def test_foreign_paper_warns() -> None:
    finding = the_finding(person(id_type="hk_macao", id_no="X1"))
    assert (finding.code, finding.severity) == ("paper-number-shape", Severity.WARN)
    assert findings(person(id_type="passport", id_no="E12345678")) == []


def test_birth_is_judged_by_the_day_in_shanghai() -> None:
    # 20:00 UTC on 7 July is 8 July in Shanghai.
    number = "62019920260708701"
    number += id_check_character(number)
    assert findings(person(id_no=number, birth_date="2026-07-08")) == []


def test_person_numbers_are_unique() -> None:
    finding = the_finding(change(persons=(SUSPECT, SUSPECT)))
    assert (finding.code, finding.element) == ("person-number-repeated", "persons/person[2]/person_no")


def test_private_characters_are_kept_and_a_picture_asked_for() -> None:
    finding = the_finding(person(person_name="李\ue000甲"))
    assert (finding.code, finding.severity, finding.found) == ("name-private-use", Severity.WARN, "")
