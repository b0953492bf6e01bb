from __future__ import annotations

import pytest

from packet_spec.findings import Severity
from packet_spec.identifiers import id_check_character
from tests.unit.packet_values import (
    SUSPECT,
    change,
    documents,
    findings,
    person,
    the_finding,
    typed,
)


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
