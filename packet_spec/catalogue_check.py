"""Whether a catalogue agrees with itself: every reference, every answer, every pattern.

Guarantees: all problems at once, as plain sentences for the editor of data/*.yaml; pure. It is called by
``compile_catalogue`` before anything is written, so a shipped catalogue has none of them.

Leaves to others: whether the rows say what the law says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from packet_spec.catalogue import (
    ANY,
    ANY_NEEDS_ACCEPTANCE,
    BusinessType,
    Catalogue,
    Condition,
    Requirement,
)
from packet_spec.errors import CatalogueError
from packet_spec.identity import is_file_word
from packet_spec.xsd_pattern import xsd_pattern

_LEVELS: Final = ("same", "receiver_one_above", "receiver_below", "any")
# The answers that every type with needs_acceptance must be able to get.
_ACCEPTANCES: Final = ("common.accept", "common.return", "common.supplement.request")


def problems_of(catalogue: Catalogue, inverse: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Every contradiction of the catalogue, one sentence each.

    ``inverse`` are the rows of document_types.yaml with the lists that mirror the business types.
    """
    found: list[str] = [*_patterns(catalogue), *_shared(catalogue)]
    for row in catalogue.business_types.values():
        found += [f"{row.code}: {text}" for text in _business_type(catalogue, row)]
    found += _mirrors(catalogue, inverse)
    return tuple(found)


def _patterns(catalogue: Catalogue) -> Iterator[str]:
    for name, pattern in catalogue.patterns.items():
        if re.fullmatch(pattern.regex, pattern.example, re.ASCII) is None:
            yield f"pattern {name} does not match its own example"
        if pattern.mismatch not in {"refuse", "warn"}:
            yield f"pattern {name} has a mismatch other than refuse and warn"
        try:
            xsd_pattern(pattern.regex)
        except CatalogueError as error:
            yield f"pattern {name}: {error}"


def _shared(catalogue: Catalogue) -> Iterator[str]:
    kinds = catalogue.agency_kinds
    for code in (*catalogue.categories, *catalogue.business_types):
        if not is_file_word(code):
            yield f"{code!r} cannot be a code: it would name files"
    yield from _unknown("person block", "field", _block(catalogue), catalogue.fields)
    yield from _unknown(
        "identity_checks", "type", catalogue.identity_checks.lenient_types, catalogue.business_types
    )
    roles = catalogue.code_lists["person_role"]
    yield from _unknown("identity_checks", "role", catalogue.identity_checks.lenient_roles, roles)
    for kind in kinds.values():
        yield from _unknown(f"agency kind {kind.code}", "kind", kind.stands_in_for, kinds)
    for field in catalogue.fields.values():
        if field.agency_kind:
            yield from _unknown(f"field {field.code}", "agency kind", (field.agency_kind,), kinds)
        if field.holds:
            yield from _unknown(f"field {field.code}", "pattern", (field.holds,), catalogue.patterns)
    if len({kind.number for kind in kinds.values()}) != len(kinds):
        yield "two agency kinds have one number"


def _block(catalogue: Catalogue) -> tuple[str, ...]:
    return (*catalogue.person_block.required, *catalogue.person_block.optional)


def _business_type(catalogue: Catalogue, row: BusinessType) -> Iterator[str]:
    dangling = list(_references(catalogue, row))
    if dangling:
        yield from dangling
        return  # the other checks follow the references
    persons = {code for code in row.allowed_fields if catalogue.fields[code].scope == "person"}
    if persons and "persons" not in row.allowed_fields:
        yield "has person-scoped fields but no persons"
    if row.outcome_codes and "decision_code" not in row.allowed_fields:
        yield "has outcome codes but no decision_code"
    for requirement in (*row.conditional_documents, *row.conditional_fields):
        yield from _requirement(catalogue, row, requirement)
    yield from _answers(catalogue, row)


def _references(catalogue: Catalogue, row: BusinessType) -> Iterator[str]:
    types = catalogue.business_types
    for kinds in (row.senders, row.receivers, row.copies_to):
        yield from _unknown("", "agency kind", kinds, catalogue.agency_kinds)
    yield from _unknown("", "document", row.allowed_documents, catalogue.document_types)
    yield from _unknown("", "field", row.allowed_fields, catalogue.fields)
    yield from _unknown("", "category", (row.category,), catalogue.categories)
    yield from _unknown("", "main flow", (row.main_flow,), catalogue.main_flows)
    wild = {ANY, ANY_NEEDS_ACCEPTANCE}
    for codes in (
        row.replies,
        row.successors,
        row.forbidden_after,
        row.forbidden_unless,
        (code for code in row.replies_to if code not in wild),
        (code for code in row.predecessors.require_any if code not in wild),
        (code for code in row.predecessors.expect_any if code not in wild),
    ):
        yield from _unknown("", "business type", codes, types)
    if row.level not in _LEVELS:
        yield f"unknown level {row.level}"


def _requirement(catalogue: Catalogue, row: BusinessType, requirement: Requirement) -> Iterator[str]:
    if not requirement.when:
        yield "a condition says nothing"
    if requirement.basis:
        yield from _unknown("", "law", (requirement.basis.split("-", 1)[0],), catalogue.laws)
    known = row.allowed_fields.union(_block(catalogue) if "persons" in row.allowed_fields else ())
    for condition in requirement.when:
        if condition.field not in known:
            yield f"a condition looks at {condition.field}, which is in none of the lists"
        values = _values(catalogue, row, condition)
        if values is not None:
            yield from _unknown("", f"value of {condition.field}", condition.values, values)


def _values(catalogue: Catalogue, row: BusinessType, condition: Condition) -> Iterable[str] | None:
    field = catalogue.fields[condition.field]
    if field.code == "decision_code":
        return row.outcome_codes
    if field.type == "bool":
        return ("true", "false")
    return catalogue.code_lists[field.code_list] if field.code_list else None


def _answers(catalogue: Catalogue, row: BusinessType) -> Iterator[str]:
    """An answer can be sent by one who got the question, and reaches one who asked; copies count."""
    types = catalogue.business_types
    for code in row.replies:
        reply = types[code]
        if row.code not in reply.replies_to:
            yield f"is answered by {code}, which does not list it in replies_to"
        asked, reached = {*row.receivers, *row.copies_to}, {*reply.receivers, *reply.copies_to}
        if asked.isdisjoint(reply.senders) or reached.isdisjoint(row.senders):
            yield f"is answered by {code}, which cannot travel the way back"
        if not _levels_match(catalogue, row, reply):
            yield f"is answered by {code}, whose level does not allow the way back"
    for code in row.replies_to:
        if code not in {ANY, ANY_NEEDS_ACCEPTANCE} and row.code not in types[code].replies:
            yield f"answers {code}, which does not list it in replies"
    if row.needs_acceptance:
        for code in _ACCEPTANCES[:2]:
            answer = types[code]
            if not set(row.senders) <= set(answer.receivers) or not set(row.receivers) <= set(answer.senders):
                yield f"needs acceptance, but {code} cannot travel the way back"


def _levels_match(catalogue: Catalogue, row: BusinessType, reply: BusinessType) -> bool:
    kinds = catalogue.agency_kinds
    pairs = [
        (sender, receiver)
        for sender in row.senders
        for receiver in row.receivers
        if sender in reply.receivers and receiver in reply.senders
    ]
    if not any(kinds[sender].levelled and kinds[receiver].levelled for sender, receiver in pairs):
        return True
    back = {
        "same": {"same", "any"},
        "receiver_one_above": {"receiver_below", "any"},
        "receiver_below": {"receiver_one_above", "any"},
        "any": {"any"},
    }
    return reply.level in back.get(row.level, {reply.level})


def _mirrors(catalogue: Catalogue, inverse: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    types = catalogue.business_types.values()
    for row in inverse:
        code = row["code"]
        truth = {
            "required_by": [each.code for each in types if code in each.required_documents],
            "one_of_in": [
                each.code for each in types if any(code in group for group in each.required_one_of)
            ],
            "conditional_in": [
                each.code
                for each in types
                if any(code in rule.require for rule in each.conditional_documents)
            ],
            "optional_in": [each.code for each in types if code in each.optional_documents],
        }
        for key, codes in truth.items():
            if set(row[key]) != set(codes):
                yield f"document {code}: {key} should be {sorted(codes)}"
        if not any(truth.values()):
            yield f"document {code} is carried by no business type"


def _unknown(where: str, what: str, codes: Iterable[str], known: Iterable[str]) -> Iterator[str]:
    prefix = f"{where}: " if where else ""
    for code in sorted(set(codes) - set(known)):
        yield f"{prefix}unknown {what} {code}"
