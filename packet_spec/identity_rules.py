"""Rules about who a person is: identity numbers, names, person numbers.

Wrong numbers refuse, but only warn in the lenient types and for the lenient roles that the catalogue names
(``identity_checks``). What one packet cannot tell, such as whether a county's code ever existed, is left to
people. Known limit: the numbers of papers other than the identity card are held against their shape alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta, timezone
from typing import Final

from packet_spec.findings import Finding, Severity
from packet_spec.identifiers import (
    IdCard,
    fold_number,
    has_other_middle_dot,
    has_private_use,
    is_plausible_birth,
    matches,
    read_id_card,
)
from packet_spec.rule_subject import Subject, Value, person_element
from packet_spec.sentences import make_finding

# Legal dates are local dates of Asia/Shanghai, without summer time since 1992 (catalogue, time rules).
_SHANGHAI: Final = timezone(timedelta(hours=8))
_MIDDLE_DOT: Final = "U+00B7"
# Papers whose numbers have the shape of an identity card's -> their patterns.
_LOOK_ALIKES: Final = {
    "residence_permit": "paper_residence_permit",
    "foreign_permit": "paper_foreign_permit",
}


def person_numbers_differ(subject: Subject) -> Iterator[Finding]:
    """``person_no`` is unique inside the packet."""
    numbers = [fold_number(text) for text in subject.texts("person_no")]
    if len(set(numbers)) == len(numbers):
        return
    seen: set[str] = set()
    for value, number in zip(subject.values("person_no"), numbers, strict=True):
        if number and number in seen:
            yield make_finding("person-number-repeated", element=value.element, found=value.text)
        seen.add(number)


def names_readable(subject: Subject) -> Iterator[Finding]:
    """What others may not read or find is kept as it is, and said (domain catalogue, part 2.3)."""
    for value in subject.faulty("person_name", _is_odd):
        if has_private_use(value.text):
            yield make_finding("name-private-use", element=value.element)
        if has_other_middle_dot(value.text):
            yield make_finding("name-middle-dot", element=value.element, expected=_MIDDLE_DOT)


def _is_odd(name: str) -> bool:
    return has_private_use(name) or has_other_middle_dot(name)


def identities(subject: Subject) -> Iterator[Finding]:
    """Identity numbers fit their paper, themselves, the birth date and the sex (GB 11643).

    Wrong ones refuse, but only warn in the lenient types and for the lenient roles of the catalogue. A
    person of unknown identity (``id_type`` none) passes without a number (CPL 160).
    """
    checks = subject.catalogue.identity_checks
    lenient_type = subject.row.code in checks.lenient_types
    today = subject.packet.envelope.created_at.astimezone(_SHANGHAI).date()
    for number, person in enumerate(subject.packet.persons, 1):
        if person.get("id_type") == "id_card" and _is_in_order(subject, person, today):
            continue
        lenient = lenient_type or person.get("person_role", "").strip() in checks.lenient_roles
        yield from _identity(subject, number, Severity.WARN if lenient else Severity.REFUSE, today)


def _is_in_order(subject: Subject, person: Mapping[str, str], today: date) -> bool:
    """Nothing at all is to be said of a person with an identity card: as it is with nearly every one."""
    card = read_id_card(person.get("id_no", "").strip())
    return (
        card is not None
        and card.born is not None
        and card.check_holds
        and not card.converted
        and person.get("birth_date") == card.born.isoformat()
        and person.get("sex") == card.sex
        and is_plausible_birth(card.born, today)
        and card.number[:2] in subject.catalogue.code_lists["division_province"]
        and matches(subject.catalogue.patterns["id_card"], card.number)
        and _look_alike(subject, card) is None
    )


def _identity(subject: Subject, number: int, severity: Severity, today: date) -> Iterator[Finding]:
    person = subject.packet.persons[number - 1]
    id_type = person.get("id_type", "").strip()
    if id_type in {"", "none"}:
        return
    value = Value(person_element(number, "id_no"), person.get("id_no", "").strip())
    paper = subject.catalogue.patterns.get(f"paper_{id_type}")
    if not value.text:
        if not _is_asked_for(subject, "id_no"):
            yield make_finding("id-number-missing", element=value.element)
    elif id_type == "id_card":
        yield from _id_card(subject, number, value, severity, today)
    elif paper is not None and not matches(paper, fold_number(value.text)):
        yield make_finding(
            "paper-number-shape",
            severity=Severity(paper.mismatch),
            element=value.element,
            expected=paper.example,
            found=value.text,
        )


def _is_asked_for(subject: Subject, code: str) -> bool:
    """The type itself requires the field, so that its absence is said already."""
    asked = {each for rule in subject.row.conditional_fields for each in rule.require}
    return code in asked or code in subject.row.required_fields


def _id_card(
    subject: Subject, number: int, value: Value, severity: Severity, today: date
) -> Iterator[Finding]:
    card = read_id_card(value.text)
    is_born = card is not None and card.born is not None and is_plausible_birth(card.born, today)
    if card is None or (is_born and not matches(subject.catalogue.patterns["id_card"], card.number)):
        yield make_finding("id-number-shape", severity=severity, element=value.element, found=value.text)
        return
    if card.converted:
        yield make_finding("id-number-old", element=value.element, expected=card.number, found=value.text)
    if not card.check_holds:
        yield make_finding(
            "id-number-check-digit", severity=severity, element=value.element, found=value.text
        )
    if not is_born:
        yield make_finding("id-number-birth-date", severity=severity, element=value.element, found=value.text)
    yield from _division(subject, number, card, value)
    yield from _differences(subject, number, card, severity)


def _division(subject: Subject, number: int, card: IdCard, value: Value) -> Iterator[Finding]:
    """The number is of another paper, or of no province: old codes stay for ever, so neither refuses."""
    lists = subject.catalogue.code_lists
    alike = _look_alike(subject, card)
    if alike is not None:
        yield make_finding(
            "id-type-doubtful",
            element=person_element(number, "id_type"),
            expected=f"{lists['id_type'][alike]}（{alike}）",
            found="id_card",
        )
    elif card.number[:2] not in lists["division_province"]:
        yield make_finding("id-number-division", element=value.element, found=value.text)


def _look_alike(subject: Subject, card: IdCard) -> str | None:
    """The paper whose numbers look like this one, if there is one."""
    for alike, pattern in _LOOK_ALIKES.items():
        if matches(subject.catalogue.patterns[pattern], card.number):
            return alike
    return None


def _differences(subject: Subject, number: int, card: IdCard, severity: Severity) -> Iterator[Finding]:
    person = subject.packet.persons[number - 1]
    said_by_card = (("birth_date", card.born.isoformat() if card.born else ""), ("sex", card.sex))
    for field, expected in said_by_card:
        found = person.get(field, "").strip()
        # 0 and 9 say that the sex is not known or not stated.
        if expected != found and expected and found and not (field == "sex" and found in {"0", "9"}):
            # The century of a converted number is our own guess.
            guessed = card.converted and field == "birth_date"
            yield make_finding(
                "id-number-differs",
                severity=Severity.WARN if guessed else severity,
                element=person_element(number, field),
                expected=expected,
                found=found,
            )
