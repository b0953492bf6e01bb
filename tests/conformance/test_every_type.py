"""Every business type, generated: the packet that the generator makes passes, and each single fault of it is
found, with its place and with nothing else.

What generation cannot judge (numbers, dates, names, encodings, XML tricks) is in tests/vectors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from packet_spec.catalogue import BusinessType, Requirement
from packet_spec.envelope_fields import ENVELOPE_FIELDS
from packet_spec.findings import Outcome
from tests.conformance.generated_packets import (
    CATALOGUE,
    DIRECTORY,
    LEVELS,
    TYPES,
    Made,
    Place,
    agency,
    cases_of,
    made,
    made_full,
    missing_document,
)

CODES = [row.code for row in TYPES]
RESERVED = [row.code for row in TYPES if not row.enabled_by_default]
every_type = pytest.mark.parametrize("code", CODES)
# What takes long asks every fifth type in the ordinary suite, and all others in the long one.
many_types = pytest.mark.parametrize(
    "code",
    [
        pytest.param(code, marks=pytest.mark.slow) if number % 5 else code
        for number, code in enumerate(CODES)
    ],
)

# Required fields that packet.xsd itself asks for: what it expects, and at which element it misses it.
_SCHEMA_FIELDS = {
    "sender_ref": ("senderRef", "envelope/businessType"),
    "secrecy": ("secrecy", "envelope/case"),
}
_APPROVAL = ("approver", "approval_date")


def levels_that_fit(row: BusinessType, sender: str, receiver: str) -> list[tuple[str, str]]:
    """Every pair of levels at which these two kinds may write to each other."""
    bound = all(CATALOGUE.agency_kinds[kind].levelled for kind in (sender, receiver))
    steps = {
        "same": lambda step: step == 0,
        "receiver_one_above": lambda step: step == 1,
        "receiver_below": lambda step: step < 0,
        "any": lambda step: True,
    }
    fits = steps[row.level if bound else "any"]
    steps_of = {(own, other): LEVELS.index(other) - LEVELS.index(own) for own in LEVELS for other in LEVELS}
    return [pair for pair, step in steps_of.items() if fits(step)]


# --- what passes ------------------------------------------------------------------------------------


def test_there_are_171_types_and_six_are_reserved() -> None:
    assert (len(CODES), len(RESERVED)) == (171, 6)


@every_type
def test_the_packet_that_is_made_passes(code: str) -> None:
    result = made(code).check()
    assert result.verdict.findings == ()
    assert result.verdict.outcome is Outcome.VALID


@many_types
def test_with_everything_that_it_may_carry_it_passes(code: str) -> None:
    full = made_full(code)
    assert full.faults() == set()
    body = full.drop.body
    carried = {*body.order, *(name for person in body.persons for name in person), *ENVELOPE_FIELDS}
    assert {*full.row.required_fields, *full.row.optional_fields} <= carried


@pytest.mark.slow
@every_type
def test_every_pair_of_kinds_and_every_level_of_the_catalogue_passes(code: str) -> None:
    packet = made(code)
    pairs = [(one, other) for one in _playing(packet.row.senders) for other in _playing(packet.row.receivers)]
    for number, kinds in enumerate(pairs):
        # Whether levels fit is asked of two numbers: all of them once, then one of each pair is enough.
        for levels in levels_that_fit(packet.row, *kinds)[: None if number == 0 else 1]:
            ends = (agency(kinds[0], levels[0]), agency(kinds[1], levels[1], 1))
            assert (ends, packet.with_envelope(sender=ends[0], receiver=ends[1]).faults()) == (ends, set())


@pytest.mark.slow
@every_type
def test_copies_may_go_to_every_kind_of_the_catalogue_and_to_no_other(code: str) -> None:
    packet = made(code)
    allowed = _playing(packet.row.copies_to)
    copied = packet.with_envelope(copy_to=tuple(agency(kind, "county", 1) for kind in CATALOGUE.agency_kinds))
    assert copied.faults() == {
        ("copy-kind", f"envelope/copyTo[{number}]", "")
        for number, kind in enumerate(CATALOGUE.agency_kinds, 1)
        if kind not in allowed
    }


# --- reserved types ---------------------------------------------------------------------------------


@pytest.mark.parametrize("code", RESERVED)
def test_a_reserved_type_is_refused_until_it_is_switched_on(code: str) -> None:
    result = made(code).check(directory=replace(DIRECTORY, enabled_types=()))
    assert [(f.code, f.element, f.found) for f in result.verdict.findings] == [
        ("type-disabled", "envelope/businessType", code)
    ]
    assert result.verdict.outcome is Outcome.REFUSED


# --- who to whom -----------------------------------------------------------------------------------


@many_types
def test_from_and_to_a_wrong_kind_of_agency(code: str) -> None:
    _try_wrong_kinds(made(code), most=3)


@pytest.mark.slow
@every_type
def test_from_and_to_every_wrong_kind_of_agency(code: str) -> None:
    _try_wrong_kinds(made(code), most=len(CATALOGUE.agency_kinds))


def _try_wrong_kinds(packet: Made, most: int) -> None:
    for role, kinds in (("sender", packet.row.senders), ("receiver", packet.row.receivers)):
        level = _level(getattr(packet.drop.envelope, role))
        for kind in _others(kinds)[:most]:
            faulty = packet.with_envelope(**{role: agency(kind, level, 1)})
            expected = {(f"{role}-kind", f"envelope/{role}", "")} | _level_too(faulty)
            assert (role, kind, faulty.faults()) == (role, kind, expected)


@pytest.mark.slow
@every_type
def test_at_a_wrong_level(code: str) -> None:
    packet = made(code)
    row = packet.row
    for sender in row.senders:
        for receiver in row.receivers:
            fitting = levels_that_fit(row, sender, receiver)
            for own in LEVELS:
                for other in LEVELS:
                    if (own, other) not in fitting:
                        ends = {"sender": agency(sender, own), "receiver": agency(receiver, other, 1)}
                        found = packet.with_envelope(**ends).faults()
                        assert (ends, found) == (ends, {("level-wrong", "envelope/receiver", "")})


# --- documents -------------------------------------------------------------------------------------


@every_type
def test_without_each_required_document(code: str) -> None:
    packet = made(code)
    for document in packet.row.required_documents:
        found = packet.without_documents(document).faults()
        assert found == missing_document(packet, document, _triggered(packet))
        assert ("document-missing", "", document) in found


@every_type
def test_without_each_group_of_which_one_must_be_there(code: str) -> None:
    packet = made(code)
    for group in packet.row.required_one_of:
        faulty = packet.without_documents(*group)
        result = faulty.check()
        assert result.verdict.outcome is Outcome.REFUSED
        found = [f for f in result.verdict.findings if f.code == "document-missing-one-of"]
        assert len(found) == 1
        assert all(document in found[0].expected for document in group)
        # One of the group is enough, whichever it is, unless a condition asks for another of them.
        asked = {each for rule in _triggered(packet) for each in rule.require}
        for document in group:
            enough = faulty.listing((*faulty.documents, document))
            expected = {("document-missing-conditional", "", each) for each in asked - set(enough.documents)}
            assert enough.faults() == expected


@every_type
def test_without_each_document_that_a_condition_asks_for(code: str) -> None:
    for requirement, values in cases_of(CATALOGUE.business_type(code).conditional_documents):
        packet = made(code, *values.items())
        assert packet.faults() == set()
        for document in requirement.require:
            found = packet.without_documents(document).faults()
            assert found == missing_document(packet, document, _triggered(packet))
            assert ("document-missing-conditional", "", document) in found


@every_type
def test_with_documents_that_are_not_allowed(code: str) -> None:
    strange = _strange_documents(made(code))
    _try_strange_documents(made(code), strange[:2])


@pytest.mark.slow
@every_type
def test_with_each_document_that_is_not_allowed(code: str) -> None:
    strange = _strange_documents(made(code))
    for half in (strange[::2], strange[1::2]):  # a verdict lists at most 200 findings
        _try_strange_documents(made(code), half)


def _strange_documents(packet: Made) -> list[str]:
    return [each for each in CATALOGUE.document_types if each not in packet.row.allowed_documents]


def _try_strange_documents(packet: Made, strange: list[str]) -> None:
    found = packet.listing((*packet.documents, *strange)).faults()
    assert found == {("document-not-allowed", "", each) for each in strange}


# --- fields ----------------------------------------------------------------------------------------


@many_types
def test_without_each_required_field_and_with_it_empty(code: str) -> None:
    packet = made(code)
    found = {name: faulty.faults(xml) for name, faulty, xml, _ in _spoilt_fields(packet)}
    assert found == {name: expected for name, _, _, expected in _spoilt_fields(packet)}


@every_type
def test_without_each_field_that_a_condition_asks_for(code: str) -> None:
    row = CATALOGUE.business_type(code)
    for requirement, values in cases_of(row.conditional_fields):
        packet = made(code, *values.items())
        # The invented number is an identity card's, which other papers only warn of.
        assert packet.refusals() == set()
        by_person = any(CATALOGUE.fields[name].scope == "person" for name in values)
        for name in requirement.require:
            person_scoped = CATALOGUE.fields[name].scope == "person"
            faulty = packet.with_person_field(name, None) if person_scoped else packet.with_field(name, None)
            place = f"persons/person[1]/{name}" if by_person and person_scoped else name
            assert faulty.refusals() == {("field-missing-conditional", place, "")}


@every_type
def test_with_each_outcome_and_with_a_wrong_one(code: str) -> None:
    row = CATALOGUE.business_type(code)
    for outcome in row.outcome_codes:
        assert (outcome, made(code, ("decision_code", outcome)).faults()) == (outcome, set())
    if row.outcome_codes:
        found = made(code).with_field("decision_code", "no_such_outcome").faults()
        assert found == {("code-not-in-list", "decision_code", "")}


@every_type
def test_without_approver_and_date_where_approval_is_customary(code: str) -> None:
    packet = made(code)
    date = ("approval-missing", "envelope/approver/@approvedOn", "")
    name = ("approval-missing", "envelope/approver/@name", "")
    customary = packet.row.approval.customary
    nobody = packet.with_envelope(approver="", approved_on=None)
    assert nobody.faults() == ({name, date} if customary else set())
    signed = packet.with_envelope(approver="虚构甲", approved_on=None)
    assert signed.faults() == ({date} if customary else set())


# --- of the above -----------------------------------------------------------------------------------


def _playing(kinds: tuple[str, ...]) -> list[str]:
    """These kinds and those that stand in for them."""
    return [
        kind.code for kind in CATALOGUE.agency_kinds.values() if {kind.code, *kind.stands_in_for} & set(kinds)
    ]


def _others(kinds: tuple[str, ...]) -> list[str]:
    return [kind for kind in CATALOGUE.agency_kinds if kind not in _playing(kinds)]


def _level(code: str) -> str:
    """The level of an organ of the default lab, which its division tells."""
    return "county" if code[4:6] != "00" else "city" if code[2:4] != "00" else "province"


def _level_too(packet: Made) -> set[Place]:
    """A kind that no level binds may have stood where one now stands that a level does bind."""
    sender, receiver = packet.drop.envelope.sender, packet.drop.envelope.receiver
    kinds = [CATALOGUE.kind_of_number(each[7:9]) for each in (sender, receiver)]
    fits = (_level(sender), _level(receiver)) in levels_that_fit(packet.row, kinds[0], kinds[1])
    return set() if fits else {("level-wrong", "envelope/receiver", "")}


def _values(packet: Made) -> Mapping[str, set[str]]:
    body, envelope = packet.drop.body, packet.drop.envelope
    values = {name: {text} for name, text in body.fields.items()}
    values |= {name: {carried.read(envelope)} for name, carried in ENVELOPE_FIELDS.items()}
    for person in body.persons:
        for name, text in person.items():
            values.setdefault(name, set()).add(text)
    return values


def _triggered(packet: Made) -> list[Requirement]:
    values = _values(packet)
    return [
        rule
        for rule in packet.row.conditional_documents
        if all(values.get(condition.field, set()) & set(condition.values) for condition in rule.when)
    ]


def _spoilt_fields(packet: Made) -> Iterator[tuple[str, Made, bytes | None, set[Place]]]:
    """(name of the fault, packet, its bytes where they are edited, findings) for each required field."""
    block = CATALOGUE.person_block.required if "persons" in packet.row.required_fields else ()
    for name in (*packet.row.required_fields, *block):
        if name in _SCHEMA_FIELDS:
            yield name, packet, _without_element(packet, name), _schema_misses(packet, name)
        elif name in _APPROVAL:
            continue  # a test of its own
        elif name in ENVELOPE_FIELDS:
            place = ENVELOPE_FIELDS[name].path
            yield name, _without_carried(packet, name), None, {("field-missing", place, "")}
        elif CATALOGUE.fields[name].scope == "person":
            place = f"persons/person[1]/{name}"
            yield name, packet.with_person_field(name, None), None, {("field-missing", place, "")}
            yield f"{name} empty", packet.with_person_field(name, " "), None, _empty(place)
        else:
            yield name, packet.with_field(name, None), None, {("field-missing", name, "")}
            if CATALOGUE.fields[name].type != "list":
                yield f"{name} empty", packet.with_field(name, " "), None, _empty(name)


def _empty(place: str) -> set[Place]:
    return {("field-empty", place, "")}


def _without_element(packet: Made, name: str) -> bytes:
    tag = _SCHEMA_FIELDS[name][0].encode()
    return re.sub(rb"<%s>.*?</%s>" % (tag, tag), b"", packet.xml())


def _schema_misses(packet: Made, name: str) -> set[Place]:
    place = _SCHEMA_FIELDS[name][1]
    if name == "secrecy" and not packet.drop.envelope.case_kind and not packet.drop.envelope.case_numbers:
        place = "envelope/handler"
    return {("element-unexpected", place, "")}


def _without_carried(packet: Made, name: str) -> Made:
    envelope = packet.drop.envelope
    kinds = {"police_case_no": "police", "proc_case_no": "procuratorate", "court_case_no": "court"}
    if name in kinds:
        left = tuple(number for number in envelope.case_numbers if number.kind != kinds[name])
        return packet.with_envelope(case_numbers=left)
    return packet.with_envelope(**{{"case_kind": "case_kind", "handling_officer": "handler"}[name]: ""})
