"""Rules about fields that a schema cannot say: presence under conditions, numbers, dates, codes, limits.

A value that the schema refuses already (a date that is none, a letter in a number) is passed over here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from packet_spec.catalogue import MetadataField
from packet_spec.envelope_fields import ENVELOPE_FIELDS
from packet_spec.findings import Finding, Severity
from packet_spec.identifiers import (
    agency_kind_number,
    canonical_case_number,
    doubtful_credit_codes,
    is_placeholder_date,
    matches,
)
from packet_spec.rule_subject import Subject, describe_basis, describe_conditions, person_element
from packet_spec.sentences import make_finding

# Required exactly where approval is customary, whatever the lists of the type say.
_APPROVAL: Final = ("approver", "approval_date")
# Kind of a case number in the envelope -> its field, which is also the name of its pattern.
_NUMBER_FIELDS: Final = {
    "police": "police_case_no",
    "procuratorate": "proc_case_no",
    "court": "court_case_no",
}
# Of the largest integer that a body may hold (body_xsd).
_DIGITS: Final = 6


def required_fields(subject: Subject) -> Iterator[Finding]:
    """Every required field is there and not empty; person-scoped ones in every person block."""
    block = subject.catalogue.person_block.required if "persons" in subject.row.allowed_fields else ()
    of_persons, persons = subject.catalogue.groups.of_persons, subject.packet.persons
    for code in (*subject.row.required_fields, *block):
        texts = subject.texts(code)
        least = len(persons) if code in of_persons else 1
        if (len(texts) >= least and all(texts)) or code in _APPROVAL:
            continue
        if code == "persons":
            if not persons:
                yield make_finding("field-missing", element=code)
        elif code in of_persons:
            for number, person in enumerate(persons, 1):
                yield from _present(person_element(number, code), person.get(code))
        elif texts:
            for value in subject.values(code):
                yield from _present(value.element, value.text)
        else:
            yield from _present(ENVELOPE_FIELDS[code].path if code in ENVELOPE_FIELDS else code, None)


def _present(element: str, text: str | None) -> Iterator[Finding]:
    if text is None:
        yield make_finding("field-missing", element=element)
    elif not text.strip():
        yield make_finding("field-empty", element=element)


def conditional_fields(subject: Subject) -> Iterator[Finding]:
    """Fields required by a condition.

    A person-scoped field is required of the persons for whom the condition holds; where the condition
    is not of one person, at least one person must have it. Persons who are not there are missed as such.
    """
    of_persons = subject.catalogue.groups.of_persons
    nobody = not subject.packet.persons and "persons" in subject.row.required_fields
    for requirement in subject.active(subject.row.conditional_fields):
        persons = subject.persons_for(requirement)
        for code in requirement.require:
            if nobody and code in of_persons:
                continue
            if persons and code in of_persons:
                present = {value.element for value in subject.values(code) if value.text}
                wanted = (person_element(number, code) for number in persons)
                missing = [element for element in wanted if element not in present]
            else:
                missing = [] if any(subject.texts(code)) else [code]
            for element in missing:
                yield make_finding(
                    "field-missing-conditional",
                    element=element,
                    expected=describe_conditions(requirement),
                )


def approval(subject: Subject) -> Iterator[Finding]:
    """Approver and date stand in the envelope exactly where approval is customary."""
    if not subject.row.approval.customary:
        return
    basis = subject.row.approval.basis or (*subject.row.legal_basis, "-")[0]
    for code in _APPROVAL:
        if not subject.texts(code):
            yield make_finding(
                "approval-missing", element=ENVELOPE_FIELDS[code].path, expected=describe_basis(basis)
            )


def outcome(subject: Subject) -> Iterator[Finding]:
    """``decision_code`` is one of the type's outcome codes, where it has some."""
    codes = subject.row.outcome_codes
    if not codes:
        return
    for value in subject.faulty("decision_code", lambda text: text and text not in codes):
        yield make_finding(
            "code-not-in-list", element=value.element, expected=", ".join(codes), found=value.text
        )


def numbers_in_range(subject: Subject) -> Iterator[Finding]:
    """Integers lie within the limits of the catalogue (``supplement_round``: CPL 175)."""
    for field in subject.present(subject.catalogue.groups.limited):
        for value in subject.values(field.code):
            digits = value.text.lstrip("0") or value.text[:1]
            # More digits than the schema takes are its own finding, and more than Python reads.
            is_number = digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS
            if is_number and not _in_range(field, int(digits)):
                yield make_finding(
                    "number-out-of-range", element=value.element, expected=_limits(field), found=value.text
                )


def _in_range(field: MetadataField, number: int) -> bool:
    low = field.minimum is None or field.minimum <= number
    return low and (field.maximum is None or number <= field.maximum)


def _limits(field: MetadataField) -> str:
    low = "" if field.minimum is None else str(field.minimum)
    high = "" if field.maximum is None else str(field.maximum)
    basis = f" ({describe_basis(field.basis)})" if field.basis else ""
    return f"{low}–{high}{basis}"


def lists_long_enough(subject: Subject) -> Iterator[Finding]:
    """Lists have the least number of items (``interrogators``: two, DCR 19)."""
    for field in subject.catalogue.groups.lists:
        items = subject.packet.lists.get(field.code)
        if items is not None and len(items) < field.min_items:
            basis = f" ({describe_basis(field.basis)})" if field.basis else ""
            yield make_finding(
                "list-too-short",
                element=field.code,
                expected=f"{field.min_items}{basis}",
                found=str(len(items)),
            )


def listed_documents_exist(subject: Subject) -> Iterator[Finding]:
    """Items that are document type codes name document types of the catalogue."""
    known = subject.catalogue.document_types
    for field in subject.present(subject.catalogue.groups.document_lists):
        for value in subject.faulty(field.code, lambda text: text and text not in known):
            yield make_finding("document-unknown", element=value.element, found=value.text)


def agency_fields(subject: Subject) -> Iterator[Finding]:
    """Agencies inside the body are of the kind that the field names, read from their code."""
    catalogue = subject.catalogue
    for field in subject.present(catalogue.groups.agencies):
        for value in subject.values(field.code):
            number = agency_kind_number(value.text)
            if number and not catalogue.plays(catalogue.kind_of_number(number), (field.agency_kind,)):
                kind = catalogue.agency_kinds[field.agency_kind]
                yield make_finding(
                    "agency-kind-wrong",
                    element=value.element,
                    expected=f"{kind.zh}（{kind.code}）",
                    found=value.text,
                )


def dates_are_real(subject: Subject) -> Iterator[Finding]:
    """Placeholders are refused in required dates and warned of in others (domain catalogue, part 2.2)."""
    for field in subject.present(subject.catalogue.groups.dates):
        faulty = subject.faulty(field.code, is_placeholder_date)
        if not faulty:
            continue
        is_required = field.code in _required_dates(subject)
        severity = Severity.REFUSE if is_required else Severity.WARN
        for value in faulty:
            yield make_finding("date-placeholder", severity=severity, element=value.element, found=value.text)


def _required_dates(subject: Subject) -> set[str]:
    row = subject.row
    required = {*row.required_fields} - {*_APPROVAL}
    for requirement in subject.active(row.conditional_fields):
        required |= {*requirement.require}
    return required | {*_APPROVAL} if row.approval.customary else required


def case_numbers(subject: Subject) -> Iterator[Finding]:
    """Every case number has the shape of its organ; brackets, wide digits and blanks are folded.

    A case has several court numbers, one of each instance. A prison's number is free text.
    """
    patterns = subject.catalogue.patterns
    seen: set[str] = set()
    for position, number in enumerate(subject.packet.envelope.case_numbers, 1):
        code = _NUMBER_FIELDS.get(number.kind, "")
        canonical = canonical_case_number(number.value)
        if not code or matches(patterns[code], canonical):
            seen.add(code)
            continue
        place = f"envelope/case/number[{position}]" if code in seen else ENVELOPE_FIELDS[code].path
        seen.add(code)
        older = patterns.get(f"{code}_old")
        if older is not None and matches(older, canonical):
            yield make_finding("case-number-old", element=place, found=number.value)
            continue
        yield make_finding(
            "case-number-shape",
            severity=Severity(patterns[code].mismatch),
            element=place,
            expected=patterns[code].example,
            found=number.value,
        )


def numbers_in_texts(subject: Subject) -> Iterator[Finding]:
    """A credit code in a free text has right check characters (GB 32100). A text may hold anything: warn."""
    for field in subject.present(subject.catalogue.groups.credit_codes):
        for value in subject.values(field.code):
            for number in doubtful_credit_codes(value.text):
                yield make_finding("credit-code-check", element=value.element, found=number)
