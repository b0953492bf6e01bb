"""Rules about who a person is: identity numbers, names, person numbers.

Wrong numbers refuse, but only warn in the lenient types and for the lenient roles that the catalogue names
(``identity_checks``). What cannot be known from one packet, such as whether a division code ever existed, is
left to people.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta, timezone
from typing import Final

from packet_spec.findings import Finding, Severity
from packet_spec.identifiers import (
    fits_paper,
    has_private_use,
    is_plausible_birth,
    paper_example,
    read_id_card,
)
from packet_spec.rule_subject import Subject, Value, person_element
from packet_spec.sentences import make_finding

# Legal dates are local dates of Asia/Shanghai, without summer time since 1992 (catalogue, time rules).
_SHANGHAI: Final = timezone(timedelta(hours=8))

def person_numbers_differ(subject: Subject) -> Iterator[Finding]:
    """``person_no`` is unique inside the packet."""
    seen: set[str] = set()
    for value in subject.values("person_no"):
        if value.text and value.text in seen:
            yield make_finding("person-number-repeated", element=value.element, found=value.text)
        seen.add(value.text)


def names_readable(subject: Subject) -> Iterator[Finding]:
    """Private characters in names are kept, and a picture asked for (domain catalogue, part 2.3)."""
    for value in subject.values("person_name"):
        if has_private_use(value.text):
            yield make_finding("name-private-use", element=value.element)


def identities(subject: Subject) -> Iterator[Finding]:
    """Identity numbers fit their paper, themselves, the birth date and the sex (GB 11643).

    Wrong ones refuse, but only warn in the lenient types and for the lenient roles of the catalogue. A
    person of unknown identity (``id_type`` none) passes without a number (CPL 160).
    """
    checks = subject.catalogue.identity_checks
    lenient_type = subject.row.code in checks.lenient_types
    today = subject.packet.envelope.created_at.astimezone(_SHANGHAI).date()
    for number, person in enumerate(subject.packet.persons, 1):
        lenient = lenient_type or person.get("person_role", "").strip() in checks.lenient_roles
        yield from _identity(number, person, today, Severity.WARN if lenient else Severity.REFUSE)


def _identity(number: int, person: dict[str, str], today: date, severity: Severity) -> Iterator[Finding]:
    id_type = person.get("id_type", "").strip()
    value = Value(person_element(number, "id_no"), person.get("id_no", "").strip())
    if id_type in {"", "none"}:
        return
    if not value.text:
        yield make_finding("id-number-missing", element=value.element)
    elif id_type == "id_card":
        yield from _id_card(number, person, value, today, severity)
    elif not fits_paper(id_type, value.text):
        yield make_finding(
            "paper-number-shape", element=value.element, expected=paper_example(id_type), found=value.text
        )


def _id_card(
    number: int, person: dict[str, str], value: Value, today: date, severity: Severity
) -> Iterator[Finding]:
    card = read_id_card(value.text)
    if card is None:
        yield make_finding("id-number-shape", severity=severity, element=value.element, found=value.text)
        return
    if card.converted:
        yield make_finding(
            "id-number-old", element=value.element, expected=card.number, found=value.text
        )
    if not card.check_holds:
        yield make_finding(
            "id-number-check-digit", severity=severity, element=value.element, found=value.text
        )
    if card.born is None or not is_plausible_birth(card.born, today):
        yield make_finding(
            "id-number-birth-date", severity=severity, element=value.element, found=value.text
        )
    said_by_card = {"birth_date": card.born.isoformat() if card.born else "", "sex": card.sex}
    # 0 and 9 say that the sex is not known or not stated.
    for field, expected in said_by_card.items():
        found = person.get(field, "").strip()
        if found and expected and found != expected and not (field == "sex" and found in {"0", "9"}):
            yield make_finding(
                "id-number-differs",
                severity=severity,
                element=person_element(number, field),
                expected=expected,
                found=found,
            )
